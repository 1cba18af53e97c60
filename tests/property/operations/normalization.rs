//! Batch, layer, group, instance, RMS and local response normalization.

use lenslet::Tensor;
use lenslet::check::Case;
use lenslet::ops::{Affine, LocalResponse};
use proptest::prelude::*;

use super::{Operation, float_of, shape};
use crate::line::{Fields, Line, Value, number, tensor};

pub fn all() -> Vec<Operation> {
    vec![
        Operation { name: "batch_norm", draw: batches, build: batch_norm },
        Operation { name: "batch_norm_inference", draw: || channels(1).boxed(), build: batch_norm_inference },
        Operation { name: "instance_norm", draw: instances, build: instance_norm },
        Operation { name: "group_norm", draw: groups, build: group_norm },
        Operation { name: "layer_norm", draw: || rows(2), build: layer_norm },
        Operation { name: "rms_norm", draw: || rows(1), build: rms_norm },
        Operation { name: "local_response_norm", draw: responses, build: local_response_norm },
    ]
}

fn epsilon() -> impl Strategy<Value = Value> {
    float_of(&[1e-3, 1e-2, 0.1]).prop_map(Value::Float)
}

/// `[N, C, ..]` with at least two elements per channel, its optional weight and bias, and an epsilon.
fn channels(groups: usize) -> impl Strategy<Value = Fields> {
    (shape(2..5), any::<bool>(), epsilon()).prop_map(move |(mut x, affine, epsilon)| {
        x[0] = x[0].max(2);
        x[1] *= groups;
        let mut fields = vec![("x", tensor(x.clone()))];
        if affine {
            fields.extend([("weight", tensor([x[1]])), ("bias", tensor([x[1]]))]);
        }
        fields.push(("epsilon", epsilon));
        fields
    })
}

/// The operands after x.
fn affine(operands: &[lenslet::NodeId]) -> Affine {
    Affine { weight: operands.get(1).copied(), bias: operands.get(2).copied() }
}

fn batches() -> BoxedStrategy<Fields> {
    // Variables that the operation replaces have no gradient, and vice versa.
    let tracked = prop_oneof![2 => Just(None), 1 => float_of(&[0.0, 0.1, 1.0]).prop_map(Some)];
    let fields = |(fields, tracked): (Fields, Option<f32>)| match tracked {
        None => fields,
        Some(momentum) => {
            let Value::Tensors(x) = &fields[0].1 else { panic!("x comes first") };
            let running = tensor([2, x[0].shape[1]]);
            let epsilon = fields[fields.len() - 1].1.clone();
            let x = fields[0].1.clone();
            vec![("x", x), ("running", running), ("momentum", Value::Float(momentum)), ("epsilon", epsilon)]
        }
    };
    (channels(1), tracked).prop_map(fields).boxed()
}

fn batch_norm(line: &Line) -> Case {
    let epsilon = line.float("epsilon");
    if line.fields.iter().any(|(name, _)| name == "running") {
        let momentum = line.float("momentum");
        let mut case = line.case(move |g, i| g.batch_norm(i[0], Affine::default(), Some(i[1]), momentum, epsilon));
        (case.differentiable, case.backward, case.updates) = (false, false, true);
        return case;
    }
    line.case(move |g, i| g.batch_norm(i[0], affine(i), None, 0.1, epsilon))
}

fn batch_norm_inference(line: &Line) -> Case {
    let epsilon = line.float("epsilon");
    line.case(move |g, i| {
        let channels = g.shape(i[0]).get(1).map_or(1, |&c| c.min(1 << 16));
        let running = Tensor::from_fn([2, channels], |i| 0.3 + 0.1 * i as f32);
        let running = g.constant("running", running)?;
        g.batch_norm_inference(i[0], affine(i), running, epsilon)
    })
}

fn instances() -> BoxedStrategy<Fields> {
    channels(1).boxed()
}

fn instance_norm(line: &Line) -> Case {
    let epsilon = line.float("epsilon");
    line.case(move |g, i| g.instance_norm(i[0], affine(i), epsilon))
}

fn groups() -> BoxedStrategy<Fields> {
    let fields = |groups: usize| {
        channels(groups).prop_map(move |mut fields| {
            fields.push(("groups", number(groups)));
            fields
        })
    };
    (1usize..4).prop_flat_map(fields).boxed()
}

fn group_norm(line: &Line) -> Case {
    let (groups, epsilon) = (line.number("groups"), line.float("epsilon"));
    line.case(move |g, i| g.group_norm(i[0], groups, affine(i), epsilon))
}

/// Normalization over all axes from one on, with up to `operands` operands of their extents.
fn rows(operands: usize) -> BoxedStrategy<Fields> {
    let fields = move |(x, axis, affine, epsilon): (Vec<usize>, usize, bool, Value)| {
        let axis = axis % x.len();
        let extents = x[axis..].to_vec();
        let mut fields = vec![("x", tensor(x))];
        if affine {
            let names = ["weight", "bias"];
            fields.extend(names.into_iter().take(operands).map(|name| (name, tensor(extents.clone()))));
        }
        fields.extend([("axis", number(axis)), ("epsilon", epsilon)]);
        fields
    };
    (shape(1..5), 0usize..5, any::<bool>(), epsilon()).prop_map(fields).boxed()
}

fn layer_norm(line: &Line) -> Case {
    let (axis, epsilon) = (line.number("axis"), line.float("epsilon"));
    line.case(move |g, i| g.layer_norm(i[0], axis, affine(i), epsilon))
}

fn rms_norm(line: &Line) -> Case {
    let (axis, epsilon) = (line.number("axis"), line.float("epsilon"));
    line.case(move |g, i| g.rms_norm(i[0], axis, i.get(1).copied(), epsilon))
}

fn responses() -> BoxedStrategy<Fields> {
    let constants = (float_of(&[0.0, 1e-4, 0.5, 2.0]), float_of(&[0.0, 0.6, 0.75, 1.0]), float_of(&[0.5, 1.0, 2.0]));
    let fields = |(x, size, (alpha, beta, k)): (Vec<usize>, usize, (f32, f32, f32))| {
        let constants = [("alpha", alpha), ("beta", beta), ("k", k)].map(|(name, v)| (name, Value::Float(v)));
        [vec![("x", tensor(x)), ("size", number(size))], constants.into()].concat()
    };
    super::filled((shape(2..5), 1usize..12, constants).prop_map(fields), &["any", "any", "ties"])
}

fn local_response_norm(line: &Line) -> Case {
    let [alpha, beta, k] = ["alpha", "beta", "k"].map(|name| line.float(name));
    let by = LocalResponse { size: line.number("size"), alpha, beta, k };
    line.case(move |g, i| g.local_response_norm(i[0], by))
}
