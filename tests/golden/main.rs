//! Every operation and option against another engine: values that PyTorch computed in f64, forward, backward, and for
//! optimizers over ten steps. `assets/golden/README.md` says how they were made; inputs are computed from a hash, by the
//! same rules there and here.
//!
//! To see one case: `GOLDEN_CASE=17 cargo test --test golden -- --nocapture`.

mod build;
mod cases;
#[path = "../common/mod.rs"]
mod common;
mod coverage;
mod operation;
mod trajectory;

use lenslet::{Device, Gpu, ShaderChecks};

use cases::{Case, Golden, selected};

/// The first element whose error passes `allowed`, as a message.
fn compare(got: &[f64], want: &[f32], allowed: f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} values, PyTorch has {}", got.len(), want.len()));
    }
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (got - f64::from(*want)).abs();
        if error.is_nan() || error > allowed {
            return Err(format!("element {at} is {got}, PyTorch says {want}, allowed error {allowed:.2e}"));
        }
    }
    Ok(())
}

fn in_words(error: lenslet::Error) -> String {
    error.to_string()
}

/// Where the case and PyTorch differ, if they do.
fn difference(case: &Case, golden: &Golden, gpu: Option<&Gpu>) -> Option<String> {
    let result = match trajectory::optimizer(case) {
        Some(rule) => trajectory::check(case, rule.as_ref(), golden, &gpu.map_or(Device::Cpu, Device::from)),
        None => operation::check(case, golden, gpu),
    };
    let reason = result.err()?;
    let shapes: Vec<_> = case.inputs.iter().map(|input| &input.shape).collect();
    Some(format!("GOLDEN_CASE={} {} {shapes:?} {}: {reason}", case.number, case.op, case.options.0))
}

fn check(gpu: Option<&Gpu>) {
    let golden = Golden::read();
    let differences: Vec<String> = selected().iter().filter_map(|case| difference(case, &golden, gpu)).collect();
    assert!(differences.is_empty(), "{} cases differ from PyTorch:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn the_reference_agrees_with_pytorch() {
    check(None);
}

#[test]
fn the_gpu_agrees_with_pytorch() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    check(Some(&gpu));
}

#[test]
fn every_operation_has_a_golden_case_or_a_reason_not_to() {
    coverage::check();
}
