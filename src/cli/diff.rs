//! `lenslet diff`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use lenslet::check::{LayerReport, diff, replay};
use lenslet::nn::{Model, Network};
use lenslet::{Device, Gpu};
use serde_json::json;

use crate::cli::doctor::finite;
use crate::cli::{DeviceOption, JsonOption};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  lenslet diff lenet5                      forward and backward, operation by operation
  lenslet diff convnet --data mnist        on images of the test set instead of noise
  lenslet diff --replay difference.safetensors
Each operation gets the inputs that the reference computed, so the first out of bounds is the one that is wrong.")]
pub struct Options {
    #[arg(help = crate::cli::model_help(), required_unless_present = "replay")]
    model: Option<String>,
    /// Runs the single operation of a reproduction file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "data", "out"])]
    replay: Option<PathBuf>,
    /// Takes images of this test set: mnist, or a folder with four IDX files
    #[arg(long, value_name = "mnist|DIR")]
    data: Option<String>,
    /// Batch size
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1024))]
    batch_size: u64,
    /// Random seed of weights, labels and noise
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The file for the reproduction of the first difference
    #[arg(long, value_name = "FILE", default_value = "difference.safetensors")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    json: JsonOption,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let Device::Gpu(gpu) = options.device.open()? else {
        bail!("there is no GPU to compare with the CPU; {}", lenslet::gpu::HOW_TO_GET_A_DRIVER);
    };
    match &options.replay {
        Some(file) => {
            let report = replay(&gpu, file, Network::from_toml)?;
            show(options, &report)?;
            end(options, &gpu, 1, report.passed)?;
            if report.passed { Ok(()) } else { bail!("{}", describe(&report)) }
        }
        None => compare(options, &gpu),
    }
}

fn compare(options: &Options, gpu: &Gpu) -> anyhow::Result<()> {
    let model = crate::cli::model(options.model.as_deref().context("a model")?)?;
    let batch = options.batch_size as usize;
    let images = options.data.as_ref().map(|name| images(name, &model, batch)).transpose()?;
    let (mut count, mut failed) = (0, None);
    let found = diff(gpu, &model, batch, options.seed, images.as_deref(), |report| {
        count += 1;
        if failed.is_none() {
            failed = show(options, report).err();
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    end(options, gpu, count, found.is_none())?;
    let Some(difference) = found else { return Ok(()) };
    difference.save(&options.out, &model.to_toml())?;
    let report = &difference.report;
    let out = options.out.display();
    bail!("{}; run it alone with `lenslet diff --replay {out}`", describe(report))
}

fn images(name: &str, model: &dyn Model, batch: usize) -> anyhow::Result<Vec<f32>> {
    let test = crate::cli::data::mnist(name)?.test;
    if model.input()[..] != test.shape {
        let expected = format!("images of {}", model.input());
        return Err(lenslet::Error::option("data set", expected, format!("images of {:?}", test.shape)).into());
    }
    Ok((0..batch).flat_map(|i| test.image(i % test.len())).map(|&b| f32::from(b) / 255.0).collect())
}

fn show(options: &Options, r: &LayerReport) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let error = r.worst.error();
    if options.json.json {
        let line = json!({
            "layer": r.layer, "operation": r.operation, "kernel": r.kernel, "direction": r.direction,
            "error": finite(error), "budget": r.worst.budget, "passed": r.passed,
        });
        writeln!(out, "{line}")?;
    } else {
        let mark = if r.passed { "ok" } else { "DIFFERS" };
        let LayerReport { layer, operation, kernel, direction, .. } = r;
        let share = 100.0 * error / r.worst.budget;
        writeln!(out, "{direction:<9} {layer:<10} {operation:<28} {kernel:<34} {share:>8.1} % of budget  {mark}")?;
    }
    Ok(())
}

fn end(options: &Options, gpu: &Gpu, operations: usize, passed: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if options.json.json {
        let line = json!({ "event": "end", "operations": operations, "passed": passed, "device": gpu.name() });
        writeln!(out, "{line}")?;
    } else if passed {
        writeln!(out, "{operations} operations agree on {} ({})", gpu.name(), gpu.driver())?;
    }
    Ok(())
}

fn describe(r: &LayerReport) -> String {
    let e = r.worst;
    format!(
        "layer \"{}\", {} {} (kernel {}): element {} is {} on the GPU and {} on the CPU, allowed error {:.2e}",
        r.layer, r.direction, r.operation, r.kernel, e.index, e.got, e.want, e.budget
    )
}
