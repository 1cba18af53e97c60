//! Cases of batch, layer, group, instance, RMS and local response normalization.

use crate::ops::{Affine, LocalResponse};
use crate::{Graph, NodeId, TensorType};

use crate::check::cases::{Case, Fill, Input, case};

type Build = fn(&mut Graph, NodeId, Affine, usize) -> crate::Result<NodeId>;

/// Shapes with few and many elements per group, in one range and in many; batches of 1, planes of 1, one channel.
const SHAPES: [&[usize]; 7] =
    [&[2, 1], &[5, 3], &[1, 4, 3, 3], &[3, 6, 5, 7], &[2, 2, 9, 16], &[70, 2, 1, 1], &[2, 3, 70]];

pub fn all() -> Vec<Case> {
    let mut cases = vec![];
    for shape in SHAPES {
        let (c, rank) = (shape[1], shape.len());
        cases.extend(norm("batch_norm", shape, &[c], 0, |g, x, a, _| g.batch_norm(x, a, None, 0.1, 1e-5)));
        cases.extend(norm("instance_norm", shape, &[c], 0, |g, x, a, _| g.instance_norm(x, a, 1e-3)));
        for groups in [1, 2, 3].into_iter().filter(|groups| c.is_multiple_of(*groups)) {
            cases.extend(norm("group_norm", shape, &[c], groups, |g, x, a, n| g.group_norm(x, n, a, 1e-3)));
        }
        for axis in 0..rank {
            cases.extend(norm("layer_norm", shape, &shape[axis..], axis, |g, x, a, n| g.layer_norm(x, n, a, 1e-3)));
            cases.extend(norm("rms_norm", shape, &shape[axis..], axis, |g, x, a, n| g.rms_norm(x, n, a.weight, 1e-3)));
        }
        let mut fixed = case(format!("batch_norm_inference {shape:?}"), &[shape, &[c], &[c]], move |g, i| {
            let variances = g.constant("running", crate::Tensor::from_fn([2, c], |i| 0.3 + 0.1 * i as f32))?;
            g.batch_norm_inference(i[0], Affine::new(i[1], i[2]), variances, 1e-5)
        });
        fixed.differentiable = true;
        cases.push(fixed);
    }
    let large = |name: &str, shape: &'static [usize], build: Build| {
        let [affine, _] = norm(name, shape, &shape[1..2], 1, build);
        affine.no_differences()
    };
    cases.push(large("batch_norm", &[3, 4, 90, 70], |g, x, a, _| g.batch_norm(x, a, None, 0.1, 1e-5)));
    cases.push(large("batch_norm", &[5000, 3], |g, x, a, _| g.batch_norm(x, a, None, 0.1, 1e-5)));
    cases.push(large("layer_norm", &[3, 5000], |g, x, a, n| g.layer_norm(x, n, a, 1e-5)));
    cases.push(large("rms_norm", &[3, 5000], |g, x, a, n| g.rms_norm(x, n, a.weight, 1e-5)));
    cases.extend(tracking());
    cases.extend(responses());
    cases
}

/// Cases with weight and bias, and without.
fn norm(name: &str, shape: &[usize], weights: &[usize], option: usize, build: Build) -> [Case; 2] {
    let affine = case(format!("{name} {option} {shape:?}"), &[shape, weights, weights], move |g, i| {
        build(g, i[0], Affine::new(i[1], i[2]), option)
    });
    let plain = case(format!("{name} {option} {shape:?}, plain"), &[shape], move |g, i| {
        build(g, i[0], Affine::default(), option)
    });
    [affine, plain]
}

/// Running averages: within a training step's graph, and for several momenta.
fn tracking() -> Vec<Case> {
    let track = |momentum: f32| {
        let float = |shape: &[usize]| Input { ty: TensorType::f32(shape), fill: Fill::Any };
        Case {
            name: format!("track_moments momentum {momentum}"),
            inputs: vec![float(&[4, 70]), float(&[2, 70])],
            build: Box::new(move |g, i| g.batch_norm(i[0], Affine::default(), Some(i[1]), momentum, 1e-5)),
            differentiable: false,
            backward: false,
            updates: true,
            joined: false,
        }
    };
    [0.0, 0.1, 1.0].map(track).into()
}

/// Windows of even and odd sizes, wider than the channels, and AlexNet's.
fn responses() -> Vec<Case> {
    let strong = |size| LocalResponse { size, alpha: 2.0, beta: 0.6, k: 0.5 };
    let alexnet = LocalResponse { alpha: 5e-4, k: 2.0, ..LocalResponse::new(5) };
    let mut cases = vec![];
    for shape in [&[2, 1][..], &[3, 7], &[2, 8, 3, 5], &[1, 96, 4, 4]] {
        for by in [strong(1), strong(2), strong(3), strong(20), LocalResponse::new(5), alexnet] {
            let name = format!("local_response_norm {by:?} {shape:?}");
            cases.push(case(&name, &[shape], move |g, i| g.local_response_norm(i[0], by)));
            cases.push(case(name + ", ties", &[shape], move |g, i| g.local_response_norm(i[0], by)).fill(Fill::Ties));
        }
    }
    cases
}
