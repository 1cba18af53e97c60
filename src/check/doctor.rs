//! Checks whether a device computes correctly.

use std::collections::BTreeMap;

use crate::Result;
use crate::check::cases;
use crate::check::cases::Case;
use crate::check::kernel::Verdict;
use crate::check::values::Random;
use crate::gpu::Gpu;

/// Trials of each kernel of each operation in a quick examination.
const QUICK: usize = 2;

/// The extent of [`doctor`]'s examination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Examination<'a> {
    /// A few trials of each kernel of each operation, spread over the table, and all trials of kernels that were found
    /// wrong before. The whole table takes minutes on a device whose driver compiles slowly.
    Quick,
    /// All cases whose name contains the text; every case if it is empty.
    Cases(&'a str),
}

/// The results of [`doctor`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Number of trials within their error bound.
    pub passed: usize,
    /// The trials outside their error bound.
    pub failed: Vec<Verdict>,
}

/// Runs cases of the table on a device: each candidate of each operation, forward and backward. `observe` is called
/// with each verdict.
///
/// Errors: the device fails. A wrong kernel is a verdict, not an error.
pub fn doctor(gpu: &Gpu, examination: Examination<'_>, mut observe: impl FnMut(&Verdict)) -> Result<Report> {
    let mut report = Report::default();
    let mut cases = cases::all();
    match examination {
        Examination::Cases(part) => cases.retain(|case| case.name.contains(part)),
        // Adjacent cases in the table are similar.
        Examination::Quick => cases.sort_by_cached_key(|case| Random::of(&case.name).bits()),
    }
    let suspects = gpu.distrusted()?;
    let mut trials: BTreeMap<(&'static str, &'static str), usize> = BTreeMap::new();
    for trial in cases.iter().map(Case::trials) {
        for trial in trial? {
            let enough = |kernel: &&'static str| {
                let tried = trials.get(&(trial.op.name(), *kernel)).is_some_and(|&n| n >= QUICK);
                examination == Examination::Quick && tried && !suspects.contains(trial.op.name(), kernel)
            };
            let kernels = trial.kernels(gpu);
            if kernels.iter().all(enough) {
                continue;
            }
            kernels.into_iter().for_each(|kernel| *trials.entry((trial.op.name(), kernel)).or_default() += 1);
            for verdict in trial.run(gpu)? {
                observe(&verdict);
                match verdict.passed {
                    true => report.passed += 1,
                    false => report.failed.push(verdict),
                }
            }
        }
    }
    Ok(report)
}
