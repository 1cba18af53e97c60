//! Whole networks of a few layers, forward and backward, through fusion and the memory plan: every value that is read
//! against the reference.
//!
//! How far the device may be is measured, not guessed: the reference runs some times more with each operation's whole
//! budget, with random signs, added to its result, and what that does to a value is what rounding may do to it.

use lenslet::check::{Random, Value, agrees};
use lenslet::compile::pull_back;
use lenslet::cpu::budget;
use lenslet::gpu::GpuSession;
use lenslet::graph::{Placement, Source};
use lenslet::nn::{Build, Layer, Layout, Model, Reach};
use lenslet::ops::{Affine, Upsampling};
use lenslet::tensor::View;
use lenslet::{Gpu, Graph, NodeId, Result, Shape, Tensor, TensorType};
use proptest::prelude::*;

use crate::line::{self, Fields, Line, word};

pub const NAME: &str = "chain";

/// What a layer may be. One that does not suit the value it gets is left out.
const LAYERS: [&str; 32] = [
    "conv",
    "wide_conv",
    "strided_conv",
    "depthwise",
    "relu",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "gelu",
    "silu",
    "softplus",
    "max_pool",
    "avg_pool",
    "overlapping_pool",
    "keep",
    "add_kept",
    "concat_kept",
    "mul_kept",
    "square",
    "upsample",
    "normalize",
    "instance_norm",
    "layer_norm",
    "transpose",
    "pad",
    "softmax",
    "reshape",
    "permute",
    "crop",
    "clip",
    "pad_channels",
    "unpool",
];

pub fn draw() -> BoxedStrategy<Fields> {
    let layers = proptest::collection::vec(proptest::sample::select(&LAYERS[..]), 1..8);
    let fields = |([n, c, h, w], layers): ([usize; 4], Vec<&str>)| {
        vec![("x", line::Value::Numbers(vec![n, c, h, w])), ("layers", word(&layers.join("-")))]
    };
    ([1usize..4, 1usize..5, 1usize..10, 1usize..10], layers).prop_map(fields).boxed()
}

struct Chain<'a> {
    input: Shape,
    layers: Vec<&'a str>,
}

impl Model for Chain<'_> {
    fn name(&self) -> &str {
        NAME
    }

    fn input(&self) -> Shape {
        self.input.clone()
    }

    fn forward(&self, b: &mut Build<'_>, mut x: NodeId) -> Result<NodeId> {
        let mut kept = x;
        for (number, layer) in self.layers.iter().enumerate() {
            if *layer == "keep" {
                kept = x;
            } else {
                x = append(b, &format!("{layer}{number}"), layer, x, kept)?;
            }
        }
        let flat = Layer::flatten().apply(b, "flatten", x)?;
        Layer::dense(3).apply(b, "dense", flat)
    }
}

/// A layer on `x`, or `x` where it does not fit.
fn append(b: &mut Build<'_>, name: &str, layer: &str, x: NodeId, kept: NodeId) -> Result<NodeId> {
    let [n, c, h, w] = b.graph.shape(x).nchw("x").expect("layers keep to pictures");
    // Of one picture: parameters must not depend on the batch.
    let larger = c * h * w > 200;
    let alike = b.graph.shape(kept) == b.graph.shape(x);
    let [kn, _, kh, kw] = b.graph.shape(kept).nchw("kept").expect("layers keep to pictures");
    match layer {
        "conv" => Layer::conv2d(c.min(3) + 1, 3).padding(1).apply(b, name, x),
        "wide_conv" if !larger => Layer::conv2d(9, 1).bias(false).apply(b, name, x),
        "strided_conv" => Layer::conv2d(2, 2).stride(2).padding(1).apply(b, name, x),
        "depthwise" => Layer::conv2d(c, 3).padding(1).depthwise().apply(b, name, x),
        "max_pool" if h.min(w) > 1 => Layer::max_pool2d(2).apply(b, name, x),
        "avg_pool" if h.min(w) > 1 => Layer::avg_pool2d(2).apply(b, name, x),
        "overlapping_pool" if h.min(w) > 2 => Layer::max_pool2d(3).stride(2).padding(1).apply(b, name, x),
        "reshape" => Layer::reshape([h as i64, -1, c as i64]).apply(b, name, x),
        "permute" => Layer::permute([3, 1, 2]).apply(b, name, x),
        "crop" if h.min(w) > 2 => Layer::crop(1).apply(b, name, x),
        "clip" => Layer::clip(-0.4, 0.6).apply(b, name, x),
        "pad_channels" if !larger => Layer::pad_channels(1).apply(b, name, x),
        "unpool" if h.min(w) > 1 => {
            let pool = format!("{name}.pool");
            let pooled = Layer::max_pool2d(2).apply(b, &pool, x)?;
            Layer::max_unpool2d(pool).apply(b, name, pooled)
        }
        "normalize" => Layer::normalize((0..c).map(|c| 0.1 * c as f32).collect::<Vec<_>>(), [0.5]).apply(b, name, x),
        "relu" | "leaky_relu" | "sigmoid" | "tanh" | "gelu" | "silu" | "softplus" => {
            Layer::activation(layer).apply(b, name, x)
        }
        _ => b.layer(name, layer, x, Reach::All, |b| match layer {
            "square" => b.graph.mul(x, x),
            "add_kept" if alike => b.graph.add(x, kept),
            "mul_kept" if alike => b.graph.mul(kept, x),
            "concat_kept" if [n, h, w] == [kn, kh, kw] && !larger => b.graph.concat(&[kept, x], 1),
            "upsample" if !larger => b.graph.upsample_by(x, 2, Upsampling::Bilinear),
            // Channels of few elements hardly vary, which makes every rounding error large.
            "instance_norm" if h * w > 3 => b.graph.instance_norm(x, Affine::default(), 1e-2),
            "layer_norm" => b.graph.layer_norm(x, 1, Affine::default(), 1e-2),
            "transpose" => b.graph.transpose(x, &[0, 1, 3, 2]),
            "pad" if !larger => b.graph.pad(x, &[[0, 0], [0, 1], [1, 0], [0, 2]], 0.5),
            "softmax" => b.graph.softmax(x, 1),
            _ => Ok(x),
        }),
    }
}

