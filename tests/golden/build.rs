//! From a case to its operation, by the name of its builder.

use lenslet::ops::{Affine, CrossEntropy, Cut, LocalResponse, TABLE, Upsampling};
use lenslet::{Graph, NodeId, Padding, Result, Window};

use crate::cases::{Case, Options};

/// What an operation makes.
pub struct Made {
    pub y: NodeId,
    /// Further results that PyTorch's values have, by their names there.
    pub others: Vec<(&'static str, NodeId)>,
}

/// Builds the case's operation on its inputs.
pub fn build(case: &Case, g: &mut Graph, i: &[NodeId]) -> Result<Made> {
    let o = &case.options;
    let op = case.op.as_str();
    let y = match op {
        "max_pool2d_with_positions" => {
            let [y, positions] = g.max_pool2d_with_positions(i[0], window(o))?;
            return Ok(Made { y, others: vec![("positions", positions)] });
        }
        "batch_norm" => {
            let (affine, rest) = affine(o, i);
            let running = rest.first().copied();
            let y = g.batch_norm(i[0], affine, running, o.float("momentum"), o.float("epsilon"))?;
            return Ok(Made { y, others: running.map(|running| ("running", running)).into_iter().collect() });
        }
        "add" | "sub" | "mul" | "div" => g.binary(op, i[0], i[1]),
        _ if TABLE.iter().any(|row| row.name == op) => match o.has("parameter") {
            true => g.unary_with(op, o.float("parameter"), i[0]),
            false => g.unary(op, i[0]),
        },
        _ if op.contains("conv") => convolution(op, o, g, i),
        _ if op.contains("pool") => pooling(op, o, g, i),
        _ if op.contains("norm") && op != "clip_norm" => normalisation(op, o, g, i),
        _ => other(op, o, g, i),
    };
    Ok(Made { y: y?, others: vec![] })
}

fn window(o: &Options) -> Window {
    let padding = match o.text("padding") {
        "valid" => Padding::Valid,
        "same" => Padding::Same,
        "same_lower" => Padding::SameLower,
        _ => {
            let [top, bottom, left, right] = o.array("sides");
            Padding::Explicit { top, bottom, left, right }
        }
    };
    Window::new(o.array("size"))
        .stride(o.array("stride"))
        .dilation(o.array("dilation"))
        .padding(padding)
        .ceil_mode(o.has("ceil_mode"))
}

fn convolution(op: &str, o: &Options, g: &mut Graph, i: &[NodeId]) -> Result<NodeId> {
    let bias = i.get(2).copied();
    match op {
        "conv2d" => g.conv2d(i[0], i[1], bias, window(o)),
        "conv2d_grouped" => g.conv2d_grouped(i[0], i[1], bias, window(o), o.size("groups")),
        "conv_transpose2d" => {
            let extra: [usize; 2] = o.array("output_padding");
            g.conv_transpose2d(i[0], i[1], bias, window(o), extra, o.size("groups"))
        }
        _ => unknown(op),
    }
}

fn pooling(op: &str, o: &Options, g: &mut Graph, i: &[NodeId]) -> Result<NodeId> {
    match op {
        "max_pool2d" => g.max_pool2d(i[0], window(o)),
        "avg_pool2d" => g.avg_pool2d(i[0], window(o), o.flag("count_include_pad")),
        "lp_pool2d" => g.lp_pool2d(i[0], window(o), o.float("p")),
        "adaptive_max_pool2d" => g.adaptive_max_pool2d(i[0], o.array::<2>("to")),
        "adaptive_avg_pool2d" => g.adaptive_avg_pool2d(i[0], o.array::<2>("to")),
        "global_max_pool2d" => g.global_max_pool2d(i[0]),
        "global_avg_pool2d" => g.global_avg_pool2d(i[0]),
        "max_pool_channels" => g.max_pool_channels(i[0], o.size("size"), o.size("stride")),
        "avg_pool_channels" => g.avg_pool_channels(i[0], o.size("size"), o.size("stride")),
        // The maxima go back to where they were, or other values in their stead.
        "max_unpool2d" => {
            let [maxima, positions] = g.max_pool2d_with_positions(i[0], window(o))?;
            g.max_unpool2d(i.get(1).copied().unwrap_or(maxima), positions, o.array::<2>("to"))
        }
        _ => unknown(op),
    }
}

/// Weight and bias, and the inputs behind them.
fn affine<'a>(o: &Options, i: &'a [NodeId]) -> (Affine, &'a [NodeId]) {
    match (o.text("affine"), &i[1..]) {
        ("none", rest) => (Affine::default(), rest),
        ("weight", [weight, rest @ ..]) => (Affine { weight: Some(*weight), bias: None }, rest),
        ("bias", [bias, rest @ ..]) => (Affine { weight: None, bias: Some(*bias) }, rest),
        ("both", [weight, bias, rest @ ..]) => (Affine::new(*weight, *bias), rest),
        (name, rest) => panic!("{} inputs do not hold affine: {name}", rest.len()),
    }
}

