//! Record of kernels that were found wrong on an adapter; they are never chosen there.
//!
//! The record is a human-readable file, `distrusted.toml` in the user's cache folder (`LENSLET_CACHE` overrides it),
//! with a table per adapter and driver. Entries are `operation/kernel`, such as `relu/unary` for the kernel `unary`
//! computing `relu`, since operations share kernels. A kernel name alone, as in older files, means all of its
//! operations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::gpu::{Gpu, cache};
use crate::kernel::Kernel;
use crate::{Error, Result};

/// The distrusted kernels of one adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distrusted {
    /// Entries `operation/kernel`, with the names shown in verdicts and plans, or `kernel` for all of its operations.
    pub kernels: BTreeSet<String>,
}

impl Distrusted {
    /// The record of these pairs of operation and kernel.
    pub fn of<'a>(wrong: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self { kernels: wrong.into_iter().map(|(op, kernel)| format!("{op}/{kernel}")).collect() }
    }

    /// Whether a kernel is distrusted for an operation.
    pub fn contains(&self, op: &str, kernel: &str) -> bool {
        self.kernels.contains(kernel) || self.kernels.contains(&format!("{op}/{kernel}"))
    }

    /// The index of the first trusted candidate.
    ///
    /// Errors: none is trusted.
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
    /// The distrusted kernels of this adapter and driver.
    ///
    /// Errors: the record cannot be read.
    pub fn distrusted(&self) -> Result<Distrusted> {
        Ok(read()?.remove(&self.identity()).unwrap_or_default())
    }

    /// Replaces the record of this adapter and driver. Returns the path of the file.
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
