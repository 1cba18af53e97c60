//! `lenslet tune`.

use std::io::Write;

use anyhow::bail;
use lenslet::Device;
use lenslet::bench::{Race, StepTimes, tune};
use lenslet::gpu::forget_tuned;
use lenslet::models::NAMES;
use lenslet::optim::Sgd;
use serde_json::json;

use crate::cli::{DeviceOption, JsonOption};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  lenslet tune                             LeNet-5's training step at batch 64
  lenslet tune --model all --batch-size 256
  lenslet tune --clear                     forgets what was measured, on every device
The heaviest operations of the step are run with each of their kernels, which are first compared with the reference on
the same values. The times go to tuned.toml in the cache folder; from then on what runs on this device takes the fastest.
Nothing is measured unless this command is called. Leave the machine alone meanwhile.")]
pub struct Options {
    #[arg(help = crate::cli::model_help() + "; or all of them", long, value_name = "NAME|FILE.toml|all", default_value = "lenet5")]
    model: String,
    /// Batch size; the shapes of all operations depend on it
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// Seconds per model after which no further operation is started
    #[arg(long, default_value_t = 30.0, value_parser = crate::cli::seconds)]
    seconds: f64,
    /// Deletes the record
    #[arg(long, conflicts_with_all = ["model", "batch_size", "seconds"])]
    clear: bool,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    json: JsonOption,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if options.clear {
        let gone = forget_tuned()?.map(|path| path.display().to_string());
        match (options.json.json, gone) {
            (true, gone) => writeln!(out, "{}", json!({ "event": "cleared", "record": gone }))?,
            (false, Some(path)) => writeln!(out, "deleted {path}")?,
            (false, None) => writeln!(out, "there was no record")?,
        }
        return Ok(());
    }
    let models = if options.model == "all" { NAMES.to_vec() } else { vec![options.model.as_str()] };
    let models: Vec<_> = models.into_iter().map(crate::cli::model).collect::<lenslet::Result<_>>()?;
    let Device::Gpu(gpu) = options.device.open()? else {
        bail!("kernels run on a GPU; {}", lenslet::gpu::HOW_TO_GET_A_DRIVER);
    };
    let json = options.json.json;
    for model in &models {
        let (name, batch) = (lenslet::nn::Model::name(model), options.batch_size);
        let (mut broken, mut rows) = (None, 0);
        let steps = tune(&gpu, model, &Sgd::new(0.05).momentum(0.9), batch, options.seconds, |race| {
            let heading = if rows == 0 && !json { print_heading(&mut out) } else { Ok(()) };
            rows += 1;
            broken = broken.take().or_else(|| heading.and_then(|()| print(&mut out, race, name, json)).err());
        })?;
        if let Some(error) = broken {
            return Err(error.into());
        }
        print_steps(&mut out, &steps, name, batch, json)?;
        eprintln!("what was measured is kept in {}", steps.record.display());
    }
    Ok(())
}

fn print_heading(out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{:10} {:24} {:28} {:28} {:>6}  ms of each", "layer", "operation", "by default", "by tuning", "ratio")
}

fn print(out: &mut impl Write, race: &Race, model: &str, json: bool) -> std::io::Result<()> {
    let (winner, ratio) = race.winner().map_or(("none", None), |(kernel, ratio)| (kernel, Some(ratio)));
    if json {
        let ms: serde_json::Map<_, _> = race.runners.iter().map(|r| (r.kernel.to_string(), json!(r.ms))).collect();
        let line = json!({
            "model": model, "layer": race.layer, "operation": race.operation, "inputs": race.inputs,
            "default": race.default, "tuned": winner, "ratio": ratio, "ms": ms,
        });
        return writeln!(out, "{line}");
    }
    let time = |r: &lenslet::bench::Runner| match r.ms {
        Some(ms) => format!("{} {ms:.3}", r.kernel),
        None => format!("{} WRONG", r.kernel),
    };
    let ms: Vec<_> = race.runners.iter().map(time).collect();
    let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
    let Race { layer, operation, default, inputs, .. } = race;
    writeln!(out, "{layer:10} {operation:24} {default:28} {winner:28} {ratio:>6}  {}; {inputs}", ms.join(", "))
}

fn print_steps(out: &mut impl Write, steps: &StepTimes, model: &str, batch: usize, json: bool) -> std::io::Result<()> {
    let (default, tuned) = (steps.default.median, steps.tuned.median);
    let ratio = default / tuned;
    if json {
        let line = json!({
            "event": "end", "model": model, "batch_size": batch, "default_ms": default, "tuned_ms": tuned, "ratio": ratio,
        });
        return writeln!(out, "{line}");
    }
    writeln!(
        out,
        "\n{model} at batch {batch}: a step takes {default:.3} ms by default, {tuned:.3} ms tuned; {ratio:.2} times\n"
    )
}
