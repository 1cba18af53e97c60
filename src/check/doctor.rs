//! Whether to trust a device.

use super::cases;
use super::kernel::Verdict;
use crate::Result;
use crate::gpu::Gpu;

/// What [`doctor`] found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Trials within their budget.
    pub passed: usize,
    /// Trials out of it.
    pub failed: Vec<Verdict>,
}

/// Runs every case whose name contains `only` on a device, each candidate of each operation forward and backward, and tells `observe` of each.
///
/// Errors: the device fails. A wrong kernel is a verdict.
pub fn doctor(gpu: &Gpu, only: &str, mut observe: impl FnMut(&Verdict)) -> Result<Report> {
    let mut report = Report::default();
    for case in cases::all().iter().filter(|case| case.name.contains(only)) {
        for trial in case.trials()? {
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
