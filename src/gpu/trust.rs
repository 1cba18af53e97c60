//! Kernels that were found wrong on an adapter, remembered so that they are never chosen there.
//!
//! The record is a readable file, `distrusted.toml` in the user's cache folder (`LENSLET_CACHE` names another): a table
//! for each adapter and driver, with the kernels to leave out: `relu/unary` is the kernel `unary` where it computes
//! `relu`, for many operations share one. A kernel's name alone, as older files have it, stands for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::gpu::{Gpu, cache};
use crate::kernel::Kernel;
use crate::{Error, Result};

/// The kernels to leave out on one adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distrusted {
    /// `operation/kernel`, by the names that verdicts and plans show, or `kernel` for all its operations.
    pub kernels: BTreeSet<String>,
}

impl Distrusted {
    /// These pairs of an operation and a kernel.
    pub fn of<'a>(wrong: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self { kernels: wrong.into_iter().map(|(op, kernel)| format!("{op}/{kernel}")).collect() }
    }

    /// Whether a kernel is left out for an operation.
    pub fn contains(&self, op: &str, kernel: &str) -> bool {
        self.kernels.contains(kernel) || self.kernels.contains(&format!("{op}/{kernel}"))
    }

    /// The first candidate that is trusted.
    ///
    /// Errors: none is.
    pub(crate) fn first(&self, op: &'static str, candidates: &[Kernel]) -> Result<usize> {
        candidates.iter().position(|k| !self.contains(op, k.name)).ok_or_else(|| Error::Gpu {
            what: op.to_string(),
            reason: format!(
                "every kernel was found wrong on this adapter and driver ({}); update the driver and run \
                 `lenslet doctor` again, or use --device cpu",
                candidates.iter().map(|k| k.name).collect::<Vec<_>>().join(", ")
            ),
        })
    }
}

type Record = BTreeMap<String, Distrusted>;

const FILE: &str = "distrusted.toml";

fn read() -> Result<Record> {
    cache::read(FILE, "delete the file and run `lenslet doctor`")
}

impl Gpu {
    /// The kernels found wrong on this adapter with this driver.
    ///
    /// Errors: the record cannot be read.
    pub fn distrusted(&self) -> Result<Distrusted> {
        Ok(read()?.remove(&self.identity()).unwrap_or_default())
    }

    /// Replaces the record of this adapter and driver, and says where it is kept.
    ///
    /// Errors: there is no cache folder, or it cannot be written.
    pub fn distrust(&self, distrusted: Distrusted) -> Result<PathBuf> {
        let mut record = read()?;
        match distrusted.kernels.is_empty() {
            true => record.remove(&self.identity()),
            false => record.insert(self.identity(), distrusted),
        };
        cache::write(FILE, &record)
    }

    fn identity(&self) -> String {
        format!("{}, {}", self.name(), self.driver())
    }
}
