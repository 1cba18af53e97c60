//! `lenslet plan`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lenslet::compile::compile;
use lenslet::data::Spec;
use lenslet::kernel::Limits;
use lenslet::nn::{Layout, Model, Summary};
use lenslet::optim::Sgd;
use lenslet::plan::{BufferRole, Plan};
use lenslet::train::{StepOptions, TrainingStep};
use lenslet::{Device, Error, Precision};
use serde_json::json;

use crate::cli::{DeviceOption, JsonOption, thousands};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  lenslet plan lenet5 --batch-size 64
  lenslet plan lenet5 --batch-size 32 --accumulate 8
  lenslet plan convnet --dispatches    every dispatch of the step, with its kernel and buffers
  lenslet plan convnet --device cpu --shaders wgsl     the WGSL of a hardware GPU's kernels, in the folder wgsl
The data set is assumed to be MNIST's 60,000 images, resident on the device.")]
pub struct Options {
    #[arg(help = crate::cli::model_help())]
    model: String,
    /// Batch size
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=IMAGES as u64))]
    batch_size: u64,
    /// Storage type of intermediate values
    #[arg(long, default_value_t, value_name = "f32|f16")]
    precision: Precision,
    /// Micro-batches per update of the weights (gradient accumulation)
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    accumulate: u32,
    /// Lists the buffers and the dispatches
    #[arg(long)]
    dispatches: bool,
    /// The former name of `--dispatches`
    #[arg(long, hide = true)]
    steps: bool,
    /// Writes the WGSL of every shader, with all constants set, to this folder: NUMBER-LAYER-KERNEL.wgsl
    #[arg(long, value_name = "FOLDER")]
    shaders: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    json: JsonOption,
}

/// The size of MNIST's training set.
const IMAGES: usize = 60_000;

pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.steps {
        eprintln!("note: --steps of plan is now --dispatches");
    }
    let model = crate::cli::model(&options.model)?;
    let limits = match options.device.open()? {
        Device::Gpu(gpu) => *gpu.limits(),
        Device::Cpu => Limits::desktop(),
    };
    let layout = Layout::of(&model)?;
    let (batch, accumulate) = (options.batch_size as usize, options.accumulate as usize);
    let plan = |batch: usize| {
        let options =
            StepOptions { precision: options.precision, accumulate, ..StepOptions::new(batch, IMAGES.div_ceil(batch)) };
        plan(&model, &layout, &limits, options)
    };
    let largest = largest_batch(plan)?;
    let plan = plan(batch).map_err(|error| match error {
        Error::Limit { what, limit, needed, available, .. } => {
            let hint = format!("the largest batch that fits is {largest}");
            Error::Limit { what, limit, needed, available, hint }
        }
        other => other,
    })?;
    if let Some(folder) = &options.shaders {
        write_shaders(&plan, folder)?;
    }
    let slots = plan.buffers.iter().filter(|b| b.role == BufferRole::Slot).count();
    let parameters = layout.ty().bytes();
    let mut out = std::io::stdout().lock();
    if options.json.json {
        let line = json!({
            "model": model.name(),
            "batch_size": batch,
            "accumulate": accumulate,
            "dispatches_per_step": plan.launches().count(),
            "kernels_per_step": plan.steps.len(),
            "opaque_dispatches": plan.opaque().map(|step| step.dispatch.shader.name).collect::<Vec<_>>(),
            "slots": slots,
            "bytes_naive": plan.memory.naive,
            "bytes_planned": plan.memory.planned,
            "bytes_lower_bound": plan.memory.lower_bound,
            "bytes_parameters": parameters,
            "bytes_total": plan.total_bytes(),
            "largest_batch": largest,
        });
        writeln!(out, "{line}")?;
        return Ok(());
    }
    if options.dispatches || options.steps {
        writeln!(out, "{plan}")?;
    }
    let m = plan.memory;
    let ratio = m.planned as f64 / m.lower_bound.max(1) as f64;
    let largest_binding = plan.steps.iter().flat_map(|s| &s.bindings).map(|b| b.place.bytes).max().unwrap_or(0);
    let most_bindings = plan.launches().map(|launch| launch.bindings().len()).max().unwrap_or(0);
    let shared = if accumulate > 1 { format!(", {accumulate} per update") } else { String::new() };
    let opaque: Vec<_> = plan.opaque().map(|step| step.dispatch.shader.name).collect();
    let mut rows = vec![
        ("training step", format!("{} at batch {batch}{shared}", model.name())),
        ("dispatches", format!("{}, with {} kernels", plan.launches().count(), plan.steps.len())),
        ("activations", format!("{} bytes in {slots} slots", thousands(m.planned))),
        ("  without reuse", format!("{} bytes", thousands(m.naive))),
        (
            "  lower bound",
            format!("{} bytes, the maximum live at once; planned {ratio:.2} times that", thousands(m.lower_bound)),
        ),
        (
            "parameters",
            format!("{} bytes, and the same for gradients and for each optimizer state", thousands(parameters)),
        ),
        ("all buffers", format!("{} bytes, including the data set", thousands(plan.total_bytes()))),
        (
            "limits needed",
            format!("a binding of {} bytes, {most_bindings} storage buffers", thousands(largest_binding)),
        ),
        ("largest batch", format!("{} on this device", thousands(largest as u64))),
    ];
    if !opaque.is_empty() {
        rows.insert(2, ("opaque", opaque.join(", ")));
    }
    for (what, value) in rows {
        writeln!(out, "{what:<16} {value}")?;
    }
    Ok(())
}

/// Writes the shader of each dispatch, to test a driver's offline compiler without the device.
fn write_shaders(plan: &Plan, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    for (number, step) in plan.steps.iter().enumerate() {
        let file = folder.join(format!("{number:03}-{}-{}.wgsl", step.name, step.dispatch.shader.name));
        std::fs::write(&file, step.dispatch.source()?).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn plan(model: &dyn Model, layout: &Layout, limits: &Limits, options: StepOptions) -> lenslet::Result<Plan> {
    let shape = <[usize; 3]>::try_from(&model.input()[..])
        .map_err(|_| Error::option("model input", "[C, H, W]", model.input()))?;
    let classes = Summary::of(model)?.output.last().copied().unwrap_or(1);
    let data = Spec { len: IMAGES, shape, classes };
    let step = TrainingStep::with(model, layout, &Sgd::new(0.05).momentum(0.9), data, options)?;
    compile(&step.graph, limits)
}

/// The largest batch size, up to the whole set, within the device's limits; 0 if none is.
fn largest_batch(plan: impl Fn(usize) -> lenslet::Result<Plan>) -> lenslet::Result<usize> {
    let fits = |batch| match plan(batch) {
        Ok(_) => Ok(true),
        Err(Error::Limit { .. } | Error::Shape { .. }) => Ok(false),
        Err(error) => Err(error),
    };
    // `least` fits and `most` does not: memory grows with the batch size.
    let (mut least, mut most) = (0, IMAGES + 1);
    while most - least > 1 {
        let middle = least.midpoint(most);
        if fits(middle)? { least = middle } else { most = middle }
    }
    Ok(least)
}
