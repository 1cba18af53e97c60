//! Operations defined outside the crate, whose shaders do not keep to the dialect of `shaders/README.md`: they run as
//! they are written, beside other kernels, fused graphs, halves and slices, and match their references.

use std::sync::Arc;

use lenslet::gpu::GpuSession;
use lenslet::graph::{Op, Traits};
use lenslet::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use lenslet::tensor::View;
use lenslet::{Error, Gpu, Graph, HostData, NodeId, Precision, Result, ShaderChecks, TensorType};

use crate::common;
use crate::job::noise;

/// An elementwise operation `y = f(x)` by a shader of the test, which may claim anything of it.
#[derive(Debug)]
struct Foreign {
    shader: Shader,
    /// Elements a workgroup.
    size: usize,
    meaning: fn(f64, usize) -> f64,
    claims: bool,
}

impl Op for Foreign {
    fn name(&self) -> &'static str {
        "foreign"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(inputs[0].clone())
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        out.iter_mut().zip(inputs[0].f64()).enumerate().for_each(|(i, (y, x))| *y = (self.meaning)(*x, i));
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(self.shader).reads_inputs(1).writes(Operand::Output);
        vec![Kernel::single(dispatch.invocations(io.output.shape.elements(), self.size))]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { overwrites: if self.claims { &[0] } else { &[] }, takes_epilogue: self.claims, ..Traits::default() }
    }
}

const BINDINGS: &str = "@group(0) @binding(0) var<storage, read> x: array<f32>;\n\
                        @group(0) @binding(1) var<storage, read_write> y: array<f32>;\n";

fn shader(name: &'static str, text: &str) -> Shader {
    Shader::new(name, format!("{BINDINGS}{text}").leak())
}

fn operations() -> Vec<Foreign> {
    let double = |x: f64, _| 2.0 * x;
    let entry = "@builtin(workgroup_id) workgroup: vec3<u32>,\n    @builtin(num_workgroups) grid: vec3<u32>,\n    \
                 @builtin(local_invocation_index) lane: u32,\n) {\n    ";
    let square = format!(
        "@compute @workgroup_size(16, 16)\nfn square(\n    {entry}let i = workgroup_index(workgroup, grid) * 256u + lane;\n    \
         if i < arrayLength(&y) {{\n        y[i] = 2.0 * x[i];\n    }}\n}}\n"
    );
    let helper = format!(
        "fn value(i: u32) -> f32 {{\n    return x[i] * 40.0;\n}}\n@compute @workgroup_size(64)\nfn helper(\n    {entry}let i = \
         workgroup_index(workgroup, grid) * 64u + lane;\n    if i < arrayLength(&y) {{\n        \
         y[i] = value(i) - 38.0 * x[i];\n    }}\n}}\n"
    );
    let twice = format!(
        "@compute @workgroup_size(64)\nfn twice(\n    {entry}let i = workgroup_index(workgroup, grid) * 64u + lane;\n    \
         if i < arrayLength(&y) {{\n        y[i] = x[i] + f32(workgroup_index(workgroup, grid));\n    }}\n}}\n"
    );
    let named = "fn is_nan(v: f32) -> bool { return false; }\n@compute @workgroup_size(64)\n\
                 fn main(@builtin(global_invocation_id) id: vec3<u32>) {\n  let i = id.x;\n  if (i < arrayLength(&y)) \
                 { y[i] = select(2.0 * x[i], 0.0, is_nan(x[i])); }\n}\n";
    vec![
        Foreign { shader: shader("square", &square), size: 256, meaning: double, claims: true },
        Foreign { shader: shader("helper", &helper), size: 64, meaning: double, claims: true },
        Foreign { shader: shader("twice", &twice), size: 64, meaning: |x, i| x + (i / 64) as f64, claims: false },
        Foreign { shader: shader("another_name", named), size: 64, meaning: double, claims: true },
    ]
}

/// A foreign operation between a product, an activation and operations that could share its launch.
fn graph(op: Arc<dyn Op>, precision: Precision) -> Result<(Graph, NodeId, NodeId, [NodeId; 3])> {
    let mut graph = Graph::new();
    graph.set_precision(precision);
    let x = graph.input("x", TensorType::f32([32, 64]))?;
    let w = graph.input("w", TensorType::f32([64, 48]))?;
    let before = graph.relu(x)?;
    let foreign = graph.append_shared(op, &[before])?;
    let beside = graph.tanh(x)?;
    let after = graph.relu(foreign)?;
    let product = graph.matmul(foreign, w, false, false)?;
    let outputs = [after, product, beside];
    outputs.iter().for_each(|&output| graph.output(output));
    Ok((graph, x, w, outputs))
}

