//! Mini-batches, augmentation, dropout, optimizers and metrics.

use lenslet::check::{Case, Fill};
use lenslet::ops::IGNORE;
use lenslet::optim::{Adagrad, Adam, AdamW, AnyOptimizer, Flat, RmsProp, Sgd};
use lenslet::{DType, NodeId};
use proptest::prelude::*;

use super::losses::{LABELS, rows};
use super::{Operation, filled, float_of, one_of, shape};
use crate::line::{Fields, Line, Value, flag, integers, number, tensor, word};

pub fn all() -> Vec<Operation> {
    vec![
        Operation { name: "gather_images", draw: images, build: |line| gather(line, true) },
        Operation { name: "gather_labels", draw: labels, build: |line| gather(line, false) },
        Operation { name: "augment", draw: augmented, build: augment },
        Operation { name: "dropout", draw: dropped, build: |line| dropout(line, false) },
        Operation { name: "spatial_dropout", draw: dropped, build: |line| dropout(line, true) },
        Operation { name: "clock", draw: clocks, build: clock },
        Operation { name: "record", draw: records, build: record },
        Operation { name: "tally", draw: tallies, build: tally },
        Operation { name: "accumulate", draw: accumulations, build: accumulate },
        Operation { name: "store", draw: stores, build: |line| updating(line, line.case(|g, i| g.store(i[0], i[1]))) },
        Operation { name: "update", draw: updates, build: update },
    ]
}

fn counter() -> Value {
    integers(DType::U32, [1])
}

/// Steps at the start, beyond the end and at the maximum of u32.
fn step() -> impl Strategy<Value = Value> {
    prop_oneof![4 => 0usize..6, 1 => Just(77), 1 => Just(u32::MAX as usize)].prop_map(number)
}

/// Sets the counters among the operands to `at=`.
fn at(line: &Line, mut case: Case) -> Case {
    let number = u32::try_from(line.number("at")).unwrap_or(u32::MAX);
    let counters = case.inputs.iter_mut().filter(|input| input.ty == lenslet::TensorType::u32([1]));
    counters.for_each(|counter| counter.fill = Fill::Only(number));
    case
}

fn batches(set: Value, batch: usize, whole: usize, at: Value) -> Fields {
    let order = integers(DType::U32, [batch * whole]);
    vec![("set", set), ("order", order), ("step", counter()), ("batch", number(batch)), ("at", at)]
}

fn images() -> BoxedStrategy<Fields> {
    let fields = |(shape, batch, whole, at)| batches(integers(DType::U8, shape), batch, whole, at);
    (shape(4), 1usize..6, 1usize..5, step()).prop_map(fields).boxed()
}

fn labels() -> BoxedStrategy<Fields> {
    let fields = |(shape, batch, whole, at)| batches(integers(DType::U8, shape), batch, whole, at);
    (shape(1), 1usize..6, 1usize..5, step()).prop_map(fields).boxed()
}

fn gather(line: &Line, is_images: bool) -> Case {
    let (batch, rows) = (line.number("batch"), line.shape("set").first().copied().unwrap_or(1));
    let mut case = line.case(move |g, i| match is_images {
        true => g.gather_images(i[0], i[1], i[2], batch),
        false => g.gather_labels(i[0], i[1], i[2], batch),
    });
    (case.backward, case.differentiable) = (false, false);
    case = at(line, case);
    if case.inputs[1].ty.dtype == DType::U32 {
        case.inputs[1].fill = Fill::BelowOrIgnore(u32::try_from(rows).unwrap_or(IGNORE).max(1));
    }
    case
}

const AUGMENTATIONS: &[&str] = &[
    "none",
    "rotate:180",
    "rotate:10,fill:0.5",
    "shift:1,fill:reflect",
    "shear:80",
    "zoom:0.1:10,fill:reflect",
    "flip:both",
    "crop:4,flip:horizontal,fill:0",
    "brightness:1,contrast:1",
    "rotate:25,shift:0.2,shear:15,zoom:0.8:1.2,flip:both,brightness:0.3,contrast:0.3,crop:1",
];

