//! Cases of pooling, unpooling and their gradients.

use crate::{Graph, NodeId, Padding, Result, TensorType, Window};

use crate::check::cases::{Case, Fill, Input, case};

pub fn all() -> Vec<Case> {
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
        ("ceil", [2, 3, 6, 8], Window::new(3).stride(2).ceil_mode(true)),
        ("ceil, one window", [1, 2, 2, 1], Window::new([3, 2]).stride(2).ceil_mode(true)),
        (
            "ceil, dilated, padded",
            [1, 2, 9, 8],
            Window::new([2, 3]).stride([3, 2]).dilation(2).padding(1).ceil_mode(true),
        ),
        ("ceil, last dropped", [1, 2, 5, 5], Window::new(2).stride(2).padding(1).ceil_mode(true)),
    ];
    let mut cases = vec![];
    for (name, x, window) in shapes {
        let max = |kind: &str| case(format!("max_pool2d {name}{kind}"), &[&x], move |g, i| g.max_pool2d(i[0], window));
        cases.extend([max(""), max(", ties").fill(Fill::Ties), max(", special").fill(Fill::Special)]);
        cases.extend([Fill::Ties, Fill::Special].map(|fill| {
            let name =
                format!("max_pool2d positions {name}, {}", if let Fill::Ties = fill { "ties" } else { "special" });
            case(name, &[&x], move |g, i| Ok(g.max_pool2d_with_positions(i[0], window)?[1])).fill(fill).forward_only()
        }));
        cases.push(case(format!("max_unpool2d {name}"), &[&x], move |g, i| {
            let [y, indices] = g.max_pool2d_with_positions(i[0], window)?;
            g.max_unpool2d(y, indices, [x[2], x[3]])
        }));
        for (what, counted) in [("", true), (", padding not counted", false)] {
            cases
                .push(case(format!("avg_pool2d {name}{what}"), &[&x], move |g, i| g.avg_pool2d(i[0], window, counted)));
        }
    }
    cases.extend(unpooling());
    cases.extend(adaptive());
    cases.extend(across_channels());
    cases.extend(lp());
    cases.extend(after_convolution());
    let window = Window::new(1);
    let many = move |g: &mut Graph, i: &[NodeId]| g.max_pool2d(i[0], window);
    cases.push(case("max_pool2d many workgroups", &[&[1, 1, 2049, 2048]], many).forward_only());
    cases
}