/// Compares the result and all gradients. Errors of the library are those of the line; a difference is the reason.
pub fn check(line: &Line, gpu: Option<&Gpu>) -> Result<Result<(), String>> {
    let x_type = TensorType::f32(line.numbers("x"));
    let layers = line.word("layers").split('-').collect();
    let model = Chain { input: x_type.shape[1..].into(), layers };
    let layout = Layout::of(&model)?;
    let mut graph = Graph::new();
    let x = graph.input("x", x_type)?;
    let parameters = graph.variable("parameters", layout.ty())?;
    let y = layout.forward(&model, &mut graph, parameters, x)?;
    let mut random = Random::of(&line.to_string());
    let upstream = Tensor::from_fn(graph.shape(y).clone(), |_| random.unit() as f32);
    let dy = graph.constant("upstream", upstream)?;
    // Each parameter, in the layout's order.
    let mut wrt: Vec<_> = graph.ids().filter(|&id| graph.node(id).inputs() == [parameters]).collect();
    wrt.push(x);
    let mut gradients = pull_back(&mut graph, y, dy, &wrt)?;
    let dx = gradients.pop().expect("one for each");
    // As a training step keeps them.
    let packed = graph.pack(&gradients, layout.offsets(), layout.total())?;
    let outputs = [y, dx, packed];
    outputs.iter().for_each(|&output| graph.output(output));

    let picture: Vec<f64> = (0..graph.shape(x).elements()).map(|_| random.unit()).collect();
    let initial: Vec<f64> = layout.initial(line.seed).into_iter().map(f64::from).collect();
    let leaves = [Value::Numbers(picture), Value::Numbers(initial)];
    let want = evaluate(&graph, &leaves, None);
    let mut allowed = vec![0.0f64; outputs.len()];
    for _ in 0..3 {
        let noisy = evaluate(&graph, &leaves, Some(&mut random));
        for (allowed, output) in allowed.iter_mut().zip(&outputs) {
            let errors = want[output.index()].iter().zip(&noisy[output.index()]).map(|(a, b)| (a - b).abs());
            *allowed = errors.fold(*allowed, f64::max);
        }
    }

    let Some(gpu) = gpu else { return Ok(Ok(())) };
    let session = GpuSession::new(gpu, &graph)?;
    for (leaf, value) in [x, parameters].into_iter().zip(&leaves) {
        value.with_host_data(graph.dtype(leaf), |data| session.write(leaf, data))?;
    }
    session.submit(2);
    for ((output, what), allowed) in outputs.into_iter().zip(["y", "dx", "gradients"]).zip(allowed) {
        let got = session.read(output)?;
        // Three draws fall short of the worst one.
        let allowed = 2.0 * allowed + f64::from(f32::MIN_POSITIVE);
        for (i, (&got, &want)) in got.iter().zip(&want[output.index()]).enumerate() {
            if !agrees(f64::from(got), want, allowed) {
                return Ok(Err(format!(
                    "{what}: element {i} is {got}, the reference says {want}, allowed {allowed:.3e}"
                )));
            }
        }
    }
    Ok(Ok(()))
}

/// Every value of the graph; with `noise`, each result is off by its budget, up or down.
fn evaluate(graph: &Graph, leaves: &[Value], mut noise: Option<&mut Random>) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = vec![];
    let mut leaves = leaves.iter();
    for id in graph.ids() {
        let node = graph.node(id);
        values.push(match &node.source {
            Source::Constant(v) => v.iter().map(|&v| f64::from(v)).collect(),
            Source::Input | Source::Variable => match leaves.next() {
                Some(Value::Numbers(v)) => v.clone(),
                _ => panic!("numbers for each leaf"),
            },
            Source::Op { op, inputs } => {
                let views: Vec<View<'_>> =
                    inputs.iter().map(|i| View::new(graph.shape(*i), &values[i.index()])).collect();
                let mut out = vec![0.0; node.ty.shape.elements()];
                op.eval(&views, &mut out);
                if let (Some(random), Placement::Own) = (noise.as_mut(), graph.traits(id).placement) {
                    let budgets = budget(op.as_ref(), &graph.io(id), &views, &out);
                    // What is exactly 0, such as a rectified number, is so on every device.
                    let off = |v: &mut f64, by: f64| *v += if *v == 0.0 { 0.0 } else { by };
                    out.iter_mut().zip(budgets).for_each(|(v, by)| off(v, by * random.unit().signum()));
                }
                out
            }
        });
    }
    values
}
