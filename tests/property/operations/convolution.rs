//! Convolution and transposed convolution.

use lenslet::check::Case;
use proptest::prelude::*;

use super::{Fitting, Operation, window};
use crate::line::{Fields, Line, Value, number, pair, tensor};

pub fn all() -> Vec<Operation> {
    vec![
        Operation { name: "conv2d", draw: convolutions, build: conv2d },
        Operation { name: "conv_transpose2d", draw: transposes, build: conv_transpose2d },
    ]
}

/// Batch size, channels and filters per group, groups, and whether there is a bias.
type Channels = (usize, [usize; 2], usize, bool);

fn channels() -> impl Strategy<Value = Channels> {
    let groups = prop_oneof![3 => Just(1usize), 2 => 2usize..4];
    // Depthwise convolution has its own kernels, and many channels fill a tile.
    let each = prop_oneof![2 => [1usize..5, 1usize..5], 1 => [1usize..2, 1usize..3], 1 => [1usize..20, 1usize..20]];
    (1usize..4, each, groups, any::<bool>())
}

fn convolutions() -> BoxedStrategy<Fields> {
    let fields = |((n, [c, k], groups, bias), window): (Channels, Fitting)| {
        let [h, w] = window.image;
        let [r, s] = window.size;
        let mut fields = vec![("x", tensor([n, c * groups, h, w])), ("w", tensor([k * groups, c, r, s]))];
        fields.extend(bias.then(|| ("b", tensor([k * groups]))));
        fields.extend(window.fields());
        fields.push(("groups", number(groups)));
        fields
    };
    (channels(), window()).prop_map(fields).boxed()
}

fn conv2d(line: &Line) -> Case {
    let (window, groups) = (line.window(), line.number("groups"));
    line.case(move |g, i| g.conv2d_grouped(i[0], i[1], i.get(2).copied(), window, groups))
}

fn transposes() -> BoxedStrategy<Fields> {
    let sizes = [1usize..6, 1usize..6];
    let fields = |(channels, mut window, [p, q], extra): (Channels, Fitting, [usize; 2], [usize; 2])| {
        let (n, [c, k], groups, bias) = channels;
        let [r, s] = window.size;
        window.ceil = false;
        let same = matches!(window.padding, Value::Word(_));
        let extra = [0, 1].map(|axis| match window.stride[axis].max(window.dilation[axis]) {
            _ if same => 0,
            most => extra[axis] % most,
        });
        // Padding is cropped from the output; with this many rows and columns some are left.
        let [p, q] = if same { [p, q] } else { [p + 4, q + 4] };
        let mut fields = vec![("x", tensor([n, c * groups, p, q])), ("w", tensor([c * groups, k, r, s]))];
        fields.extend(bias.then(|| ("b", tensor([k * groups]))));
        fields.extend(window.fields());
        fields.extend([("output_padding", pair(extra)), ("groups", number(groups))]);
        fields
    };
    (channels(), window(), sizes, [0usize..3, 0usize..3]).prop_map(fields).boxed()
}

fn conv_transpose2d(line: &Line) -> Case {
    let (window, extra, groups) = (line.window(), line.pair("output_padding"), line.number("groups"));
    line.case(move |g, i| g.conv_transpose2d(i[0], i[1], i.get(2).copied(), window, extra, groups))
}
