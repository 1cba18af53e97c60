//! `lenslet bench frames`.

use std::io::Write;
use std::time::Duration;

use lenslet::bench::{Frames, Training};
use lenslet::optim::{AnyOptimizer, Sgd};
use lenslet::{Precision, models};
use serde_json::json;

use crate::cli::{DeviceOption, JsonOption};

#[derive(clap::Args)]
pub struct FramesOptions {
    /// Multiplies the filters and units of LeNet-5 by this factor: 8 gives 48 times the work per step
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    width: u16,
    /// Batch size
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// Training time per frame in milliseconds
    #[arg(long, default_value_t = 6.0, value_parser = crate::cli::seconds)]
    budget_ms: f64,
    /// Frames a second
    #[arg(long, default_value_t = 60.0, value_parser = crate::cli::seconds)]
    rate: f64,
    /// Duration of the measurement in seconds
    #[arg(long, default_value_t = 10.0, value_parser = crate::cli::seconds)]
    seconds: f64,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    json: JsonOption,
}

/// The warm-up as a fraction of the measured time, in which training learns the durations of its slices.
const WARM_UP: f64 = 0.2;

pub fn run(options: &FramesOptions) -> anyhow::Result<()> {
    let FramesOptions { width, batch_size, budget_ms, rate, .. } = *options;
    let device = options.device.open()?;
    let model = models::lenet5_of_width(width.into());
    let optimizer = || AnyOptimizer::Sgd(Sgd::new(0.01).momentum(0.9)).boxed();
    let budget = Duration::from_secs_f64(1e-3 * budget_ms);
    let mut frames = Frames::new(&device, &model, optimizer(), batch_size, rate, budget)?;
    Training::check(&device, &model, optimizer().as_ref(), batch_size, Precision::F32)?;
    let measured = Duration::from_secs_f64(options.seconds);
    frames.run(measured.mul_f64(WARM_UP))?;
    let times = frames.run(measured)?;
    let images_per_s = (times.steps * batch_size as u64) as f64 / times.wall.as_secs_f64();
    let [median, p99, max] = [0.5, 0.99, 1.0].map(|share| times.percentile(share));
    let mut out = std::io::stdout().lock();
    if options.json.json {
        let line = json!({
            "event": "frames", "width": width, "batch_size": batch_size, "budget_ms": budget_ms, "rate": rate,
            "device": device.describe(), "frames": times.ms.len(), "steps": times.steps,
            "submissions": times.submissions, "images_per_s": images_per_s,
            "ms": { "median": median, "p99": p99, "max": max },
        });
        return Ok(writeln!(out, "{line}")?);
    }
    writeln!(
        out,
        "LeNet-5 of width {width} at batch {batch_size}, {budget_ms} ms of each frame at {rate} frames a second"
    )?;
    writeln!(out, "frames            {:>8}", times.ms.len())?;
    writeln!(out, "ms in training    {median:>8.2} median, {p99:.2} at the 99th percentile, {max:.2} at most")?;
    writeln!(out, "steps             {:>8}, {images_per_s:.0} images/s", times.steps)?;
    writeln!(out, "submissions       {:>8.1} a frame", times.submissions as f64 / times.ms.len() as f64)?;
    Ok(())
}
