//! Operations on values that are stored as halves: arithmetic stays f32, so only the storing rounds.

use std::collections::BTreeMap;

use lenslet::check::{Case, Trial, Value, agrees};
use lenslet::compile::{halves, launches, memory, schedule, select};
use lenslet::cpu::budget;
use lenslet::gpu::GpuSession;
use lenslet::kernel::Io;
use lenslet::plan::BufferRole;
use lenslet::tensor::View;
use lenslet::{DType, Gpu, Graph, NodeId, TensorType};

/// Relative: WGSL lets a driver take either neighbour. Kernels that read again what they wrote round twice.
const UNIT: f64 = 2.0 / 1024.0;
/// Absolute: the least half above 0.
const LEAST: f64 = 1.0 / 16_777_216.0;
/// The largest half; above, drivers may take it or infinity.
const LARGEST: f64 = 65_504.0;

/// How many times each shader was tried with the same bindings as halves.
pub type Seen = BTreeMap<(&'static str, Vec<usize>), usize>;

/// As the shapes are tried in f32, a few of each do.
const ENOUGH: usize = 2;

/// The candidates of the operations of the case, with inputs and output stored as halves where the kernel takes them.
pub fn kernels(case: &Case, gpu: &Gpu, seen: &mut Seen) {
    let trials = case.trials().unwrap_or_else(|e| panic!("{}: {e}", case.name));
    trials.into_iter().for_each(|trial| of_trial(trial, gpu, seen));
}

fn of_trial(mut trial: Trial<'_>, gpu: &Gpu, seen: &mut Seen) {
    for (ty, value) in &mut trial.inputs {
        if let (DType::F32, Value::Numbers(numbers)) = (ty.dtype, value) {
            numbers.iter_mut().for_each(|v| *v = nearest_half(*v));
        }
    }
    let types: Vec<&TensorType> = trial.inputs.iter().map(|(ty, _)| ty).collect();
    let output = trial.op.infer(&types).expect("inferred when the case was built");
    let io = Io { inputs: types, output: &output };
    if !trial.op.traits(&io).updates.is_empty() || output.dtype != DType::F32 {
        return;
    }
    let views: Vec<View<'_>> = trial.inputs.iter().map(|(ty, value)| value.view(ty)).collect();
    let mut want = vec![0.0; output.shape.elements()];
    trial.op.eval(&views, &mut want);
    let budgets = budget(trial.op.as_ref(), &io, &views, &want);
    for candidate in 0..trial.op.kernels(&io, gpu.limits()).len() {
        let about = format!("OPS_CASE={:?}: {:?}, candidate {candidate}", trial.case, trial.op);
        let Some((got, stored)) = run(&trial, candidate, gpu, seen) else { continue };
        for (i, ((&got, &want), &budget)) in got.iter().zip(&want).zip(&budgets).enumerate() {
            let rounding = if stored { UNIT * want.abs() + LEAST } else { 0.0 };
            let is_past = stored && want.abs() + budget >= LARGEST && want.signum() * got >= LARGEST;
            let agrees = agrees(got, want, budget + rounding) || is_past;
            assert!(agrees, "{about}, element {i}: {got}, not {want}");
        }
    }
}

/// The result of a candidate, and whether it was stored as halves; `None` if nothing was, or nothing that is new.
fn run(trial: &Trial<'_>, candidate: usize, gpu: &Gpu, seen: &mut Seen) -> Option<(Vec<f64>, bool)> {
    let mut graph = Graph::new();
    let leaves: Vec<NodeId> =
        trial.inputs.iter().map(|(ty, _)| graph.variable("x", ty.clone())).collect::<Result<_, _>>().unwrap();
    // Only computed values are halves, and no outputs.
    let computed = |(&leaf, (ty, _)): (&NodeId, &(TensorType, _))| match ty.dtype {
        DType::F32 => graph.scale(leaf, 1.0).unwrap(),
        _ => leaf,
    };
    let operands: Vec<NodeId> = leaves.iter().zip(&trial.inputs).map(computed).collect();
    let y = graph.append_shared(trial.op.clone(), &operands).unwrap();
    let read = graph.scale(y, 1.0).unwrap();
    graph.output(read);

    let order = schedule(&graph).unwrap();
    let name = trial.op.name();
    let choose = |op: &'static str, _: &Io<'_>, _: &[_]| Ok(if op == name { candidate } else { 0 });
    let mut kernels = select(&graph, &order, gpu.limits(), &choose).unwrap();
    let halves = halves(&graph, &order, &mut kernels, 2);
    let launches = launches(&graph, &order, &kernels, gpu.limits());
    let plan = memory(&graph, &order, kernels, &launches, &halves);
    let of_op = plan.steps.iter().filter(|step| step.node == y && !step.dispatch.halves.is_empty());
    let mut is_new = false;
    for step in of_op {
        let times = seen.entry((step.dispatch.shader.name, step.dispatch.halves.clone())).or_default();
        is_new |= *times < ENOUGH;
        *times += 1;
    }
    if !is_new {
        return None;
    }
    let slots = plan.buffers.iter().enumerate().filter(|(_, b)| b.role == BufferRole::Slot);
    let slots: Vec<(usize, u64)> = slots.map(|(i, b)| (i, b.bytes)).collect();
    let session = GpuSession::from_plan(gpu, &graph, plan).unwrap_or_else(|e| panic!("{}: {e}", trial.case));
    for (slot, bytes) in slots {
        let poison = f32::NAN.to_ne_bytes().repeat(bytes as usize / 4);
        gpu.queue().write_buffer(session.replay().buffer(slot), 0, &poison);
    }
    for (&leaf, (ty, value)) in leaves.iter().zip(&trial.inputs) {
        value.with_host_data(ty.dtype, |data| session.write(leaf, data)).unwrap();
    }
    session.submit(1);
    Some((session.read_f64(read).unwrap(), halves.contains(&y)))
}

/// A number that a half holds: 11 bits of it, and none that are too small or too large for one.
fn nearest_half(v: f64) -> f64 {
    if v.abs() < 1.0 / 16_384.0 {
        return 0.0 * v;
    }
    let bits = (v as f32).to_bits();
    let rounded = f32::from_bits(if v.is_finite() { (bits + 0x1000) & !0x1fff } else { bits });
    f64::from(if v.is_finite() { rounded.clamp(-LARGEST as f32, LARGEST as f32) } else { rounded })
}
