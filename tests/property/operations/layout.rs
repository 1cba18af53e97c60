//! Operations that move values without changing them.

use lenslet::check::Case;
use lenslet::ops::{Cut, Upsampling};
use proptest::prelude::*;

use super::{Operation, one_of, shape};
use crate::line::{Fields, Line, Value, number, pair, tensor, tensors, word};

pub fn all() -> Vec<Operation> {
    let one = || shape(1..5).prop_map(|x| vec![("x", tensor(x))]).boxed();
    vec![
        Operation { name: "copy", draw: one, build: |line| line.case(|g, i| g.copy(i[0])) },
        Operation { name: "flatten", draw: one, build: |line| line.case(|g, i| g.flatten(i[0])) },
        Operation { name: "reshape", draw: reshapes, build: reshape },
        Operation { name: "transpose", draw: transposes, build: transpose },
        Operation { name: "broadcast_to", draw: || broadcasts(false), build: broadcast_to },
        Operation { name: "sum_to", draw: || broadcasts(true), build: sum_to },
        Operation { name: "slice", draw: slices, build: slice },
        Operation { name: "pad", draw: pads, build: pad },
        Operation { name: "concat", draw: concats, build: concat },
        Operation { name: "slice_flat", draw: ranges, build: slice_flat },
        Operation { name: "pack", draw: packs, build: pack },
        Operation { name: "upsample", draw: upsamplings, build: upsample },
    ]
}

fn reshapes() -> BoxedStrategy<Fields> {
    // The same extents, some of them merged.
    let fields = |(x, joined): (Vec<usize>, usize)| {
        let (first, rest) = x.split_at(joined.min(x.len()));
        let to = [&[first.iter().product()], rest].concat();
        vec![("x", tensor(x)), ("to", Value::List(to))]
    };
    (shape(0..5), 0usize..4).prop_map(fields).boxed()
}

fn reshape(line: &Line) -> Case {
    let to = line.numbers("to").to_vec();
    line.case(move |g, i| g.reshape(i[0], to.clone()))
}

fn transposes() -> BoxedStrategy<Fields> {
    let axes = |x: Vec<usize>| {
        let axes: Vec<usize> = (0..x.len()).collect();
        (Just(x), Just(axes).prop_shuffle())
    };
    let fields = |(x, axes)| vec![("x", tensor(x)), ("axes", Value::List(axes))];
    shape(0..6).prop_flat_map(axes).prop_map(fields).boxed()
}

fn transpose(line: &Line) -> Case {
    let axes = line.numbers("axes").to_vec();
    line.case(move |g, i| g.transpose(i[0], &axes))
}

/// A shape, and one that broadcasts to it; with `back` the operand is the larger.
fn broadcasts(back: bool) -> BoxedStrategy<Fields> {
    let ones = proptest::collection::vec(any::<bool>(), 6);
    let fields = move |(full, ones, missing): (Vec<usize>, Vec<bool>, usize)| {
        let small = full.iter().zip(ones).map(|(&extent, one)| if one { 1 } else { extent }).skip(missing);
        let small = small.collect();
        let (x, to) = if back { (full, small) } else { (small, full) };
        vec![("x", tensor(x)), ("to", Value::List(to))]
    };
    (shape(0..6), ones, 0usize..3).prop_map(fields).boxed()
}

fn broadcast_to(line: &Line) -> Case {
    let to = line.numbers("to").to_vec();
    line.case(move |g, i| g.broadcast_to(i[0], to.clone()))
}

fn sum_to(line: &Line) -> Case {
    let to = line.numbers("to").to_vec();
    line.case(move |g, i| g.sum_to(i[0], to.clone()))
}

/// The slice of an axis: whether there is one, start, length and step. Start and length are fitted to the extent.
type AxisSlice = (bool, usize, usize, usize);

fn slices() -> BoxedStrategy<Fields> {
    let wanted = proptest::collection::vec((any::<bool>(), 0usize..8, 1usize..8, 1usize..4), 6);
    let fields = |(x, wanted): (Vec<usize>, Vec<AxisSlice>)| {
        let mut cuts = vec![];
        for (axis, (&extent, (cut, start, length, step))) in x.iter().zip(wanted).enumerate() {
            let start = start % extent;
            cuts.extend(cut.then(|| [axis, start, (start + length).min(extent), step]).into_iter().flatten());
        }
        vec![("x", tensor(x)), ("cuts", Value::List(cuts))]
    };
    (shape(0..6), wanted).prop_map(fields).boxed()
}

