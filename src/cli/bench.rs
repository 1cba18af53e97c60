//! `lenslet bench`.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::bail;
use lenslet::bench::{Bench, Inference, KernelTime, Peak, Preparation, Spread, Stretch, Training, cases};
use lenslet::nn::Model;
use lenslet::optim::{AnyOptimizer, RmsProp, Sgd};
use lenslet::{Device, Gpu, Precision};
use serde_json::json;

use crate::cli::{DeviceOption, JsonOption};

mod frames;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  lenslet bench train --model lenet5 --batch-size 64
  lenslet bench train --profile            where the time of a step goes
  lenslet bench frames --budget-ms 6       training in an app of 60 frames a second
  lenslet bench infer --batch-size 1       latency
  lenslet bench kernels matmul             every matrix product, every kernel of each
Everything is compared with the reference before it is timed. Build with --release, and leave the machine alone.")]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Whole training steps: images a second, host time, first step
    Train(TrainOptions),
    /// Training between the frames of an app: what it costs each frame
    Frames(frames::FramesOptions),
    /// Inference: images from host memory in, logits back to host memory
    Infer(InferOptions),
    /// Each kernel separately
    Kernels(KernelOptions),
}

#[derive(clap::Args)]
struct Work {
    #[arg(help = crate::cli::model_help(), long, value_name = "NAME|FILE.toml", default_value = "lenet5")]
    model: String,
    /// Duration of the measurement in seconds
    #[arg(long, default_value_t = 10.0, value_parser = crate::cli::seconds)]
    seconds: f64,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    json: JsonOption,
}

#[derive(clap::Args)]
struct TrainOptions {
    /// Batch size
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// sgd (momentum 0.9) or rmsprop
    #[arg(long, value_parser = ["sgd", "rmsprop"], default_value = "sgd")]
    optimizer: String,
    /// Storage type of intermediate values
    #[arg(long, default_value_t, value_name = "f32|f16")]
    precision: Precision,
    /// Lists the device time of each dispatch of a step
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    work: Work,
}

#[derive(clap::Args)]
struct InferOptions {
    /// Batch size
    #[arg(long, default_value_t = 256)]
    batch_size: usize,
    #[command(flatten)]
    work: Work,
}

#[derive(clap::Args)]
struct KernelOptions {
    /// Only cases whose name contains this text
    #[arg(default_value = "")]
    only: String,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    json: JsonOption,
}

/// Number of intervals of a measurement.
const STRETCHES: usize = 5;
/// Rounds of a profile.
const PROFILE_ROUNDS: usize = 9;

pub fn run(options: &Options, start: Instant) -> anyhow::Result<()> {
    match &options.what {
        What::Train(options) => train(options, start),
        What::Frames(options) => frames::run(options),
        What::Infer(options) => infer(options, start),
        What::Kernels(options) => kernels(options),
    }
}

/// Startup times, in seconds.
struct Start {
    /// Creation of instance, adapter and device.
    adapter: f64,
    preparation: Preparation,
    first_step: f64,
    /// From the start of this program.
    program: f64,
}

impl Start {
    /// The startup times up to the first result. The device has just been opened, starting at `opening`.
    fn of<T>(
        program: Instant,
        device: &DeviceOption,
        new: impl FnOnce(&Device) -> lenslet::Result<(T, Preparation)>,
        first: impl FnOnce(&mut T) -> lenslet::Result<()>,
    ) -> anyhow::Result<(Device, T, Self)> {
        let opening = Instant::now();
        let device = device.open()?;
        let adapter = opening.elapsed().as_secs_f64();
        let (mut work, preparation) = new(&device)?;
        let beginning = Instant::now();
        first(&mut work)?;
        let first_step = beginning.elapsed().as_secs_f64();
        let start = Self { adapter, preparation, first_step, program: program.elapsed().as_secs_f64() };
        Ok((device, work, start))
    }

