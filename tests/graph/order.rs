//! The order of a step: updates come last, and read what was there before the step.

use lenslet::compile::schedule;
use lenslet::data::Spec;
use lenslet::graph::Graph;
use lenslet::infer::EvaluationStep;
use lenslet::nn::Layout;
use lenslet::optim::{Flat, Optimizer, Sgd};
use lenslet::{NodeId, Result, TensorType, models};

use super::training_step;

/// What updates need besides parameters and gradients.
struct Common {
    rates: NodeId,
    step: NodeId,
}

impl Common {
    fn new(graph: &mut Graph) -> Result<Self> {
        let rates = graph.input("rates", TensorType::f32([1]))?;
        Ok(Self { rates, step: graph.variable("step", TensorType::u32([1]))? })
    }

    /// An update of `parameters` that reads `gradients`.
    fn update(&self, graph: &mut Graph, parameters: NodeId, gradients: NodeId) -> Result<NodeId> {
        let states = [graph.variable("velocity", graph.ty(parameters).clone())?];
        let ranges = vec![0..graph.shape(parameters).elements(); 1];
        let clock = self.step;
        let flat = Flat {
            parameters,
            gradients,
            ranges: &ranges,
            groups: &[],
            states: &states,
            rates: self.rates,
            step: self.step,
            clock,
        };
        Sgd::new(0.1).update(graph, flat)
    }
}

fn position(order: &[NodeId], id: NodeId) -> usize {
    order.iter().position(|other| *other == id).expect("scheduled")
}

#[test]
fn updates_come_last_and_nothing_needless_comes() {
    let model = models::lenet5();
    let layout = Layout::of(&model).expect("a network");
    let spec = Spec { len: 100, shape: [1, 28, 28], classes: 10 };
    let evaluation = EvaluationStep::new(&model, &layout, spec, 10).expect("a step");
    // The record replaces the step's number; the optimizer reads a copy of it.
    for (graph, last) in
        [(training_step(&model, &Sgd::new(0.1), 3).graph, ["record", "sgd"]), (evaluation.graph, ["record", "tally"])]
    {
        let order = schedule(&graph).expect("an order");
        let is_update = |id: &NodeId| !graph.traits(*id).updates.is_empty();
        let first = order.iter().position(is_update).expect("an update");
        assert!(order[first..].iter().all(is_update));
        let names: Vec<&str> = order[first..].iter().map(|id| graph.node(*id).op().expect("op").name()).collect();
        assert_eq!(names, last);
        for (at, &id) in order.iter().enumerate() {
            assert!(graph.node(id).inputs().iter().all(|&input| position(&order, input) < at), "inputs come earlier");
            let is_read = order.iter().any(|other| graph.node(*other).inputs().contains(&id));
            assert!(is_read || is_update(&id), "{} is scheduled for nobody", graph.node(id).name);
        }
    }
}

#[test]
fn an_update_that_reads_what_another_replaces_goes_before_it() -> Result<()> {
    let mut graph = Graph::new();
    let common = Common::new(&mut graph)?;
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| graph.variable(name, TensorType::f32([6])));
    let (a, b, c, d) = (a?, b?, c?, d?);
    // Each reads what the one appended before it replaces, the last one a view of it.
    let first = common.update(&mut graph, a, d)?;
    let second = common.update(&mut graph, b, a)?;
    let matrix = graph.reshape(b, [2, 3])?;
    let view = graph.reshape(matrix, [6])?;
    let third = common.update(&mut graph, c, view)?;
    let order = schedule(&graph)?;
    let [first, second, third] = [first, second, third].map(|id| position(&order, id));
    assert!(third < second && second < first, "{order:?}");
    Ok(())
}

#[test]
fn updates_in_a_circle_are_refused() -> Result<()> {
    let mut graph = Graph::new();
    let common = Common::new(&mut graph)?;
    let a = graph.variable("a", TensorType::f32([6]))?;
    let b = graph.variable("b", TensorType::f32([6]))?;
    common.update(&mut graph, a, b)?;
    common.update(&mut graph, b, a)?;
    let error = schedule(&graph).expect_err("no order is right").to_string();
    assert!(error.contains("in a circle"), "{error}");
    Ok(())
}