fn augmented() -> BoxedStrategy<Fields> {
    let fields = |(x, how, at)| vec![("x", tensor(x)), ("step", counter()), ("how", word(how)), ("at", at)];
    filled((shape(4), one_of(AUGMENTATIONS), step()).prop_map(fields), &["any", "special", "large"])
}

fn augment(line: &Line) -> Case {
    let (how, seed) = (line.word("how").to_string(), line.seed);
    let mut case = line.case(move |g, i| g.augment(i[0], i[1], how.parse()?, seed));
    (case.backward, case.differentiable) = (false, false);
    at(line, case)
}

fn dropped() -> BoxedStrategy<Fields> {
    let fields = |(x, p, at)| vec![("x", tensor(x)), ("step", counter()), ("p", Value::Float(p)), ("at", at)];
    filled((shape(2..5), float_of(&[0.0, 0.2, 0.5, 0.9]), step()).prop_map(fields), &["any", "special"])
}

fn dropout(line: &Line, spatial: bool) -> Case {
    let (p, seed) = (line.float("p"), line.seed);
    let case = line.case(move |g, i| match spatial {
        true => g.spatial_dropout(i[0], i[1], p, seed),
        false => g.dropout(i[0], i[1], p, seed),
    });
    at(line, case)
}

fn clocks() -> BoxedStrategy<Fields> {
    let fields = |(at, every)| vec![("begun", counter()), ("step", counter()), ("at", at), ("every", number(every))];
    (step(), 1usize..5).prop_map(fields).boxed()
}

fn clock(line: &Line) -> Case {
    let every = line.number("every");
    let mut case = at(line, line.case(move |g, i| g.update_clock(i[0], i[1], every)));
    (case.backward, case.differentiable) = (false, false);
    case
}

/// A case whose operands are variables that it replaces.
fn updating(line: &Line, mut case: Case) -> Case {
    (case.differentiable, case.backward, case.updates) = (false, false, true);
    at(line, case)
}

fn records() -> BoxedStrategy<Fields> {
    let fields = |(steps, [n, c], values, at, weighted): (usize, [usize; 2], &'static str, Value, bool)| {
        let (history, logits, labels) = (tensor([steps, 3]), tensor([n, c]), integers(DType::U32, [n]));
        let operands = vec![("history", history), ("step", counter()), ("logits", logits), ("labels", labels)];
        let weights = weighted.then(|| ("weights", tensor([c])));
        operands.into_iter().chain(weights).chain([("values", word(values)), ("at", at)]).collect()
    };
    (1usize..8, rows(), one_of(LABELS), step(), any::<bool>()).prop_map(fields).boxed()
}

fn record(line: &Line) -> Case {
    let mut case = updating(line, line.case(|g, i| g.record(i[0], i[1], i[2], i[3], i.get(4).copied())));
    // Weights of both signs would cancel.
    if let Some(weights) = case.inputs.get_mut(4) {
        weights.fill = Fill::Positive;
    }
    if let (Some(labels), Some(&classes)) = (case.inputs.get_mut(3), line.shape("logits").get(1)) {
        labels.fill = line.integer_fill(classes);
    }
    case
}

fn tallies() -> BoxedStrategy<Fields> {
    let fields = |([n, c], values): ([usize; 2], &'static str)| {
        let (tally, labels) = (integers(DType::U32, [c, c + 2]), integers(DType::U32, [n]));
        let at = ("at", number(0));
        vec![("tally", tally), ("logits", tensor([n, c])), ("labels", labels), ("values", word(values)), at]
    };
    filled((rows(), one_of(LABELS)).prop_map(fields), &["any", "ties", "special"])
}

fn tally(line: &Line) -> Case {
    let mut case = updating(line, line.case(|g, i| g.tally(i[0], i[1], i[2])));
    if let (Some(labels), Some(&classes)) = (case.inputs.get_mut(2), line.shape("logits").get(1)) {
        labels.fill = line.integer_fill(classes);
    }
    case
}

fn accumulations() -> BoxedStrategy<Fields> {
    let fields = |(x, steps, every, at): (Vec<usize>, usize, usize, Value)| {
        let operands = vec![("sum", tensor(x.clone())), ("x", tensor(x)), ("shares", tensor([steps]))];
        operands.into_iter().chain([("step", counter()), ("every", number(every)), ("at", at)]).collect()
    };
    filled((shape(0..4), 1usize..6, 1usize..5, step()).prop_map(fields), &["any", "special"])
}

