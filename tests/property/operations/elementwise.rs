//! Scalar functions, standardization, arithmetic, gradient clipping.

use lenslet::check::Case;
use lenslet::ops::{ARITHMETIC, TABLE};
use proptest::prelude::*;
use proptest::sample::select;

use super::{Operation, filled, float_of, shape};
use crate::line::{Fields, Line, Value, number, tensor, word};

pub fn all() -> Vec<Operation> {
    vec![
        Operation { name: "unary", draw: scalars, build: unary },
        Operation { name: "unary_with", draw: scalars_with, build: unary_with },
        Operation { name: "prelu", draw: prelus, build: |line| line.case(|g, i| g.prelu(i[0], i[1])) },
        Operation { name: "normalize", draw: normalization, build: normalize },
        Operation { name: "binary", draw: arithmetic, build: binary },
        Operation { name: "scale", draw: || with_factor("by", &[-0.3, 0.0, 1.0, 7.5], &["any"]), build: scale },
        Operation { name: "clip_value", draw: || with_factor("most", BOUNDS, CLIPPED), build: clip_value },
        Operation { name: "clip_norm", draw: || with_factor("most", BOUNDS, CLIPPED), build: clip_norm },
    ]
}

const BOUNDS: &[f32] = &[0.3, 1e-6, 1e6];
const CLIPPED: &[&str] = &["any", "special", "large"];

fn scalars() -> BoxedStrategy<Fields> {
    let names: Vec<&'static str> = TABLE.iter().map(|row| row.name).collect();
    let fields = (select(names), shape(0..5)).prop_map(|(name, x)| vec![("function", word(name)), ("x", tensor(x))]);
    filled(fields, &["away", "away", "positive", "special", "large"])
}

fn unary(line: &Line) -> Case {
    let name = line.word("function").to_string();
    let defined = TABLE.iter().any(|row| row.name == name && !(row.f)(-1.0, 1.0).is_nan());
    let mut case = line.case(move |g, i| g.unary(&name, i[0]));
    // Roots and logarithms have no derivative where they are undefined.
    case.differentiable &= defined || line.word("fill") == "positive";
    case
}

fn scalars_with() -> BoxedStrategy<Fields> {
    let names: Vec<&'static str> = TABLE.iter().filter(|row| row.parameter.is_some()).map(|row| row.name).collect();
    let parameter = float_of(&[0.0, 0.125, 0.3, 1.0, 1.7, 3.0]);
    let fields = (select(names), parameter, shape(0..5))
        .prop_map(|(name, a, x)| vec![("function", word(name)), ("parameter", Value::Float(a)), ("x", tensor(x))]);
    filled(fields, &["away", "any"])
}

fn unary_with(line: &Line) -> Case {
    let (name, parameter) = (line.word("function").to_string(), line.float("parameter"));
    line.case(move |g, i| g.unary_with(&name, parameter, i[0]))
}

fn prelus() -> BoxedStrategy<Fields> {
    let fields = (shape(0..5), any::<bool>()).prop_map(|(x, each)| {
        let channels = if each { x.get(1).copied().unwrap_or(1) } else { 1 };
        vec![("x", tensor(x)), ("slope", tensor([channels]))]
    });
    filled(fields, &["away", "special"])
}

/// One value for all channels, or one per channel.
fn normalization() -> BoxedStrategy<Fields> {
    let fields = |(x, means, deviation): (Vec<usize>, bool, f32)| {
        let means = if means { x.get(1).copied().unwrap_or(1) } else { 1 };
        vec![("x", tensor(x)), ("means", number(means)), ("deviation", Value::Float(deviation))]
    };
    filled((shape(0..5), any::<bool>(), float_of(&[0.25, 1.0, 7.5])).prop_map(fields), &["any", "special", "large"])
}

fn normalize(line: &Line) -> Case {
    let (means, deviation) = (line.number("means").min(1 << 16), line.float("deviation"));
    let means: Vec<f32> = (0..means).map(|c| 0.3 - 0.2 * c as f32).collect();
    line.case(move |g, i| g.normalize(i[0], &means, &[deviation]))
}

/// Two shapes that broadcast: for each axis the side that is repeated, and the number of leading axes each side lacks.
fn arithmetic() -> BoxedStrategy<Fields> {
    let names: Vec<&'static str> = ARITHMETIC.iter().map(|row| row.name).collect();
    let stretched = proptest::collection::vec(0usize..4, 6);
    let fields = |(name, shape, stretched, missing): (&str, Vec<usize>, Vec<usize>, [usize; 2])| {
        let side = |own: usize| {
            let axes = shape.iter().zip(&stretched).map(|(&extent, &who)| if who == own { 1 } else { extent });
            tensor(axes.skip(missing[own]).collect::<Vec<_>>())
        };
        vec![("function", word(name)), ("a", side(0)), ("b", side(1))]
    };
    filled((select(names), shape(0..7), stretched, [0usize..3, 0usize..3]).prop_map(fields), &["away"])
}

fn binary(line: &Line) -> Case {
    let name = line.word("function").to_string();
    line.case(move |g, i| g.binary(&name, i[0], i[1]))
}

fn with_factor(name: &'static str, factors: &'static [f32], fills: &'static [&'static str]) -> BoxedStrategy<Fields> {
    let fields =
        (shape(0..4), float_of(factors)).prop_map(move |(x, v)| vec![("x", tensor(x)), (name, Value::Float(v))]);
    filled(fields, fills)
}

fn scale(line: &Line) -> Case {
    let by = line.float("by");
    line.case(move |g, i| g.scale(i[0], by))
}

fn clip_value(line: &Line) -> Case {
    let most = line.float("most");
    let mut case = line.case(move |g, i| g.clip_value(i[0], most));
    (case.backward, case.differentiable) = (false, false);
    case
}

fn clip_norm(line: &Line) -> Case {
    let most = line.float("most");
    let mut case = line.case(move |g, i| g.clip_norm(i[0], most));
    (case.backward, case.differentiable) = (false, false);
    case
}