    fn rows(&self) -> [(&'static str, f64); 5] {
        let [pipelines, data] = [self.preparation.pipelines, self.preparation.data].map(|d| d.as_secs_f64());
        let sum = self.adapter + pipelines + data + self.first_step;
        [
            ("adapter", self.adapter),
            ("pipelines", pipelines),
            ("data", data),
            ("first step", self.first_step),
            ("sum", sum),
        ]
    }
}

/// The results of `train` and `infer`.
struct Measured {
    /// The network's name.
    model: String,
    start: Start,
    stretches: Vec<Stretch>,
    dispatches: Option<usize>,
}

impl Measured {
    fn print(&self, work: &Work, device: &Device, what: &str, batch: usize, losses: &[f32]) -> anyhow::Result<()> {
        let steps = |s: &Stretch| s.steps as f64;
        let ms = Spread::of(self.stretches.iter().map(|s| 1e3 * s.wall.as_secs_f64() / steps(s)));
        let host = Spread::of(self.stretches.iter().map(|s| 1e6 * s.host.as_secs_f64() / steps(s)));
        let rate = ms.per(1e3 * batch as f64);
        let mut out = std::io::stdout().lock();
        if work.json.json {
            let mut line = json!({
                "event": what, "model": self.model, "batch_size": batch,
                "device": device.describe(),
                "backend": match device { Device::Gpu(gpu) => gpu.backend(), Device::Cpu => "cpu".into() },
                "images_per_s": spread(rate), "ms_per_step": spread(ms), "host_us_per_step": spread(host),
                "dispatches_per_step": self.dispatches, "first_step_s": self.start.program,
            });
            for (name, seconds) in self.start.rows() {
                line["start_s"][name.replace(' ', "_")] = json!(seconds);
            }
            for (name, at) in [("loss_1", 0), ("loss_32", 31)] {
                if let Some(loss) = losses.get(at) {
                    line[name] = json!(loss);
                }
            }
            return Ok(writeln!(out, "{line}")?);
        }
        let dispatches = self.dispatches.map_or("none".into(), |n| n.to_string());
        writeln!(out, "{what} {} at batch {batch}    min, median, max of {STRETCHES} stretches", self.model)?;
        writeln!(out, "images/s       {:>10.0} {:>10.0} {:>10.0}", rate.min, rate.median, rate.max)?;
        writeln!(out, "ms a step      {:>10.3} {:>10.3} {:>10.3}", ms.min, ms.median, ms.max)?;
        writeln!(out, "host µs a step {:>10.1} {:>10.1} {:>10.1}", host.min, host.median, host.max)?;
        writeln!(out, "dispatches     {dispatches:>10}")?;
        writeln!(out, "first step     {:>10.2} s after the start of this program", self.start.program)?;
        for (name, seconds) in self.start.rows() {
            writeln!(out, "  {name:<12} {seconds:>10.3} s")?;
        }
        Ok(())
    }
}

/// Measures intervals that fill the time, after a warm-up of at least a tenth of it.
fn stretches(seconds: f64, mut run: impl FnMut(usize) -> lenslet::Result<Stretch>) -> anyhow::Result<Vec<Stretch>> {
    // Doubles the number of steps, because the first steps include deferred compilation by drivers.
    let mut warm = run(1)?;
    while warm.wall < Duration::from_secs_f64(seconds / 10.0) {
        warm = run(2 * warm.steps)?;
    }
    let per_second = warm.steps as f64 / warm.wall.as_secs_f64().max(1e-9);
    let steps = ((per_second * seconds / STRETCHES as f64) as usize).max(1);
    Ok((0..STRETCHES).map(|_| run(steps)).collect::<lenslet::Result<_>>()?)
}

fn train(options: &TrainOptions, start: Instant) -> anyhow::Result<()> {
    let work = &options.work;
    let model = crate::cli::model(&work.model)?;
    let optimizer = match options.optimizer.as_str() {
        "sgd" => AnyOptimizer::Sgd(Sgd::new(0.05).momentum(0.9)),
        _ => AnyOptimizer::RmsProp(RmsProp::new(0.001)),
    }
    .boxed();
    let batch = options.batch_size;
    let new = |device: &Device| {
        let training = Training::new(device, &model, optimizer.as_ref(), batch, options.precision)?;
        let preparation = training.preparation;
        Ok((training, preparation))
    };
    let (device, mut training, start) = Start::of(start, &work.device, new, |t| t.run(1).map(drop))?;
    Training::check(&device, &model, optimizer.as_ref(), batch, options.precision)?;
    if options.profile {
        return profile(&mut training, work.json.json);
    }
    let stretches = stretches(work.seconds, |steps| training.run(steps))?;
    let model = model.name().to_string();
    let measured = Measured { model, start, stretches, dispatches: training.dispatches() };
    measured.print(work, &device, "train", batch, &training.losses)
}

fn profile(training: &mut Training, json: bool) -> anyhow::Result<()> {
    training.run(8)?;
    let Some(profile) = training.profile(PROFILE_ROUNDS)? else {
        bail!("the CPU has no dispatches to time; take a GPU, with --device gpu")
    };
    let (rows, sum) = (&profile.dispatches, profile.sum_ms());
    let (step, between) = (profile.step_ms, profile.between_ms());
    let mut out = std::io::stdout().lock();
    if json {
        for r in rows {
            let of = |which: usize| r.parts.iter().map(|part| part[which].as_str()).collect::<Vec<_>>().join(" + ");
            let line = json!({
                "layer": of(0), "operation": of(1), "kernel": of(2), "ms": r.ms, "share": r.ms / step,
            });
            writeln!(out, "{line}")?;
        }
        let line = json!({
            "event": "end", "dispatches": rows.len(), "dispatches_ms": sum, "between_ms": between, "step_ms": step,
        });
        return Ok(writeln!(out, "{line}")?);
    }
    let line = |what: &str, ms: f64| format!("{what:70} {ms:>9.3} ms {:>6.1} %", 100.0 * ms / step);
    for r in rows {
        for (number, [layer, operation, kernel]) in r.parts.iter().enumerate() {
            let what = format!("{layer:10} {operation:26} {kernel}");
            // Operations joined with the first one of a dispatch have no separate time.
            writeln!(out, "{}", if number == 0 { line(&what, r.ms) } else { format!("  beside {what}") })?;
        }
    }
    writeln!(out, "{}", line(&format!("{} dispatches, one by one", rows.len()), sum))?;
    writeln!(out, "{}", line("between dispatches (below 0 where they overlap)", between))?;
    writeln!(out, "{}", line("a whole step in one pass", step))?;
    Ok(())
}

fn infer(options: &InferOptions, start: Instant) -> anyhow::Result<()> {
    let work = &options.work;
    let model = crate::cli::model(&work.model)?;
    let batch = options.batch_size;
    let new = |device: &Device| {
        let inference = Inference::new(device, &model, batch)?;
        let preparation = inference.preparation;
        Ok((inference, preparation))
    };
    let (device, mut inference, start) = Start::of(start, &work.device, new, |i| i.call().map(drop))?;
    Inference::check(&device, &model, batch)?;
    let stretches = stretches(work.seconds, |calls| inference.run(calls))?;
    let model = model.name().to_string();
    let measured = Measured { model, start, stretches, dispatches: inference.dispatches() };
    measured.print(work, &device, "infer", batch, &[])
}

fn kernels(options: &KernelOptions) -> anyhow::Result<()> {
    let Device::Gpu(gpu) = options.device.open()? else {
        bail!("kernels run on a GPU; {}", lenslet::gpu::HOW_TO_GET_A_DRIVER);
    };
    let cases: Vec<_> = cases().into_iter().filter(|case| case.name.contains(&options.only)).collect();
    if cases.is_empty() {
        return Err(lenslet::Error::option("ONLY", "part of a case's name, such as matmul", &options.only).into());
    }
    let bench = Bench::new(&gpu);
    let peak = bench.peak()?;
    let mut out = std::io::stdout().lock();
    if !options.json.json {
        writeln!(
            out,
            "peak: {:.1} GFLOP/s in a loop of multiply-adds, {:.1} GB/s in a copy\n",
            peak.gflops, peak.gbytes_per_s
        )?;
        writeln!(out, "{:36} {:18} {:28} {:>9} {HEADS}", "case", "operation", "kernel", "ms")?;
    }
    for case in &cases {
        for time in bench.case(case)? {
            print_kernel(&mut out, &time, peak, &gpu, options.json.json)?;
        }
    }
    Ok(())
}

const HEADS: &str = "  GFLOP/s  a core     GB/s   share";

fn print_kernel(out: &mut impl Write, t: &KernelTime, peak: Peak, gpu: &Gpu, json: bool) -> std::io::Result<()> {
    let share = t.share_of(peak);
    // On hardware the processor only waits.
    let a_core = gpu.is_software().then(|| t.gflops_per_core());
    if json {
        let line = json!({
            "kernel": t.kernel, "case": t.case, "operation": t.operation, "candidate": t.candidate, "ms": t.ms.median,
            "ms_min": t.ms.min, "ms_max": t.ms.max, "gflops": t.gflops, "gflops_per_core": a_core,
            "gbytes_per_s": t.gbytes_per_s, "share_of_peak": share, "device": gpu.name(),
        });
        return writeln!(out, "{line}");
    }
    let a_core = a_core.map_or(String::new(), |v| format!("{v:.2}"));
    writeln!(
        out,
        "{:36} {:18} {:28} {:>9.3} {:>9.2} {a_core:>7} {:>8.2} {:>5.0} %",
        t.case,
        t.operation,
        t.kernel,
        t.ms.median,
        t.gflops,
        t.gbytes_per_s,
        100.0 * share
    )
}

fn spread(s: Spread) -> serde_json::Value {
    json!({ "min": s.min, "median": s.median, "max": s.max })
}
