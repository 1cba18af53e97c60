//! Times of kernels that `lenslet tune` measured on an adapter: sessions there take the fastest.
//!
//! The record is a readable file, `tuned.toml` beside `distrusted.toml`. A time counts only on the same adapter with the
//! same driver, version of wgpu and of this library, and only among the same candidates: the record has a hash of their
//! shaders with all constants, so that of any other options, shapes or text it says nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Result;
use crate::gpu::{Distrusted, Gpu, cache};
use crate::kernel::{Io, Kernel};

/// What was measured on one adapter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// One entry an operation and shape.
    #[serde(rename = "operation", default)]
    pub operations: Vec<TunedOperation>,
}

/// The times of an operation's kernels on one shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TunedOperation {
    /// The operation's name.
    pub operation: String,
    /// Its options.
    pub options: String,
    /// Types of its inputs.
    pub inputs: String,
    /// What its candidates were: a hash of their shaders and grids.
    pub candidates: String,
    /// Milliseconds of each kernel that agreed with the reference.
    pub ms: BTreeMap<String, f64>,
}

impl TunedOperation {
    /// The times of some of an operation's candidates.
    pub fn new<'a>(
        operation: &str,
        options: String,
        io: &Io<'_>,
        candidates: &[Kernel],
        ms: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<Self> {
        let ms = ms.into_iter().map(|(kernel, ms)| (kernel.to_string(), ms)).collect();
        let (operation, inputs) = (operation.to_string(), types(io));
        Ok(Self { operation, options, inputs, candidates: hash(candidates)?, ms })
    }
}

fn types(io: &Io<'_>) -> String {
    io.inputs.iter().map(|ty| ty.to_string()).collect::<Vec<_>>().join(" ")
}

/// Of everything that a device is given to compute the candidates.
fn hash(candidates: &[Kernel]) -> Result<String> {
    let mut hash = Sha256::new();
    for kernel in candidates {
        hash.update(kernel.name);
        for dispatch in &kernel.dispatches {
            hash.update(dispatch.source()?);
            hash.update(dispatch.workgroups.to_le_bytes());
        }
    }
    Ok(hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Tuned {
    /// Adds an entry in the place of the one of the same operation, options and shape.
    pub fn keep(&mut self, new: TunedOperation) {
        let key = |o: &TunedOperation| (o.operation.clone(), o.options.clone(), o.inputs.clone());
        self.operations.retain(|old| key(old) != key(&new));
        self.operations.push(new);
    }

    /// The fastest of the candidates that `allowed` takes; `None` if nothing is known of them.
    fn fastest(
        &self,
        op: &str,
        io: &Io<'_>,
        candidates: &[Kernel],
        allowed: impl Fn(&Kernel) -> bool,
    ) -> Option<usize> {
        let mut alike = self.operations.iter().filter(|o| o.operation == op).peekable();
        alike.peek()?;
        let (inputs, mut candidates_hash) = (types(io), None);
        let same = |o: &&TunedOperation| {
            o.inputs == inputs
                && candidates_hash.get_or_insert_with(|| hash(candidates).unwrap_or_default()) == &o.candidates
        };
        let ms = &alike.find(same)?.ms;
        let time = |(at, kernel): (usize, &Kernel)| Some((at, *ms.get(kernel.name).filter(|_| allowed(kernel))?));
        candidates.iter().enumerate().filter_map(time).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at)
    }
}

/// How sessions on a device choose among candidates: the fastest that was measured, else the first; never one that was
/// found wrong.
#[derive(Clone, Debug, Default)]
pub struct KernelChoice {
    distrusted: Distrusted,
    tuned: Arc<Tuned>,
}

impl KernelChoice {
    /// The position of a candidate.
    ///
    /// Errors: all of them were found wrong.
    pub fn choose(&self, op: &'static str, io: &Io<'_>, candidates: &[Kernel]) -> Result<usize> {
        let trusted = |kernel: &Kernel| !self.distrusted.contains(op, kernel.name);
        match self.tuned.fastest(op, io, candidates, trusted) {
            Some(fastest) => Ok(fastest),
            None => self.distrusted.first(op, candidates),
        }
    }

    /// The choice where nothing was measured.
    pub fn untuned(self) -> Self {
        Self { tuned: Arc::default(), ..self }
    }
}

const FILE: &str = "tuned.toml";

/// wgpu's version, as `Cargo.toml` asks for it: another one may make other code of a shader.
const WGPU: &str = "30.0";

#[derive(Default, Serialize, Deserialize)]
struct Record {
    #[serde(default)]
    device: Vec<Measured>,
}

#[derive(Serialize, Deserialize)]
struct Measured {
    adapter: String,
    driver: String,
    wgpu: String,
    lenslet: String,
    #[serde(flatten)]
    tuned: Tuned,
}

fn read() -> Result<Record> {
    cache::read(FILE, "run `lenslet tune --clear`")
}

impl Gpu {
    /// How sessions on this device choose.
    ///
    /// Errors: a record cannot be read.
    pub fn choice(&self) -> Result<KernelChoice> {
        Ok(KernelChoice { distrusted: self.distrusted()?, tuned: self.tuned()? })
    }

    /// What was measured on this adapter with this driver.
    ///
    /// Errors: the record cannot be read.
    pub fn tuned(&self) -> Result<Arc<Tuned>> {
        let mut known = self.shared.tuned.lock().expect("no panic while the record is held");
        if known.is_none() {
            let found = read()?.device.into_iter().find(|measured| self.is_of(measured));
            *known = Some(found.map(|measured| measured.tuned).unwrap_or_default().into());
        }
        Ok(known.clone().unwrap_or_default())
    }

    /// From now on sessions on this device choose by these times, whatever the record says; it stays as it is.
    pub fn tune_by(&self, tuned: Tuned) {
        *self.shared.tuned.lock().expect("no panic while the record is held") = Some(tuned.into());
    }

    /// As [`Gpu::tune_by`], and replaces the record of this device. What was measured on this adapter with another driver,
    /// or with other versions, is left out. Says where the record is kept.
    ///
    /// Errors: there is no cache folder, or it cannot be written.
    pub fn keep_tuned(&self, tuned: Tuned) -> Result<PathBuf> {
        let mut record = read()?;
        record.device.retain(|m| m.adapter != self.name() && m.wgpu == WGPU && m.lenslet == env!("CARGO_PKG_VERSION"));
        record.device.push(Measured {
            adapter: self.name().to_string(),
            driver: self.driver(),
            wgpu: WGPU.to_string(),
            lenslet: env!("CARGO_PKG_VERSION").to_string(),
            tuned: tuned.clone(),
        });
        self.tune_by(tuned);
        cache::write(FILE, &record)
    }

    fn is_of(&self, m: &Measured) -> bool {
        m.adapter == self.name()
            && m.driver == self.driver()
            && m.wgpu == WGPU
            && m.lenslet == env!("CARGO_PKG_VERSION")
    }
}

/// Deletes the record of all devices, and says where it was; `None` if there was none.
///
/// Errors: it cannot be deleted.
pub fn forget_tuned() -> Result<Option<PathBuf>> {
    let Some(path) = cache::path(FILE) else { return Ok(None) };
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(Some(path)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(crate::Error::io(&path, "delete")(e)),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_of_wgpu_is_that_of_the_manifest() {
        let line = format!("wgpu = {{ version = \"{}\"", super::WGPU);
        assert!(include_str!("../../Cargo.toml").contains(&line), "{line}");
    }
}