fn normalisation(op: &str, o: &Options, g: &mut Graph, i: &[NodeId]) -> Result<NodeId> {
    if op == "local_response_norm" {
        let [alpha, beta, k] = ["alpha", "beta", "k"].map(|key| o.float(key));
        return g.local_response_norm(i[0], LocalResponse { size: o.size("size"), alpha, beta, k });
    }
    let ((affine, rest), epsilon) = (affine(o, i), o.float("epsilon"));
    match op {
        "batch_norm_inference" => g.batch_norm_inference(i[0], affine, rest[0], epsilon),
        "layer_norm" => g.layer_norm(i[0], o.size("axis"), affine, epsilon),
        "rms_norm" => g.rms_norm(i[0], o.size("axis"), affine.weight, epsilon),
        "group_norm" => g.group_norm(i[0], o.size("groups"), affine, epsilon),
        "instance_norm" => g.instance_norm(i[0], affine, epsilon),
        _ => unknown(op),
    }
}

fn cross_entropy(o: &Options) -> CrossEntropy {
    CrossEntropy {
        label_smoothing: o.float("label_smoothing"),
        class_weights: o.has("class_weights").then(|| o.floats("class_weights")),
    }
}

fn upsampling(o: &Options) -> Upsampling {
    match o.text("how") {
        "nearest" => Upsampling::Nearest,
        "bilinear" => Upsampling::Bilinear,
        how => panic!("no upsampling is called {how}"),
    }
}

/// Matrices, reductions, losses, layout, clipping.
fn other(op: &str, o: &Options, g: &mut Graph, i: &[NodeId]) -> Result<NodeId> {
    match op {
        "matmul" => g.matmul(i[0], i[1], o.flag("transpose_a"), o.flag("transpose_b")),
        "dense" => g.dense(i[0], i[1], i.get(2).copied()),
        "sum" => g.sum(i[0], &o.sizes("axes"), o.flag("keep")),
        "mean" => g.mean(i[0], &o.sizes("axes"), o.flag("keep")),
        "max" => g.max(i[0], &o.sizes("axes"), o.flag("keep")),
        "softmax" => g.softmax(i[0], o.size("axis")),
        "log_softmax" => g.log_softmax(i[0], o.size("axis")),
        "scale" => g.scale(i[0], o.float("factor")),
        "prelu" => g.prelu(i[0], i[1]),
        "clip_value" => g.clip_value(i[0], o.float("most")),
        "clip_norm" => g.clip_norm(i[0], o.float("most")),
        "softmax_cross_entropy" => g.softmax_cross_entropy(i[0], i[1]),
        "softmax_cross_entropy_with" => g.softmax_cross_entropy_with(i[0], i[1], &cross_entropy(o)),
        "softmax_cross_entropy_soft" => g.softmax_cross_entropy_soft(i[0], i[1], &cross_entropy(o)),
        "mean_squared_error" => g.mean_squared_error(i[0], i[1]),
        "mean_absolute_error" => g.mean_absolute_error(i[0], i[1]),
        "huber_loss" => g.huber_loss(i[0], i[1], o.float("delta")),
        "binary_cross_entropy" => g.binary_cross_entropy(i[0], i[1]),
        "class_targets" => g.class_targets(i[0], i[1], o.float("smoothing")),
        "count_correct" => g.count_correct(i[0], i[1]),
        "transpose" => g.transpose(i[0], &o.sizes("axes")),
        "broadcast_to" => g.broadcast_to(i[0], o.sizes("to")),
        "sum_to" => g.sum_to(i[0], o.sizes("to")),
        "reshape" => g.reshape(i[0], o.sizes("to")),
        "flatten" => g.flatten(i[0]),
        "copy" => g.copy(i[0]),
        "slice_flat" => g.slice_flat(i[0], o.size("offset"), o.sizes("to")),
        "pack" => g.pack(i, &o.sizes("offsets"), o.size("total")),
        "slice" => {
            let cut = |[axis, start, end, step]: [usize; 4]| Cut::new(axis, start..end).step(step);
            g.slice(i[0], &o.rows("cuts").into_iter().map(cut).collect::<Vec<_>>())
        }
        "concat" => g.concat(i, o.size("axis")),
        "pad" => g.pad(i[0], &o.rows("sides"), o.float("value")),
        "upsample" => g.upsample(i[0], o.array::<2>("to"), upsampling(o)),
        "upsample_by" => g.upsample_by(i[0], o.array::<2>("factor"), upsampling(o)),
        _ => unknown(op),
    }
}

fn unknown(op: &str) -> ! {
    panic!("no operation is called {op}: name its builder in tests/golden/build.rs")
}