/// Name, x, w, window and groups of a convolution, and the window of the pooling after it.
type Pooled = (&'static str, [usize; 4], [usize; 4], Window, usize, Window);

/// Max pooling fused into a convolution's kernels, with and without an activation between them.
fn after_convolution() -> Vec<Case> {
    let halve = Window::new(2).stride(2);
    let side_by_side = |size: [usize; 2]| Window::new(size).stride(size);
    let five = Window::new(5);
    let shapes: [Pooled; 18] = [
        ("lenet 1", [3, 1, 28, 28], [6, 1, 5, 5], five.padding(2), 1, halve),
        ("lenet 2", [3, 6, 14, 14], [16, 6, 5, 5], five, 1, halve),
        ("left over", [2, 5, 12, 14], [7, 5, 3, 4], Window::new([3, 4]).padding(1), 1, side_by_side([2, 2])),
        ("one", [1, 1, 1, 1], [1, 1, 1, 1], Window::new(1), 1, Window::new(1)),
        ("1x1", [2, 4, 5, 8], [6, 4, 1, 1], Window::new(1), 1, halve),
        ("1x1, rows of 4", [2, 4, 5, 8], [6, 4, 1, 1], Window::new(1), 1, side_by_side([1, 4])),
        ("one window", [2, 4, 6, 7], [5, 4, 3, 3], Window::new(3), 1, Window::new([4, 5])),
        ("3x3", [2, 4, 13, 12], [9, 4, 3, 3], Window::new(3).padding(1), 1, side_by_side([3, 3])),
        ("2x3", [1, 6, 9, 11], [8, 6, 3, 3], Window::new(3).padding(1), 1, side_by_side([2, 3])),
        ("rows of 4", [2, 4, 7, 12], [5, 4, 3, 3], Window::new(3).padding(1), 1, side_by_side([1, 4])),
        ("columns of 2", [2, 4, 9, 7], [17, 4, 3, 3], Window::new(3).padding(1), 1, side_by_side([2, 1])),
        ("groups", [2, 8, 10, 9], [12, 4, 3, 3], Window::new(3).padding(1), 2, halve),
        ("strides", [1, 4, 17, 19], [6, 4, 3, 3], Window::new(3).stride([2, 3]).dilation([1, 2]).padding(2), 1, halve),
        ("rows kept", [9, 1, 28, 28], [6, 1, 5, 5], five.padding(2), 1, halve),
        ("rows kept, left over", [9, 2, 9, 11], [5, 2, 3, 3], Window::new(3).padding(1), 1, halve),
        ("rows kept, groups", [8, 4, 8, 17], [8, 2, 3, 3], Window::new(3).padding(1), 2, side_by_side([2, 3])),
        ("rows kept, one part", [136, 1, 8, 6], [4, 1, 3, 3], Window::new(3).padding(1), 1, side_by_side([1, 2])),
        ("overlapping", [2, 4, 9, 9], [8, 4, 3, 3], Window::new(3).padding(1), 1, Window::new(3).stride(2)),
    ];
    let mut cases = vec![];
    for (name, x, w, window, groups, pool) in shapes {
        for (number, activation) in [None, Some("relu"), Some("leaky_relu")].into_iter().enumerate() {
            let after = activation.unwrap_or("nothing");
            let of = |what: &str| {
                let inputs: [&[usize]; 3] = [&x, &w, &[w[0]]];
                let case =
                    case(format!("pooled conv2d {name}, {after}{what}"), &inputs[..3 - number % 2], move |g, i| {
                        let y = g.conv2d_grouped(i[0], i[1], i.get(2).copied(), window, groups)?;
                        let y = activation.map_or(Ok(y), |activation| g.unary(activation, y))?;
                        g.max_pool2d(y, pool)
                    });
                case.joined()
            };
            cases.extend([of("").no_differences(), of(", ties").fill(Fill::Ties)]);
            // With other taps, an infinity times a weight of 0 has an indeterminate result.
            let is_alone = w[2..] == [1, 1] && number < 2;
            cases.extend(is_alone.then(|| of(", special").fill(Fill::Special)));
        }
    }
    cases
}

/// Indices that are not those of a pooling: repeated, or outside the plane.
fn unpooling() -> Vec<Case> {
    let indices = |name: &str, v: [usize; 4], size: [usize; 2], fill: Fill| {
        let mut case = case(format!("max_unpool2d {name}"), &[&v], move |g, i| g.max_unpool2d(i[0], i[1], size));
        case.inputs.push(Input { ty: TensorType::u32(v), fill });
        case
    };
    vec![
        indices("repeated", [2, 3, 4, 5], [3, 4], Fill::Below(12)),
        indices("outside", [2, 3, 4, 5], [3, 4], Fill::Below(40)),
        indices("all outside", [1, 1, 1, 3], [1, 1], Fill::Only(u32::MAX)),
        indices("all at one", [1, 2, 16, 16], [32, 32], Fill::Only(1023)),
        indices("special", [2, 3, 4, 5], [6, 7], Fill::Below(42)).fill(Fill::Special),
    ]
}

/// The builder of an adaptive or global pooling.
type Pooling = fn(&mut Graph, NodeId, [usize; 2]) -> Result<NodeId>;

fn adaptive() -> Vec<Case> {
    let max: Pooling = |g, x, size| g.adaptive_max_pool2d(x, size);
    let average: Pooling = |g, x, size| g.adaptive_avg_pool2d(x, size);
    let global_max: Pooling = |g, x, _| g.global_max_pool2d(x);
    let global_average: Pooling = |g, x, _| g.global_avg_pool2d(x);
    let mut cases = vec![];
    for (x, size) in [
        ([2, 3, 7, 5], [3, 2]),
        ([1, 2, 6, 8], [3, 4]),
        ([2, 2, 3, 4], [7, 9]),
        ([1, 3, 5, 6], [5, 1]),
        ([2, 3, 6, 7], [1, 1]),
        ([1, 1, 97, 3], [2, 3]),
        ([1, 1, 1, 1], [3, 2]),
    ] {
        let [p, q] = size;
        for (name, pool) in [("max", max), ("avg", average)] {
            let of = |what: &str| {
                case(format!("adaptive_{name}_pool2d {x:?} to {p}x{q}{what}"), &[&x], move |g, i| pool(g, i[0], size))
            };
            cases.extend([of(""), of(", ties").fill(Fill::Ties), of(", special").fill(Fill::Special)]);
        }
    }
    for (name, pool) in [("max", global_max), ("avg", global_average)] {
        for x in [[2, 3, 6, 7], [1, 1, 1, 1], [2, 1, 130, 70]] {
            let of = |what: &str| {
                let case = case(format!("global_{name}_pool2d {x:?}{what}"), &[&x], move |g, i| pool(g, i[0], [1, 1]));
                if x[2] > 100 { case.no_differences() } else { case }
            };
            cases.extend([of(""), of(", special").fill(Fill::Special)]);
        }
    }
    cases
}

fn across_channels() -> Vec<Case> {
    let shapes =
        [([2, 7, 3, 5], 3, 2), ([1, 4, 2, 2], 4, 1), ([2, 6, 4, 3], 2, 2), ([1, 9, 1, 5], 2, 4), ([1, 1, 3, 3], 1, 1)];
    let mut cases = vec![];
    for (x, size, stride) in shapes {
        let max = |what: &str| {
            let name = format!("max_pool_channels {x:?} by {size} every {stride}{what}");
            case(name, &[&x], move |g, i| g.max_pool_channels(i[0], size, stride))
        };
        cases.extend([max(""), max(", ties").fill(Fill::Ties), max(", special").fill(Fill::Special)]);
        let name = format!("avg_pool_channels {x:?} by {size} every {stride}");
        cases.push(case(name, &[&x], move |g, i| g.avg_pool_channels(i[0], size, stride)));
    }
    cases
}

fn lp() -> Vec<Case> {
    let windows = [
        ("halved", [2, 3, 6, 8], Window::new(2).stride(2)),
        ("overlapping", [1, 2, 7, 5], Window::new([3, 2]).stride([2, 1])),
        ("padded", [1, 2, 5, 6], Window::new(3).stride(2).padding(1)),
        ("ceil", [1, 2, 6, 6], Window::new(3).stride(2).ceil_mode(true)),
    ];
    let mut cases = vec![];
    for (name, x, window) in windows {
        for p in [1.0, 1.5, 2.0, 3.0, 4.0, 7.0, 8.5] {
            // Positive, so that odd and fractional powers have real roots.
            let of = |what: &str| {
                case(format!("lp_pool2d {name} p {p}{what}"), &[&x], move |g, i| {
                    let squares = g.mul(i[0], i[0])?;
                    g.lp_pool2d(squares, window, p)
                })
            };
            let signed = |what: &str| {
                case(format!("lp_pool2d {name} p {p}{what}"), &[&x], move |g, i| g.lp_pool2d(i[0], window, p))
            };
            cases.push(of("").fill(Fill::AwayFromZero));
            cases.push(signed(", signed").no_differences());
            cases.push(signed(", special").fill(Fill::Special));
        }
    }
    cases
}
