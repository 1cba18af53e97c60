//! One step as a graph: forward, backward and optimizer together.

use crate::compile::gradients;
use crate::data::Spec;
use crate::graph::{Graph, NodeId};
use crate::nn::{Layout, Model};
use crate::optim::{Flat, Optimizer};
use crate::shape::TensorType;
use crate::{Error, Result};

/// Values of a step's history row: loss, correct, counted.
pub const HISTORY_COLUMNS: usize = 3;

/// A resident data set and the counter that walks through it.
#[derive(Clone, Copy, Debug)]
pub struct Batches {
    /// All pictures, `u8[M,C,H,W]`.
    pub pictures: NodeId,
    /// All labels, `u8[M]`.
    pub labels: NodeId,
    /// Which picture each row of each step takes, `u32[steps·batch]`.
    pub order: NodeId,
    /// The number of the step, `u32[1]`; the step advances it.
    pub step: NodeId,
    /// Loss, correct and counted of each step, `f32[steps,3]`.
    pub history: NodeId,
}

/// The loss and what it is computed from.
struct Forward {
    batches: Batches,
    parameters: NodeId,
    logits: NodeId,
    loss: NodeId,
}

fn forward(
    graph: &mut Graph,
    model: &dyn Model,
    layout: &Layout,
    data: Spec,
    batch: usize,
    steps: usize,
) -> Result<Forward> {
    if *model.input() != data.shape {
        let expected = format!("pictures of {} for {}", model.input(), model.name());
        return Err(Error::option("data set", expected, format!("pictures of {:?}", data.shape)));
    }
    let [c, h, w] = data.shape;
    let batches = Batches {
        pictures: graph.input("pictures", TensorType::u8([data.len, c, h, w]))?,
        labels: graph.input("labels", TensorType::u8([data.len]))?,
        order: graph.input("order", TensorType::u32([steps * batch]))?,
        step: graph.variable("step", TensorType::u32([1]))?,
        history: graph.variable("history", TensorType::f32([steps, HISTORY_COLUMNS]))?,
    };
    let parameters = graph.variable("parameters", layout.ty())?;
    graph.set_scope("batch");
    let x = graph.gather_images(batches.pictures, batches.order, batches.step, batch)?;
    let labels = graph.gather_labels(batches.labels, batches.order, batches.step, batch)?;
    let logits = layout.forward(model, graph, parameters, x)?;
    if graph.shape(logits)[..] != [batch, data.classes] {
        let expected = format!("[{batch}, {}] for {} classes", data.classes, data.classes);
        return Err(Error::option(format!("output of {}", model.name()), expected, graph.shape(logits)));
    }
    graph.set_scope("loss");
    let loss = graph.softmax_cross_entropy(logits, labels)?;
    let counts = graph.count_correct(logits, labels)?;
    graph.record(batches.history, batches.step, loss, counts)?;
    Ok(Forward { batches, parameters, logits, loss })
}

/// A training step.
#[derive(Clone, Debug)]
pub struct TrainingStep {
    /// The computation.
    pub graph: Graph,
    /// The data set.
    pub batches: Batches,
    /// All parameters, flat.
    pub parameters: NodeId,
    /// What the optimizer keeps, each flat.
    pub states: Vec<NodeId>,
    /// The learning rate of each step of the epoch.
    pub rates: NodeId,
    /// Steps of the run before this epoch, `u32[1]`, if anything in the step asks.
    pub begun: Option<NodeId>,
}

impl TrainingStep {
    /// The step of `model` over `data` with batches of `batch`, for epochs of up to `steps` steps.
    ///
    /// Errors: those of the model's layers; pictures or classes that do not fit the model.
    pub fn new(
        model: &dyn Model,
        layout: &Layout,
        optimizer: &dyn Optimizer,
        data: Spec,
        batch: usize,
        steps: usize,
    ) -> Result<Self> {
        let mut graph = Graph::new();
        let Forward { batches, parameters, loss, .. } = forward(&mut graph, model, layout, data, batch, steps)?;
        let views = layout.views(&graph, parameters);
        let parts = gradients(&mut graph, loss, &views)?;
        graph.set_scope("optimizer");
        let packed = graph.pack(&parts, layout.offsets(), layout.total())?;
        let rates = graph.input("rates", TensorType::f32([steps]))?;
        let state = |name: &&str| graph.variable(name, layout.ty());
        let states = optimizer.states().iter().map(state).collect::<Result<Vec<_>>>()?;
        graph.set_scope("optimizer");
        let begun = graph.input("begun", TensorType::u32([1]))?;
        let clock = graph.clock(begun, batches.step)?;
        let ranges: Vec<_> = layout.parameters().map(|(_, range)| range).collect();
        let (ranges, states_of, step) = (ranges.as_slice(), states.as_slice(), batches.step);
        let flat = Flat { parameters, gradients: packed, ranges, states: states_of, rates, step, clock };
        optimizer.update(&mut graph, flat)?;
        let begun = (!graph.readers()[clock.index()].is_empty()).then_some(begun);
        Ok(Self { graph, batches, parameters, states, rates, begun })
    }
}

/// A step of evaluation: loss, accuracy and classes, no change.
#[derive(Clone, Debug)]
pub struct EvaluationStep {
    /// The computation.
    pub graph: Graph,
    /// The data set.
    pub batches: Batches,
    /// All parameters, flat.
    pub parameters: NodeId,
    /// The class of each picture in order, `f32[steps·batch]`.
    pub classes: NodeId,
}

impl EvaluationStep {
    /// The step of `model` over `data` with batches of `batch`.
    ///
    /// Errors: as [`TrainingStep::new`].
    pub fn new(model: &dyn Model, layout: &Layout, data: Spec, batch: usize) -> Result<Self> {
        let mut graph = Graph::new();
        let steps = data.len.div_ceil(batch);
        let classes = graph.variable("classes", TensorType::f32([steps * batch]))?;
        let forward = forward(&mut graph, model, layout, data, batch, steps)?;
        graph.classify(classes, forward.logits, forward.batches.step)?;
        Ok(Self { graph, batches: forward.batches, parameters: forward.parameters, classes })
    }
}
