//! The table: what is run, on which shapes and values.

use lenslet::ops::{ARITHMETIC, IGNORE, TABLE};
use lenslet::optim::{Flat, Optimizer, RmsProp, Sgd};
use lenslet::{Graph, NodeId, Padding, Result, TensorType, Window};

/// How an input is filled.
#[derive(Clone, Copy)]
pub enum Fill {
    /// Floats in −2..2.
    Any,
    /// Floats of magnitude 0.5 to 2.
    AwayFromZero,
    /// Few distinct values, so that maxima tie.
    Ties,
    /// As `Ties`, with NaN and infinities among them.
    Special,
    /// Floats in −10⁴..10⁴.
    Large,
    /// Integers below this.
    Below(u32),
    /// Integers below this, with rows that count for nothing among them.
    BelowOrIgnore(u32),
    /// This number everywhere.
    Only(u32),
    /// Bytes.
    Bytes,
}

pub struct Input {
    pub ty: TensorType,
    pub fill: Fill,
}

type Build = Box<dyn Fn(&mut Graph, &[NodeId]) -> Result<NodeId>>;

pub struct Case {
    pub name: String,
    pub inputs: Vec<Input>,
    pub build: Build,
    /// Compare with central differences: no ties, not too large.
    pub differentiable: bool,
    /// Look at the gradient's kernels too.
    pub backward: bool,
    /// The inputs are variables that the operation replaces.
    pub updates: bool,
}

impl Case {
    /// Whether a scalar function can end its kernels.
    pub fn feeds_activation(&self) -> bool {
        ["conv2d", "dense", "matmul"].iter().any(|op| self.name.starts_with(op))
    }

    fn fill(mut self, fill: Fill) -> Self {
        self.inputs[0].fill = fill;
        self.differentiable = matches!(fill, Fill::Any | Fill::AwayFromZero);
        self
    }

    /// Too large for central differences and for the gradient.
    fn forward_only(mut self) -> Self {
        self.differentiable = false;
        self.backward = false;
        self
    }

    /// No central differences: too many elements for too little insight.
    fn no_differences(mut self) -> Self {
        self.differentiable = false;
        self
    }
}

fn case(
    name: impl Into<String>,
    shapes: &[&[usize]],
    build: impl Fn(&mut Graph, &[NodeId]) -> Result<NodeId> + 'static,
) -> Case {
    let inputs = shapes.iter().map(|&s| Input { ty: TensorType::f32(s), fill: Fill::Any }).collect();
    Case { name: name.into(), inputs, build: Box::new(build), differentiable: true, backward: true, updates: false }
}

/// One over what a grid holds along one axis, in workgroups of 64.
const MANY: usize = 65_535 * 64 + 77;

