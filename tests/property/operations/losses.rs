//! Softmax, log-softmax and losses.

use lenslet::check::Case;
use lenslet::ops::CrossEntropy;
use lenslet::{DType, Graph, NodeId, Result};
use proptest::prelude::*;

use super::{Operation, filled, float_of, one_of, shape};
use crate::line::{Fields, Line, Value, flag, integers, number, tensor, word};

pub fn all() -> Vec<Operation> {
    vec![
        Operation { name: "softmax", draw: along, build: |line| with_axis(line, Graph::softmax) },
        Operation { name: "log_softmax", draw: along, build: |line| with_axis(line, Graph::log_softmax) },
        Operation { name: "softmax_cross_entropy", draw: labeled, build: softmax_cross_entropy },
        Operation { name: "count_correct", draw: labeled, build: count_correct },
        Operation { name: "softmax_cross_entropy_with", draw: weighted, build: softmax_cross_entropy_with },
        Operation { name: "softmax_cross_entropy_soft", draw: soft, build: softmax_cross_entropy_soft },
        Operation { name: "mean_squared_error", draw: errors, build: |line| error(line, Graph::mean_squared_error) },
        Operation { name: "mean_absolute_error", draw: errors, build: |line| error(line, Graph::mean_absolute_error) },
        Operation { name: "binary_cross_entropy", draw: errors, build: binary_cross_entropy },
        Operation { name: "huber_loss", draw: hubers, build: huber_loss },
    ]
}

fn along() -> BoxedStrategy<Fields> {
    let fields = (shape(1..5), 0usize..5).prop_map(|(x, axis)| {
        let axis = axis % x.len();
        vec![("x", tensor(x)), ("axis", number(axis))]
    });
    filled(fields, &["any", "any", "large"])
}

fn with_axis(line: &Line, build: fn(&mut Graph, NodeId, usize) -> Result<NodeId>) -> Case {
    let axis = line.number("axis");
    line.case(move |g, i| build(g, i[0], axis))
}

pub const LABELS: &[&str] = &["below", "below", "some_ignored", "all_ignored", "outside"];

pub fn rows() -> impl Strategy<Value = [usize; 2]> {
    prop_oneof![4 => [1usize..9, 1usize..12], 1 => [1usize..70, 1usize..40]]
}

fn labeled() -> BoxedStrategy<Fields> {
    let fields = (rows(), one_of(LABELS)).prop_map(|([n, c], values)| {
        vec![("logits", tensor([n, c])), ("labels", integers(DType::U32, [n])), ("values", word(values))]
    });
    filled(fields, &["any", "any", "large", "ties"])
}

/// Sets the values of the labels, the second operand.
fn with_labels(line: &Line, mut case: Case) -> Case {
    if let (Some(labels), Some(&classes)) = (case.inputs.get_mut(1), line.shape("logits").get(1)) {
        labels.fill = line.integer_fill(classes);
    }
    case.differentiable &= line.word("values") != "outside";
    case
}

fn softmax_cross_entropy(line: &Line) -> Case {
    with_labels(line, line.case(|g, i| g.softmax_cross_entropy(i[0], i[1])))
}

fn count_correct(line: &Line) -> Case {
    let mut case = with_labels(line, line.case(|g, i| g.count_correct(i[0], i[1])));
    (case.backward, case.differentiable) = (false, false);
    case
}

fn options() -> impl Strategy<Value = Fields> {
    let smoothing = float_of(&[0.0, 0.1, 0.3, 1.0]);
    (smoothing, any::<bool>())
        .prop_map(|(smoothing, weights)| vec![("smoothing", Value::Float(smoothing)), ("weights", flag(weights))])
}

fn cross_entropy(line: &Line) -> CrossEntropy {
    let weight = |class: usize| (class % 4) as f32 * 0.5;
    // A changed shape may have any number of classes.
    let classes = line.shape("logits").get(1).map_or(1, |&classes| classes.min(1 << 16));
    let class_weights = line.flag("weights").then(|| (0..classes).map(weight).collect());
    CrossEntropy { label_smoothing: line.float("smoothing"), class_weights }
}

fn weighted() -> BoxedStrategy<Fields> {
    (labeled(), options()).prop_map(|(labeled, options)| [labeled, options].concat()).boxed()
}

fn softmax_cross_entropy_with(line: &Line) -> Case {
    let options = cross_entropy(line);
    with_labels(line, line.case(move |g, i| g.softmax_cross_entropy_with(i[0], i[1], &options)))
}

fn soft() -> BoxedStrategy<Fields> {
    let fields = |([n, c], options): ([usize; 2], Fields)| {
        [vec![("logits", tensor([n, c])), ("targets", tensor([n, c]))], options].concat()
    };
    (rows(), options()).prop_map(fields).boxed()
}

fn softmax_cross_entropy_soft(line: &Line) -> Case {
    let options = cross_entropy(line);
    line.case(move |g, i| g.softmax_cross_entropy_soft(i[0], i[1], &options))
}

fn errors() -> BoxedStrategy<Fields> {
    filled(shape(0..5).prop_map(|x| vec![("prediction", tensor(x.clone())), ("target", tensor(x))]), &["any", "large"])
}

fn error(line: &Line, build: fn(&mut Graph, NodeId, NodeId) -> Result<NodeId>) -> Case {
    line.case(move |g, i| build(g, i[0], i[1]))
}

fn binary_cross_entropy(line: &Line) -> Case {
    // Targets are between 0 and 1.
    line.case(|g, i| {
        let target = g.sigmoid(i[1])?;
        g.binary_cross_entropy(i[0], target)
    })
}

fn hubers() -> BoxedStrategy<Fields> {
    let delta = float_of(&[0.125, 1.0, 3.0]);
    (errors(), delta)
        .prop_map(|(mut fields, delta)| {
            fields.push(("delta", Value::Float(delta)));
            fields
        })
        .boxed()
}

fn huber_loss(line: &Line) -> Case {
    let delta = line.float("delta");
    line.case(move |g, i| g.huber_loss(i[0], i[1], delta))
}
