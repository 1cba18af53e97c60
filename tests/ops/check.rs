//! What is done with a case.

use lenslet::check::{Case, Random};
use lenslet::compile::compile_with;
use lenslet::gpu::GpuSession;
use lenslet::tensor::HostData;
use lenslet::{Gpu, Graph, Padding, TensorType, Window};

use crate::differences;

/// The gradients to the float inputs against central differences.
pub fn gradients(case: &Case) {
    differences::check(case).unwrap_or_else(|e| panic!("OPS_CASE={:?}: {e}", case.name));
}

/// Every candidate of every operation of the case, forward and backward, against the reference.
pub fn kernels(case: &Case, gpu: &Gpu) {
    let trials = case.trials().unwrap_or_else(|e| panic!("{}: {e}", case.name));
    for trial in trials {
        for v in trial.run(gpu).unwrap_or_else(|e| panic!("OPS_CASE={:?}: {e}", case.name)) {
            assert!(
                v.passed,
                "OPS_CASE={:?}: {} {}, kernel {} (candidate {}{}, {:?} shaders): {:?}",
                v.case,
                v.operation,
                v.detail,
                v.kernel,
                v.candidate,
                if v.in_place { ", in place" } else { "" },
                gpu.checks(),
                v.worst,
            );
        }
    }
}

/// The operations of the case that have a path in f32 on the CPU, each compared with the reference.
pub fn on_cpu(case: &Case) -> Vec<&'static str> {
    let trials = case.trials().unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let verdicts = trials.iter().filter_map(|trial| trial.on_cpu());
    verdicts
        .map(|v| {
            assert!(v.passed, "OPS_CASE={:?}: {} {}, {}: {:?}", v.case, v.operation, v.detail, v.kernel, v.worst);
            v.operation
        })
        .collect()
}

/// A picture shifted by a row and two columns gives the same response, shifted alike, away from the border: for each
/// kernel of the convolution, to the bit.
pub fn translation_equivariance(gpu: &Gpu) {
    let (h, w) = (19, 23);
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 2, h, w])).unwrap();
    let f = graph.input("w", TensorType::f32([5, 2, 3, 3])).unwrap();
    let y = graph.conv2d(x, f, None, Window::new(3).padding(Padding::Same)).unwrap();
    graph.output(y);
    let candidates = graph.node(y).op().expect("computed").kernels(&graph.io(y), gpu.limits()).len();
    let mut random = Random::of("equivariance");
    let picture: Vec<f32> = (0..2 * h * w).map(|_| random.unit() as f32).collect();
    let filters: Vec<f32> = (0..5 * 2 * 9).map(|_| random.unit() as f32).collect();
    let (down, right) = (1, 2);
    let shifted: Vec<f32> = (0..2 * h * w)
        .map(|i| {
            let (c, row, column) = (i / (h * w), i / w % h, i % w);
            if row < down || column < right { 0.0 } else { picture[(c * h + row - down) * w + column - right] }
        })
        .collect();
    for candidate in 0..candidates {
        let plan = compile_with(&graph, gpu.limits(), &|_, _, _| Ok(candidate)).unwrap();
        let session = GpuSession::from_plan(gpu, &graph, plan).unwrap();
        session.write(f, HostData::F32(&filters)).unwrap();
        let response = |picture: &[f32]| {
            session.write(x, HostData::F32(picture)).unwrap();
            session.submit(1);
            session.read(y).unwrap()
        };
        let (plain, moved) = (response(&picture), response(&shifted));
        for k in 0..5 {
            for row in 1..h - 1 - down {
                for column in 1..w - 1 - right {
                    let before = plain[(k * h + row) * w + column];
                    let after = moved[(k * h + row + down) * w + column + right];
                    assert_eq!(before, after, "candidate {candidate}, filter {k} at {row}, {column}");
                }
            }
        }
    }
}
