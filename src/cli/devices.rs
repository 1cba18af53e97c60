//! `lenslet devices`.

use std::io::Write;

use lenslet::gpu;
use lenslet::gpu::{AdapterSummary, HOW_TO_GET_A_DRIVER};
use serde_json::json;

use crate::cli::{JsonOption, thousands};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  lenslet devices
  lenslet train --device 1        takes the adapter numbered 1
  lenslet train --device radeon   takes the first whose name contains \"radeon\"
  lenslet train --device gl       takes the GL backend, which is listed by no other means")]
pub struct Options {
    #[command(flatten)]
    json: JsonOption,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let adapters = gpu::adapters();
    let mut out = std::io::stdout().lock();
    if options.json.json {
        for (number, adapter) in adapters.iter().enumerate() {
            writeln!(out, "{}", as_json(number, adapter))?;
        }
        return Ok(());
    }
    for (number, a) in adapters.iter().enumerate() {
        writeln!(out, "{number}: {}", a.name)?;
        writeln!(out, "   {}, {}", a.kind, a.driver)?;
        let l = &a.limits;
        writeln!(
            out,
            "   a binding up to {} MiB, a buffer up to {} MiB, {} storage buffers a stage, {} invocations a workgroup",
            thousands(l.max_storage_buffer_binding_size >> 20),
            thousands(l.max_buffer_size >> 20),
            l.max_storage_buffers_per_shader_stage,
            l.max_compute_invocations_per_workgroup,
        )?;
        let features = if a.features.is_empty() { "none".to_string() } else { a.features.join(", ") };
        writeln!(out, "   subgroups of {} to {}; optional features there: {features}", a.subgroup.0, a.subgroup.1)?;
    }
    writeln!(out, "{}", taken(&adapters))?;
    Ok(())
}

fn taken(adapters: &[AdapterSummary]) -> String {
    match adapters.first() {
        Some(a) if a.kind == "software" => {
            format!("--device auto takes {} (no hardware GPU was found; this software device comes next)", a.name)
        }
        Some(a) => format!("--device auto takes {}: {} GPUs come first", a.name, a.kind),
        None => format!("no adapter: --device auto takes the CPU. For a GPU, {HOW_TO_GET_A_DRIVER}"),
    }
}

fn as_json(number: usize, a: &AdapterSummary) -> serde_json::Value {
    json!({
        "number": number,
        "name": a.name,
        "type": a.kind,
        "backend": a.backend,
        "driver": a.driver,
        "auto": number == 0,
        "subgroup_sizes": [a.subgroup.0, a.subgroup.1],
        "features": a.features,
        "limits": {
            "max_storage_buffer_binding_size": a.limits.max_storage_buffer_binding_size,
            "max_buffer_size": a.limits.max_buffer_size,
            "max_storage_buffers_per_shader_stage": a.limits.max_storage_buffers_per_shader_stage,
            "max_compute_invocations_per_workgroup": a.limits.max_compute_invocations_per_workgroup,
        },
    })
}
