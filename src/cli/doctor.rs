//! `lenslet doctor`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use anyhow::bail;
use lenslet::Device;
use lenslet::check::{Examination, Verdict, doctor};
use lenslet::gpu::Distrusted;
use serde_json::json;

use crate::cli::{DeviceOption, JsonOption};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  lenslet doctor                     every kernel of every operation on the device that training would take
  lenslet doctor --device 1 --json
  lenslet doctor conv2d              every case of convolutions
  lenslet doctor --all               every case: minutes where the driver compiles slowly
Each operation runs on vectors compiled into this program and is compared with the f64 reference. A kernel that is
wrong on this adapter and driver is remembered and never chosen there, until it passes again.")]
pub struct Options {
    /// Only cases whose name contains this text, but all of their kernels
    only: Option<String>,
    /// Every case, instead of a few for each kernel
    #[arg(long, conflicts_with = "only")]
    all: bool,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    json: JsonOption,
}

/// The verdicts on one kernel.
#[derive(Default)]
struct Row {
    trials: usize,
    failed: usize,
    /// The largest error as a fraction of its bound.
    worst: f64,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let Device::Gpu(gpu) = options.device.open()? else {
        bail!(
            "there is no GPU to examine, and what the CPU computes depends on no driver; {}",
            lenslet::gpu::HOW_TO_GET_A_DRIVER
        );
    };
    let start = Instant::now();
    let mut out = std::io::stdout().lock();
    let mut rows: BTreeMap<(&str, &str), Row> = BTreeMap::new();
    let mut broken = None;
    let examination = match (&options.only, options.all) {
        (Some(part), _) => Examination::Cases(part),
        (None, true) => Examination::Cases(""),
        (None, false) => Examination::Quick,
    };
    let report = doctor(&gpu, examination, |v| {
        let row = rows.entry((v.operation, v.kernel)).or_default();
        row.trials += 1;
        row.failed += usize::from(!v.passed);
        row.worst = row.worst.max(v.worst.error() / v.worst.budget);
        if options.json.json && broken.is_none() {
            broken = writeln!(out, "{}", as_json(v)).err();
        }
    })?;
    if let Some(error) = broken {
        return Err(error.into());
    }
    if report.passed + report.failed.len() == 0 {
        let found = options.only.as_deref().unwrap_or_default();
        return Err(lenslet::Error::option("ONLY", "part of a case's name, such as conv2d", found).into());
    }
    let before = gpu.distrusted()?;
    let mut now = Distrusted::of(report.failed.iter().map(|v| (v.operation, v.kernel)));
    if options.only.is_some() {
        // Kernels that were not tried keep their record.
        now.kernels.extend(before.kernels.iter().cloned());
    }
    let record = if now == before { None } else { Some(gpu.distrust(now.clone())?) };
    let failed = report.failed.len();
    if options.json.json {
        let line = json!({
            "event": "end", "passed": report.passed, "failed": failed, "device": gpu.name(),
            "driver": gpu.driver(), "distrusted": now.kernels, "seconds": start.elapsed().as_secs_f64(),
        });
        writeln!(out, "{line}")?;
    } else {
        writeln!(out, "{:<28} {:<34} {:>6} {:>22}", "operation", "kernel", "trials", "worst error of budget")?;
        for ((operation, kernel), row) in &rows {
            let verdict = if row.failed > 0 { format!("  {} FAILED", row.failed) } else { String::new() };
            let worst = format!("{:.1} %", 100.0 * row.worst);
            writeln!(out, "{operation:<28} {kernel:<34} {:>6} {worst:>22}{verdict}", row.trials)?;
        }
        for v in report.failed.iter().take(10) {
            writeln!(out, "\n{}: {} {}\n  kernel {}: {}", v.case, v.operation, v.detail, v.kernel, describe(v))?;
        }
        let seconds = start.elapsed().as_secs_f64();
        writeln!(
            out,
            "\n{} passed, {failed} failed in {seconds:.1} s on {} ({})",
            report.passed,
            gpu.name(),
            gpu.driver()
        )?;
    }
    if let Some(record) = record {
        eprintln!("kernels to leave out on this adapter are kept in {}", record.display());
    }
    if failed > 0 {
        let kernels: Vec<_> = now.kernels.into_iter().collect();
        bail!("do not trust {} on this adapter and driver; they will not be chosen here", kernels.join(", "));
    }
    if !options.json.json {
        writeln!(out, "every kernel agrees with the reference: this device can be trusted")?;
    }
    Ok(())
}

fn describe(v: &Verdict) -> String {
    let e = v.worst;
    format!("element {} is {}, the reference says {}, allowed error {:.2e}", e.index, e.got, e.want, e.budget)
}

fn as_json(v: &Verdict) -> serde_json::Value {
    json!({
        "operation": v.operation, "case": v.case, "detail": v.detail, "kernel": v.kernel, "in_place": v.in_place,
        "error": finite(v.worst.error()), "budget": v.worst.budget, "passed": v.passed,
    })
}

/// A finite stand-in for infinity, which JSON lacks.
pub(super) fn finite(error: f64) -> f64 {
    error.min(f64::MAX)
}