pub fn all() -> Vec<Case> {
    [
        convolutions(),
        pools(),
        matrices(),
        scalars(),
        arithmetic(),
        reductions(),
        losses(),
        layouts(),
        batches(),
        updates(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn conv(name: &str, x: [usize; 4], w: [usize; 4], bias: bool, window: Window) -> Case {
    let k = [w[0]];
    let shapes: Vec<&[usize]> = if bias { vec![&x, &w, &k] } else { vec![&x, &w] };
    case(format!("conv2d {name}"), &shapes, move |g, i| g.conv2d(i[0], i[1], i.get(2).copied(), window))
}

fn convolutions() -> Vec<Case> {
    let window = |size: usize| Window::new(size);
    let uneven = Padding::Explicit { top: 2, bottom: 0, left: 1, right: 3 };
    vec![
        conv("all ones", [1, 1, 1, 1], [1, 1, 1, 1], true, window(1)),
        conv("pointwise", [2, 5, 3, 7], [3, 5, 1, 1], false, window(1)),
        conv("lenet conv1", [5, 1, 28, 28], [6, 1, 5, 5], true, window(5).padding(2)).no_differences(),
        conv("lenet conv2", [3, 6, 14, 14], [16, 6, 5, 5], true, window(5)).no_differences(),
        conv("convnet conv3", [2, 64, 5, 5], [64, 64, 3, 3], true, window(3)).no_differences(),
        conv("primes", [3, 5, 11, 13], [7, 5, 3, 3], true, window(3)).no_differences(),
        conv("one over a tile", [1, 2, 6, 17], [9, 2, 3, 3], false, window(3)),
        conv("stride", [2, 3, 9, 10], [4, 3, 3, 3], true, window(3).stride(2)),
        conv("stride past the window", [1, 2, 11, 9], [2, 2, 2, 2], true, window(2).stride([3, 4])),
        conv("same", [2, 2, 7, 6], [3, 2, 4, 2], true, Window::new([4, 2]).padding(Padding::Same)),
        conv(
            "same lower, stride",
            [1, 2, 8, 7],
            [3, 2, 3, 2],
            false,
            Window::new([3, 2]).stride(2).padding(Padding::SameLower),
        ),
        conv("uneven padding", [2, 2, 5, 6], [2, 2, 3, 4], true, Window::new([3, 4]).padding(uneven)),
        conv("padding wider than the picture", [1, 1, 2, 3], [2, 1, 3, 3], true, window(3).padding(5)),
        conv("dilation", [1, 2, 9, 11], [3, 2, 3, 3], true, window(3).dilation([2, 3])),
        conv(
            "dilation, stride, padding",
            [2, 2, 9, 10],
            [3, 2, 3, 2],
            true,
            Window::new([3, 2]).dilation([2, 3]).stride([2, 3]).padding(uneven),
        ),
        conv("window of the picture", [2, 3, 6, 5], [4, 3, 6, 5], true, Window::new([6, 5])),
        conv("window too large for a tile of taps", [1, 1, 14, 13], [2, 1, 12, 12], false, window(12)),
        conv("many workgroups", [260, 1, 130, 127], [1, 1, 1, 1], false, window(1)).forward_only(),
    ]
}

fn pools() -> Vec<Case> {
    let shapes: Vec<(&str, [usize; 4], Window)> = vec![
        ("lenet pool1", [3, 6, 28, 28], Window::new(2).stride(2)),
        ("one", [1, 1, 1, 1], Window::new(1)),
        ("overlapping", [2, 3, 7, 9], Window::new(3).stride(2)),
        ("overlapping rows", [1, 2, 8, 5], Window::new([3, 2]).stride([1, 2])),
        ("gapped", [2, 2, 11, 13], Window::new(2).stride([3, 5])),
        ("remainder", [1, 3, 7, 5], Window::new(2).stride(2)),
        ("padded", [2, 2, 6, 7], Window::new(3).stride(2).padding(1)),
        (
            "uneven padding",
            [1, 2, 6, 7],
            Window::new([4, 3]).stride([3, 2]).padding(Padding::Explicit { top: 2, bottom: 1, left: 0, right: 2 }),
        ),
        ("same", [1, 2, 7, 8], Window::new(3).stride(2).padding(Padding::Same)),
        ("dilated", [2, 1, 9, 8], Window::new(3).dilation(2).stride(1)),
        ("global", [3, 5, 6, 7], Window::new([6, 7])),
    ];
    let mut cases = vec![];
    for (name, x, window) in shapes {
        let max = |kind: &str| case(format!("max_pool2d {name}{kind}"), &[&x], move |g, i| g.max_pool2d(i[0], window));
        cases.extend([max(""), max(", ties").fill(Fill::Ties), max(", special").fill(Fill::Special)]);
        for (what, counted) in [("", true), (", padding not counted", false)] {
            cases
                .push(case(format!("avg_pool2d {name}{what}"), &[&x], move |g, i| g.avg_pool2d(i[0], window, counted)));
        }
    }
    let window = Window::new(1);
    let many = move |g: &mut Graph, i: &[NodeId]| g.max_pool2d(i[0], window);
    cases.push(case("max_pool2d many workgroups", &[&[1, 1, 2049, 2048]], many).forward_only());
    cases
}

fn matrices() -> Vec<Case> {
    let mut cases = vec![];
    for [m, k, n] in [[1, 1, 1], [3, 5, 7], [9, 4, 5], [8, 8, 8], [17, 3, 33], [64, 400, 120], [2, 2311, 3]] {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let a = if ta { [k, m] } else { [m, k] };
            let b = if tb { [n, k] } else { [k, n] };
            let name = format!("matmul {m}x{k}x{n}{}{}", if ta { " aT" } else { "" }, if tb { " bT" } else { "" });
            let built = case(name, &[&a, &b], move |g, i| g.matmul(i[0], i[1], ta, tb));
            cases.push(if m * k * n > 2000 { built.no_differences() } else { built });
        }
        let shapes: [&[usize]; 3] = [&[m, k], &[k, n], &[n]];
        let name = format!("dense {m}x{k}x{n}");
        cases.push(case(name, &shapes, |g, i| g.dense(i[0], i[1], Some(i[2]))).no_differences());
    }
    cases.push(case("dense differences", &[&[3, 4], &[4, 5], &[5]], |g, i| g.dense(i[0], i[1], Some(i[2]))));
    cases.push(
        case("matmul long", &[&[1, 40_001], &[40_001, 2]], |g, i| g.matmul(i[0], i[1], false, false)).forward_only(),
    );
    cases
}

fn scalars() -> Vec<Case> {
    let mut cases = vec![];
    for row in TABLE {
        for shape in [&[][..], &[1], &[3, 7, 11]] {
            let name = format!("{} {shape:?}", row.name);
            cases.push(case(name, &[shape], |g, i| g.unary(row.name, i[0])).fill(Fill::AwayFromZero));
        }
        cases
            .push(case(format!("{} special", row.name), &[&[257]], |g, i| g.unary(row.name, i[0])).fill(Fill::Special));
        cases.push(case(format!("{} large", row.name), &[&[257]], |g, i| g.unary(row.name, i[0])).fill(Fill::Large));
    }
    cases.push(case("relu many workgroups", &[&[MANY]], |g, i| g.relu(i[0])).forward_only());
    cases
}

fn arithmetic() -> Vec<Case> {
    let shapes: [[&[usize]; 2]; 9] = [
        [&[], &[]],
        [&[7], &[7]],
        [&[7], &[1]],
        [&[], &[2, 3]],
        [&[3, 1, 5], &[4, 1]],
        [&[2, 3, 5, 7], &[3, 1, 1]],
        [&[3, 1, 1], &[2, 3, 5, 7]],
        [&[2, 1, 3, 1, 5, 1], &[1, 2, 1, 3, 1, 2]],
        [&[64, 120], &[120]],
    ];
    let mut cases = vec![];
    for row in ARITHMETIC {
        for pair in shapes {
            let name = format!("{} {:?} {:?}", row.name, pair[0], pair[1]);
            let mut built = case(name, &pair, |g, i| g.binary(row.name, i[0], i[1]));
            built.inputs.iter_mut().for_each(|i| i.fill = Fill::AwayFromZero);
            cases.push(if pair[0].iter().product::<usize>() > 1000 { built.no_differences() } else { built });
        }
    }
    cases.push(case("mul of a value by itself", &[&[3, 5]], |g, i| g.mul(i[0], i[0])));
    cases.push(case("add many workgroups", &[&[MANY], &[1]], |g, i| g.add(i[0], i[1])).forward_only());
    cases.push(case("scale", &[&[3, 5]], |g, i| g.scale(i[0], -0.3)));
    cases
}

fn reductions() -> Vec<Case> {
    let shapes: [(&[usize], &[usize]); 9] = [
        (&[], &[]),
        (&[1], &[0]),
        (&[7], &[]),
        (&[65], &[0]),
        (&[4097], &[0]),
        (&[2, 3, 5, 7], &[1, 3]),
        (&[2, 3, 5, 7], &[0, 2, 3]),
        (&[131, 5], &[0]),
        (&[3, 67, 2, 71], &[1, 3]),
    ];
    let mut cases = vec![];
    for (x, axes) in shapes {
        let small = x.iter().product::<usize>() < 300;
        for keep in [false, true] {
            let name = |kind: &str| format!("{kind} {x:?} over {axes:?}{}", if keep { ", kept" } else { "" });
            let built = [
                case(name("sum"), &[x], move |g, i| g.sum(i[0], axes, keep)),
                case(name("mean"), &[x], move |g, i| g.mean(i[0], axes, keep)),
                case(name("max"), &[x], move |g, i| g.max(i[0], axes, keep)),
            ];
            cases.extend(built.into_iter().map(|c| if small { c } else { c.no_differences() }));
            cases.push(case(name("max ties"), &[x], move |g, i| g.max(i[0], axes, keep)).fill(Fill::Ties));
            cases.push(case(name("max special"), &[x], move |g, i| g.max(i[0], axes, keep)).fill(Fill::Special));
        }
    }
    cases.push(case("sum many", &[&[MANY]], |g, i| g.sum(i[0], &[], false)).forward_only());
    cases.push(case("sum_to", &[&[2, 3, 4]], |g, i| g.sum_to(i[0], [3, 1])));
    cases
}

fn losses() -> Vec<Case> {
    let mut cases = vec![];
    for (x, axis) in [(&[1][..], 0), (&[64, 10], 1), (&[3, 5, 7], 1), (&[3, 5, 7], 0), (&[5, 1000], 1)] {
        let softmax =
            |what: &str| case(format!("softmax {x:?} along {axis}{what}"), &[x], move |g, i| g.softmax(i[0], axis));
        let small = x.iter().product::<usize>() < 200;
        cases.push(if small { softmax("") } else { softmax("").no_differences() });
        cases.push(softmax(", large").fill(Fill::Large));
    }
    for (n, c) in [(1, 1), (1, 10), (64, 10), (65, 3), (5, 1000)] {
        for (what, fill) in [
            ("", Fill::Below(c)),
            (", ignoring", Fill::BelowOrIgnore(c)),
            (", all ignored", Fill::Only(IGNORE)),
            (", bad labels", Fill::Only(c)),
        ] {
            let with_labels = |name: &str, build: fn(&mut Graph, &[NodeId]) -> Result<NodeId>| {
                let mut built = case(format!("{name} {n}x{c}{what}"), &[&[n, c as usize]], build);
                built.inputs.push(Input { ty: TensorType::u32([n]), fill });
                built.differentiable = n * (c as usize) < 700 && !matches!(fill, Fill::Only(_));
                built
            };
            let loss = |g: &mut Graph, i: &[NodeId]| g.softmax_cross_entropy(i[0], i[1]);
            cases.push(with_labels("softmax_cross_entropy", loss));
            cases.push(with_labels("softmax_cross_entropy large", loss).fill(Fill::Large));
            cases.push(with_labels("count_correct", |g, i| g.count_correct(i[0], i[1])).forward_only());
            cases.push(
                with_labels("count_correct ties", |g, i| g.count_correct(i[0], i[1])).fill(Fill::Ties).forward_only(),
            );
        }
    }
    cases
}

fn layouts() -> Vec<Case> {
    let mut cases = vec![
        case("reshape", &[&[2, 3, 4]], |g, i| g.reshape(i[0], [6, 4])),
        case("flatten", &[&[2, 3, 4]], |g, i| g.flatten(i[0])),
        case("copy", &[&[2, 3, 4]], |g, i| g.copy(i[0])),
        case("pack", &[&[3], &[2, 2], &[1]], |g, i| g.pack(i, &[0, 64, 128], 192)).forward_only(),
    ];
    for (x, axes) in
        [(&[7][..], &[0][..]), (&[3, 5], &[1, 0]), (&[2, 3, 5], &[2, 0, 1]), (&[2, 1, 3, 4, 5, 2], &[5, 3, 4, 1, 0, 2])]
    {
        let built = case(format!("transpose {x:?} {axes:?}"), &[x], move |g, i| g.transpose(i[0], axes));
        cases.push(if x.len() > 3 { built.no_differences() } else { built });
    }
    for (x, to) in [(&[][..], &[3][..]), (&[3, 1], &[2, 3, 4]), (&[2, 1, 3, 1, 5, 1], &[2, 3, 3, 2, 5, 7])] {
        let built = case(format!("broadcast_to {x:?} {to:?}"), &[x], move |g, i| g.broadcast_to(i[0], to));
        cases.push(if x.len() > 3 { built.no_differences() } else { built });
    }
    cases
}

/// Pictures whose rows do not begin at words, labels, an order with holes, steps inside and past the end.
fn batches() -> Vec<Case> {
    let mut cases = vec![];
    for step in [0, 2, 3, 100] {
        for (what, shape) in [("", vec![11, 1, 28, 28]), (", odd", vec![13, 3, 5, 7]), (", labels", vec![13])] {
            let rows = shape[0];
            let images = shape.len() == 4;
            let inputs = vec![
                Input { ty: TensorType::u8(shape), fill: Fill::Bytes },
                Input { ty: TensorType::u32([12]), fill: Fill::BelowOrIgnore(rows as u32) },
                Input { ty: TensorType::u32([1]), fill: Fill::Only(step) },
            ];
            let build = move |g: &mut Graph, i: &[NodeId]| match images {
                true => g.gather_images(i[0], i[1], i[2], 4),
                false => g.gather_labels(i[0], i[1], i[2], 4),
            };
            let name = format!("gather step {step}{what}");
            cases.push(Case {
                name,
                inputs,
                build: Box::new(build),
                differentiable: false,
                backward: false,
                updates: false,
            });
        }
    }
    cases
}

/// Operations that replace variables.
fn updates() -> Vec<Case> {
    let update = |name: &str, inputs: Vec<Input>, build: Build| Case {
        name: name.into(),
        inputs,
        build,
        differentiable: false,
        backward: false,
        updates: true,
    };
    let float = |shape: &[usize], fill| Input { ty: TensorType::f32(shape), fill };
    let step = |n| Input { ty: TensorType::u32([1]), fill: Fill::Only(n) };
    let mut cases = vec![];
    let optimizers: Vec<(&str, fn() -> Box<dyn Optimizer>)> = vec![
        ("sgd", || Box::new(Sgd::new(0.1))),
        ("sgd momentum decay", || Box::new(Sgd::new(0.1).momentum(0.9).weight_decay(0.01))),
        ("sgd nesterov", || Box::new(Sgd::new(0.1).momentum(0.9).nesterov(true))),
        ("rmsprop", || Box::new(RmsProp::new(0.01))),
        ("rmsprop momentum decay", || Box::new(RmsProp::new(0.01).momentum(0.9).weight_decay(0.01).alpha(0.99))),
    ];
    for (name, make) in optimizers {
        for (length, number) in [(64, 0), (1000, 1), (64 * 5, 77)] {
            // Squares' means and velocities are positive here: a mean of squares never is otherwise.
            let states = make().states().len();
            let mut inputs =
                vec![float(&[length], Fill::Any), float(&[length], Fill::Any), float(&[3], Fill::Any), step(number)];
            inputs.extend((0..states).map(|_| float(&[length], Fill::Only(1))));
            let build = move |g: &mut Graph, i: &[NodeId]| {
                let flat = Flat { parameters: i[0], gradients: i[1], rates: i[2], step: i[3], states: &i[4..] };
                make().update(g, flat)
            };
            cases.push(update(&format!("{name} {length} step {number}"), inputs, Box::new(build)));
        }
    }
    for number in [0, 4, 5, 9] {
        let inputs = vec![float(&[5, 3], Fill::Any), step(number), float(&[], Fill::Any), float(&[2], Fill::Any)];
        let build = |g: &mut Graph, i: &[NodeId]| g.record(i[0], i[1], i[2], i[3]);
        cases.push(update(&format!("record step {number}"), inputs, Box::new(build)));
        let inputs = vec![float(&[14], Fill::Any), float(&[4, 10], Fill::Ties), step(number)];
        let build = |g: &mut Graph, i: &[NodeId]| g.classify(i[0], i[1], i[2]);
        cases.push(update(&format!("classify step {number}"), inputs, Box::new(build)));
    }
    cases
}