#[test]
fn opaque_shaders_compute_what_they_mean_beside_other_kernels() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let (xs, ws) = (noise(32 * 64), noise(64 * 48));
    for op in operations() {
        assert!(!op.shader.departures().is_empty() && !op.shader.is_trusted(), "{}", op.shader.name);
        let (name, meaning): (_, fn(f64, usize) -> f64) = (op.shader.name, op.meaning);
        let op: Arc<dyn Op> = Arc::new(op);
        let foreign: Vec<f64> = xs.iter().enumerate().map(|(i, x)| meaning(f64::from(x.max(0.0)), i)).collect();
        let product = |row: usize, column: usize| -> f64 {
            (0..64).map(|k| foreign[row * 64 + k] * f64::from(ws[k * 48 + column])).sum()
        };
        for precision in [Precision::F32, Precision::F16] {
            let (graph, x, w, [after, times, beside]) = graph(op.clone(), precision).unwrap();
            let many = Limits { software: false, ..*gpu.limits() };
            if precision == Precision::F16 && !gpu.limits().f16 {
                continue;
            }
            for (gpu, sliced) in [(gpu.clone(), false), (gpu.planned_for(many), false), (gpu.clone(), true)] {
                let session = if sliced { GpuSession::sliced(&gpu, &graph) } else { GpuSession::new(&gpu, &graph) };
                let session = session.unwrap_or_else(|error| panic!("{name}: {error}"));
                let plan = session.plan();
                assert_eq!(plan.opaque().count(), 1, "{plan}");
                assert!(plan.to_string().contains("  opaque\n"), "{plan}");
                let alone = plan.launches().filter(|launch| launch.is_opaque()).all(|launch| launch.steps.len() == 1);
                let whole = plan.launches().zip(session.slices()).filter(|(launch, _)| launch.is_opaque());
                assert!(alone && whole.into_iter().all(|(_, slices)| slices == 1), "{plan}");
                session.write(x, HostData::F32(&xs)).unwrap();
                session.write(w, HostData::F32(&ws)).unwrap();
                if sliced {
                    let mut encoder = session.encoder();
                    for (launch, slices) in session.slices().into_iter().enumerate() {
                        (0..slices).for_each(|s| session.encode_slices(&mut encoder, &[(launch, s..s + 1)]));
                    }
                    session.submit_encoder(encoder);
                } else {
                    session.submit(1);
                }
                let near = |got: f32, want: f64, about: &str| {
                    let most = if precision == Precision::F16 { 2e-2 } else { 1e-4 };
                    let error = (f64::from(got) - want).abs();
                    assert!(error <= most * want.abs().max(1.0), "{name}, {about}: {got}, {want} expected");
                };
                session.read(after).unwrap().iter().zip(&foreign).for_each(|(y, v)| near(*y, v.max(0.0), "relu"));
                session.read(beside).unwrap().iter().zip(&xs).for_each(|(y, x)| near(*y, f64::from(x.tanh()), "tanh"));
                let products = session.read(times).unwrap();
                products.iter().enumerate().for_each(|(i, y)| near(*y, product(i / 48, i % 48), "product"));
            }
        }
    }
}

#[test]
fn an_opaque_grid_is_as_asked_or_refused() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let double = |x: f64, _| 2.0 * x;
    let by_id = "@compute @workgroup_size(1)\nfn by_id(@builtin(global_invocation_id) id: vec3<u32>) {\n    \
                 if id.x < arrayLength(&y) {\n        y[id.x] = 2.0 * x[id.x];\n    }\n}\n";
    let by_number = "@compute @workgroup_size(1, 1, 1)\nfn by_number(@builtin(workgroup_id) w: vec3<u32>, \
                     @builtin(num_workgroups) g: vec3<u32>) {\n    let i = workgroup_index(w, g);\n    \
                     if i < arrayLength(&y) {\n        y[i] = 2.0 * x[i];\n    }\n}\n";
    let run = |gpu: &Gpu, name, text, length| {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([length])).unwrap();
        let op = Foreign { shader: shader(name, text), size: 1, meaning: double, claims: false };
        let y = graph.append_shared(Arc::new(op), &[x]).unwrap();
        graph.output(y);
        let session = GpuSession::new(gpu, &graph)?;
        let values = noise(length);
        session.write(x, HostData::F32(&values)).unwrap();
        session.submit(1);
        assert!(session.read(y)?.iter().zip(&values).all(|(y, x)| *y == 2.0 * x), "{name}, {length}");
        Result::Ok(())
    };
    run(&gpu, "by_id", by_id, 65_535).unwrap();
    run(&gpu, "by_number", by_number, 70_000).unwrap();
    match run(&gpu, "by_id", by_id, 70_000) {
        Err(Error::Limit { limit, needed, available, hint, .. }) => {
            assert_eq!((limit, needed, available), ("maxComputeWorkgroupsPerDimension", 70_000, 65_535));
            assert!(hint.contains("workgroup_index(workgroup, grid)"), "{hint}");
        }
        other => panic!("{other:?}"),
    }
}