fn slice(line: &Line) -> Case {
    let cut = |c: &[usize]| Cut::new(c[0], c[1]..c[2]).step(c[3]);
    let cuts: Vec<Cut> = line.numbers("cuts").chunks_exact(4).map(cut).collect();
    line.case(move |g, i| g.slice(i[0], &cuts))
}

fn pads() -> BoxedStrategy<Fields> {
    let fields = |(x, mut sides, value): (Vec<usize>, Vec<usize>, f32)| {
        sides.truncate(2 * x.len());
        vec![("x", tensor(x)), ("sides", Value::List(sides)), ("value", Value::Float(value))]
    };
    let sides = proptest::collection::vec(0usize..4, 10);
    (shape(0..5), sides, super::float_of(&[0.0, -1.5, f32::NEG_INFINITY, f32::NAN])).prop_map(fields).boxed()
}

fn pad(line: &Line) -> Case {
    let sides: Vec<[usize; 2]> = line.numbers("sides").chunks_exact(2).map(|side| [side[0], side[1]]).collect();
    let value = line.float("value");
    let mut case = line.case(move |g, i| g.pad(i[0], &sides, value));
    case.differentiable &= value.is_finite();
    case
}

fn concats() -> BoxedStrategy<Fields> {
    let extents = proptest::collection::vec(1usize..6, 1..11);
    let fields = |(shape, axis, extents): (Vec<usize>, usize, Vec<usize>)| {
        let axis = axis % shape.len();
        let part = |extent: usize| {
            let mut part = shape.clone();
            part[axis] = extent;
            part
        };
        vec![("parts", tensors(extents.into_iter().map(part))), ("axis", number(axis))]
    };
    (shape(1..5), 0usize..5, extents).prop_map(fields).boxed()
}

fn concat(line: &Line) -> Case {
    let axis = line.number("axis");
    line.case(move |g, i| g.concat(i, axis))
}

/// Alignment of bindings, in elements: 256 bytes.
const ALIGNMENT: usize = 64;

fn ranges() -> BoxedStrategy<Fields> {
    let fields = |(shape, before, after): (Vec<usize>, usize, usize)| {
        let total = before * ALIGNMENT + shape.iter().product::<usize>() + after;
        vec![("x", tensor([total])), ("offset", number(before * ALIGNMENT)), ("to", Value::List(shape))]
    };
    (shape(0..4), 0usize..3, 0usize..70).prop_map(fields).boxed()
}

fn slice_flat(line: &Line) -> Case {
    let (offset, to) = (line.number("offset"), line.numbers("to").to_vec());
    // Kernels read the range; the caller that splits the whole collects the gradient.
    let mut case = line.case(move |g, i| {
        let range = g.slice_flat(i[0], offset, to.clone())?;
        g.unary("square", range)
    });
    (case.backward, case.differentiable) = (false, false);
    case
}

fn packs() -> BoxedStrategy<Fields> {
    let parts = proptest::collection::vec((shape(0..4), 0usize..2), 1..5);
    let fields = |(parts, after): (Vec<(Vec<usize>, usize)>, usize)| {
        let (mut offsets, mut total) = (vec![], 0);
        for (shape, spare) in &parts {
            offsets.push(total + spare * ALIGNMENT);
            total = (offsets[offsets.len() - 1] + shape.iter().product::<usize>()).next_multiple_of(ALIGNMENT);
        }
        let parts = tensors(parts.into_iter().map(|(shape, _)| shape));
        vec![("parts", parts), ("offsets", Value::List(offsets)), ("total", number(total + after * ALIGNMENT))]
    };
    (parts, 0usize..2).prop_map(fields).boxed()
}

fn pack(line: &Line) -> Case {
    let (offsets, total) = (line.numbers("offsets").to_vec(), line.number("total"));
    let mut case = line.case(move |g, i| g.pack(i, &offsets, total));
    (case.backward, case.differentiable) = (false, false);
    case
}

fn upsamplings() -> BoxedStrategy<Fields> {
    let fields =
        |(x, to, how): (Vec<usize>, [usize; 2], &str)| vec![("x", tensor(x)), ("to", pair(to)), ("how", word(how))];
    (shape(4), [1usize..17, 1usize..17], one_of(&["nearest", "bilinear"])).prop_map(fields).boxed()
}

fn upsample(line: &Line) -> Case {
    let how = if line.word("how") == "nearest" { Upsampling::Nearest } else { Upsampling::Bilinear };
    let to = line.pair("to");
    line.case(move |g, i| g.upsample(i[0], to, how))
}
