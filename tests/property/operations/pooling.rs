//! Pooling and unpooling.

use lenslet::check::{Case, Fill};
use lenslet::{DType, Graph, NodeId, Result};
use proptest::prelude::*;

use super::{Operation, filled, float_of, one_of, shape, window};
use crate::line::{Fields, Line, Value, flag, integers, number, pair, tensor, word};

pub fn all() -> Vec<Operation> {
    let adaptive = || filled(adapted().prop_map(|(x, size)| vec![("x", tensor(x)), ("to", pair(size))]), FILLS);
    vec![
        Operation { name: "max_pool2d", draw: || filled(windowed(), FILLS), build: max_pool2d },
        Operation { name: "max_pool2d_positions", draw: || filled(windowed(), FILLS), build: positions },
        Operation { name: "avg_pool2d", draw: averages, build: avg_pool2d },
        Operation { name: "lp_pool2d", draw: lp, build: lp_pool2d },
        Operation { name: "max_unpool2d", draw: unpooled, build: max_unpool2d },
        Operation { name: "unpool_pooled", draw: || windowed().boxed(), build: unpool_pooled },
        Operation {
            name: "adaptive_max_pool2d",
            draw: adaptive,
            build: |line| adapt(line, |g, x, size| g.adaptive_max_pool2d(x, size)),
        },
        Operation {
            name: "adaptive_avg_pool2d",
            draw: adaptive,
            build: |line| adapt(line, |g, x, size| g.adaptive_avg_pool2d(x, size)),
        },
        Operation {
            name: "global_max_pool2d",
            draw: planes,
            build: |line| line.case(|g, i| g.global_max_pool2d(i[0])),
        },
        Operation {
            name: "global_avg_pool2d",
            draw: planes,
            build: |line| line.case(|g, i| g.global_avg_pool2d(i[0])),
        },
        Operation {
            name: "max_pool_channels",
            draw: across,
            build: |line| across_channels(line, |g, x, [size, stride]| g.max_pool_channels(x, size, stride)),
        },
        Operation {
            name: "avg_pool_channels",
            draw: across,
            build: |line| across_channels(line, |g, x, [size, stride]| g.avg_pool_channels(x, size, stride)),
        },
    ]
}

const FILLS: &[&str] = &["any", "any", "ties", "special"];

fn windowed() -> impl Strategy<Value = Fields> {
    ([1usize..4, 1usize..5], window()).prop_map(|([n, c], window)| {
        let window = window.with_taps_inside();
        let [h, w] = window.image;
        let mut fields = vec![("x", tensor([n, c, h, w]))];
        fields.extend(window.fields());
        fields
    })
}

fn max_pool2d(line: &Line) -> Case {
    let window = line.window();
    line.case(move |g, i| g.max_pool2d(i[0], window))
}

fn positions(line: &Line) -> Case {
    let window = line.window();
    let mut case = line.case(move |g, i| Ok(g.max_pool2d_with_positions(i[0], window)?[1]));
    (case.backward, case.differentiable) = (false, false);
    case
}

fn averages() -> BoxedStrategy<Fields> {
    let counted = (windowed(), any::<bool>()).prop_map(|(mut fields, counted)| {
        fields.push(("count_include_pad", flag(counted)));
        fields
    });
    filled(counted, &["any", "special"])
}

fn avg_pool2d(line: &Line) -> Case {
    let (window, counted) = (line.window(), line.flag("count_include_pad"));
    line.case(move |g, i| g.avg_pool2d(i[0], window, counted))
}

fn lp() -> BoxedStrategy<Fields> {
    let p = float_of(&[1.0, 1.5, 2.0, 3.0, 4.0, 7.0, 8.5]);
    let powered = (windowed(), p).prop_map(|(mut fields, p)| {
        fields.push(("p", Value::Float(p)));
        fields
    });
    filled(powered, &["positive", "positive", "any", "special"])
}

fn lp_pool2d(line: &Line) -> Case {
    let (window, p) = (line.window(), line.float("p"));
    let mut case = line.case(move |g, i| g.lp_pool2d(i[0], window, p));
    // Roots of negative numbers are NaN, and those of 0 have no derivative; large powers overflow.
    case.differentiable = line.word("fill") == "positive" && p < 100.0;
    case
}

fn unpooled() -> BoxedStrategy<Fields> {
    let values = one_of(&["below", "below", "outside"]);
    let fields = |(v, [h, w], values): (Vec<usize>, [usize; 2], &str)| {
        vec![
            ("v", tensor(v.clone())),
            ("positions", integers(DType::U32, v)),
            ("to", pair([h, w])),
            ("values", word(values)),
        ]
    };
    filled((shape(4), [1usize..9, 1usize..9], values).prop_map(fields), &["any", "special"])
}

fn max_unpool2d(line: &Line) -> Case {
    let [h, w] = line.pair("to");
    let mut case = line.case(move |g, i| g.max_unpool2d(i[0], i[1], [h, w]));
    // Some of the indices are outside the plane.
    let plane = h.saturating_mul(w);
    if case.inputs[1].ty.dtype == DType::U32 {
        case.inputs[1].fill = match line.word("values") {
            "outside" => line.integer_fill(plane),
            _ => Fill::Below(u32::try_from(plane.saturating_add(2)).unwrap_or(u32::MAX)),
        };
    }
    case
}

fn unpool_pooled(line: &Line) -> Case {
    let (window, x) = (line.window(), line.shape("x").to_vec());
    line.case(move |g, i| {
        let [y, positions] = g.max_pool2d_with_positions(i[0], window)?;
        g.max_unpool2d(y, positions, [x[2], x[3]])
    })
}

fn adapted() -> impl Strategy<Value = (Vec<usize>, [usize; 2])> {
    (shape(4), [1usize..9, 1usize..9])
}

fn adapt(line: &Line, pool: fn(&mut Graph, NodeId, [usize; 2]) -> Result<NodeId>) -> Case {
    let size = line.pair("to");
    line.case(move |g, i| pool(g, i[0], size))
}

fn planes() -> BoxedStrategy<Fields> {
    filled(shape(4).prop_map(|x| vec![("x", tensor(x))]), FILLS)
}

fn across() -> BoxedStrategy<Fields> {
    let fields = |([n, h, w], spare, size, stride): ([usize; 3], usize, usize, usize)| {
        vec![("x", tensor([n, size + spare, h, w])), ("size", number(size)), ("stride", number(stride))]
    };
    filled(([1usize..4, 1usize..6, 1usize..6], 0usize..5, 1usize..5, 1usize..5).prop_map(fields), FILLS)
}

fn across_channels(line: &Line, pool: fn(&mut Graph, NodeId, [usize; 2]) -> Result<NodeId>) -> Case {
    let by = [line.number("size"), line.number("stride")];
    line.case(move |g, i| pool(g, i[0], by))
}