fn accumulate(line: &Line) -> Case {
    let every = line.number("every");
    let mut case = at(line, line.case(move |g, i| g.accumulate(i[0], i[1], i[2], i[3], every)));
    (case.backward, case.differentiable) = (false, false);
    case
}

fn stores() -> BoxedStrategy<Fields> {
    let fields = |x: Vec<usize>| vec![("variable", tensor(x.clone())), ("value", tensor(x)), ("at", number(0))];
    filled(shape(0..4).prop_map(fields), &["any", "special"])
}

/// Two coefficients in [0, 1), a decay and two flags, which each rule uses as it can.
type Settings = (f32, f32, f32, [bool; 2]);

fn updates() -> BoxedStrategy<Fields> {
    let rules = one_of(&["sgd", "rmsprop", "adam", "adamw", "adagrad"]);
    let share = || float_of(&[0.0, 0.5, 0.9]);
    let length = prop_oneof![(1usize..9).prop_map(|n| 64 * n), 1usize..300];
    let options = (share(), share(), float_of(&[0.0, 0.01]), [any::<bool>(), any::<bool>()]);
    let fields = |(rule, length, at, options): (&str, usize, Value, Settings)| {
        let (first, second, decay, [one, two]) = options;
        vec![
            ("rule", word(rule)),
            ("length", number(length)),
            ("first", Value::Float(first)),
            ("second", Value::Float(second)),
            ("decay", Value::Float(decay)),
            ("one", flag(one)),
            ("two", flag(two)),
            ("at", at),
        ]
    };
    (rules, length, step(), options).prop_map(fields).boxed()
}

fn optimizer(line: &Line) -> AnyOptimizer {
    let [first, second, decay] = ["first", "second", "decay"].map(|name| line.float(name));
    let [one, two] = ["one", "two"].map(|name| line.flag(name));
    match line.word("rule") {
        "sgd" => {
            let sgd = Sgd::new(0.1).momentum(first).weight_decay(decay);
            let nesterov = one && first > 0.0;
            AnyOptimizer::Sgd(if nesterov { sgd.nesterov(true) } else { sgd.dampening(second) })
        }
        "rmsprop" => {
            let rmsprop = RmsProp::new(0.01).alpha(first).momentum(second).weight_decay(decay);
            AnyOptimizer::RmsProp(rmsprop.centered(one).epsilon_inside(two).epsilon(0.01))
        }
        "adam" => AnyOptimizer::Adam(Adam::new(0.01).betas(first, second).weight_decay(decay).epsilon(1e-3)),
        "adamw" => AnyOptimizer::AdamW(AdamW::new(0.01).betas(first, second).weight_decay(decay).epsilon(1e-3)),
        _ => AnyOptimizer::Adagrad(Adagrad::new(0.01).rate_decay(first).initial(second).weight_decay(decay)),
    }
}

fn update(line: &Line) -> Case {
    let rule = optimizer(line).boxed();
    let kept = rule.states();
    let operands = line.number("length");
    let float = |shape: &[usize], fill| lenslet::check::Input { ty: lenslet::TensorType::f32(shape), fill };
    let clock = |fill| lenslet::check::Input { ty: lenslet::TensorType::u32([1]), fill };
    let mut case = line.case(move |g, i| {
        rule.check()?;
        let [parameters, gradients, rates, step, states @ .., clock] = i else { panic!("an update's operands") };
        let [parameters, gradients, rates, step, clock]: [NodeId; 5] = [*parameters, *gradients, *rates, *step, *clock];
        rule.update(g, Flat { parameters, gradients, rates, step, ranges: &[], groups: &[], states, clock })
    });
    let flat = |fill| float(&[operands], fill);
    case.inputs = vec![flat(Fill::Any), flat(Fill::Any), float(&[3], Fill::Any), clock(Fill::Only(0))];
    // Mean squares and velocities are positive; running means are 0, so that no variance cancels.
    case.inputs.extend(kept.iter().map(|&state| flat(Fill::Only((state != "mean") as u32))));
    case.inputs.push(clock(Fill::Only(0)));
    updating(line, case)
}
