//! What `lenslet plan` prints before anything runs is what the device's allocator hands out.

mod common;

use std::process::Command;

use lenslet::data::Spec;
use lenslet::gpu::{GpuSession, Tuned};
use lenslet::nn::Layout;
use lenslet::optim::Sgd;
use lenslet::plan::BufferRole;
use lenslet::train::TrainingStep;
use lenslet::{Gpu, ShaderChecks, models};

/// MNIST's, which the command takes as given.
const DATA: Spec = Spec { len: 60_000, shape: [1, 28, 28], classes: 10 };
const BATCH: usize = 256;
/// Allocators round sizes up to the alignment of a binding, at most.
const ROUNDING: u64 = 256;

#[test]
fn a_step_takes_the_memory_that_its_plan_says() {
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    // A device of its own: what other tests allocate does not count.
    let gpu = Gpu::new().unwrap();
    gpu.tune_by(Tuned::default());
    let allocations = || {
        let report = gpu.device().generate_allocator_report()?;
        Some(report.allocations.iter().map(|a| a.size).collect::<Vec<u64>>())
    };
    let Some(before) = allocations() else {
        println!("skipped: {} reports no allocations", gpu.backend());
        return;
    };
    let before: u64 = before.iter().sum();
    for name in ["lenet5", "convnet"] {
        let model = models::by_name(name).unwrap();
        let layout = Layout::of(&model).unwrap();
        let optimizer = Sgd::new(0.05).momentum(0.9);
        let steps = DATA.len.div_ceil(BATCH);
        let step = TrainingStep::new(&model, &layout, &optimizer, DATA, BATCH, steps).unwrap();
        let session = GpuSession::new(&gpu, &step.graph).unwrap();
        let plan = session.plan();
        let made = allocations().unwrap().iter().sum::<u64>() - before;
        let planned = plan.total_bytes();
        let rounding = ROUNDING * plan.buffers.len() as u64;
        assert!((planned..=planned + rounding).contains(&made), "{name}: {planned} bytes planned, {made} allocated");
        let slots = plan.bytes(|role| *role == BufferRole::Slot);
        assert_eq!(slots, plan.memory.planned);
        let ratio = slots as f64 / plan.memory.lower_bound as f64;
        assert!(ratio <= 1.1, "{name}: activations take {ratio:.3} times the most that is alive at once");

        let cache = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lenslet"));
        command.args(["plan", name, "--batch-size", &BATCH.to_string(), "--json", "--device", "gpu"]);
        let output = command.env("LENSLET_CACHE", cache.path()).output().unwrap();
        let printed: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a line of JSON");
        assert_eq!(printed["bytes_total"], planned, "{name}: {printed}");
        assert_eq!(printed["bytes_planned"], plan.memory.planned);
        assert_eq!(printed["bytes_lower_bound"], plan.memory.lower_bound);

        session.submit(1);
        gpu.wait().unwrap();
        drop(session);
        gpu.wait().unwrap();
    }
}
