//! Record of kernel times measured by `lenslet tune` on an adapter; sessions there use the fastest kernel.
//!
//! The record is a human-readable file, `tuned.toml` next to `distrusted.toml`. A time is valid only for the same
//! adapter, driver, wgpu version and library version, and only for the same candidates: the record contains a hash of
//! their shaders and constants, so it does not apply to other options, shapes or shader texts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Result;
use crate::gpu::{Distrusted, Gpu, cache};
use crate::kernel::{Io, Kernel};

/// The measurements of one adapter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// One entry per operation and shape.
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
    /// A hash of the candidates' shaders and grids.
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

/// A hash of everything the device receives to compute the candidates.
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
    /// Adds an entry, replacing one of the same operation, options and shape.
    pub fn keep(&mut self, new: TunedOperation) {
        let key = |o: &TunedOperation| (o.operation.clone(), o.options.clone(), o.inputs.clone());
        self.operations.retain(|old| key(old) != key(&new));
        self.operations.push(new);
    }

    /// The fastest of the candidates that satisfy `allowed`; `None` without a valid measurement.
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

/// The selection among candidates for sessions on a device: the fastest measured kernel, else the first candidate,
/// never a distrusted one.
#[derive(Clone, Debug, Default)]
pub struct KernelChoice {
    distrusted: Distrusted,
    tuned: Arc<Tuned>,
}

impl KernelChoice {
    /// The index of the selected candidate.
    ///
    /// Errors: all candidates are distrusted.
    pub fn choose(&self, op: &'static str, io: &Io<'_>, candidates: &[Kernel]) -> Result<usize> {
        let trusted = |kernel: &Kernel| !self.distrusted.contains(op, kernel.name);
        match self.tuned.fastest(op, io, candidates, trusted) {
            Some(fastest) => Ok(fastest),
            None => self.distrusted.first(op, candidates),
        }
    }

    /// The selection without measurements.
    pub fn untuned(self) -> Self {
        Self { tuned: Arc::default(), ..self }
    }
}

const FILE: &str = "tuned.toml";

/// The version of wgpu in `Cargo.toml`: another version may compile a shader differently.
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
    /// The kernel selection of sessions on this device.
    ///
    /// Errors: a record cannot be read.
    pub fn choice(&self) -> Result<KernelChoice> {
        Ok(KernelChoice { distrusted: self.distrusted()?, tuned: self.tuned()? })
    }

    /// The measurements of this adapter and driver.
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

    /// Uses these times in later sessions on this device instead of the record. The record is not changed.
    pub fn tune_by(&self, tuned: Tuned) {
        *self.shared.tuned.lock().expect("no panic while the record is held") = Some(tuned.into());
    }

    /// Applies [`Gpu::tune_by`] and replaces the record of this device. Measurements of this adapter with another
    /// driver or other versions are dropped. Returns the path of the record.
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

/// Deletes the record of all devices. Returns its path; `None` if there was none.
///
/// Errors: the file cannot be deleted.
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
