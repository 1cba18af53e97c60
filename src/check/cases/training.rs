//! What surrounds a step: minibatches, optimizers, the history.

use crate::optim::{Flat, Optimizer, RmsProp, Sgd};
use crate::{Graph, NodeId, TensorType};

use super::{Build, Case, Fill, Input};

pub fn all() -> Vec<Case> {
    [batches(), updates()].into_iter().flatten().collect()
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
    type Make = fn() -> Box<dyn Optimizer>;
    let optimizers: [(&str, Make); 5] = [
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
