//! Inputs and results of a step: the batches of a data set, the loss, the history of steps.

use crate::data::Spec;
use crate::graph::{Graph, NodeId};
use crate::nn::{Layout, Model};
use crate::shape::TensorType;
use crate::{Error, Result};

/// Columns of the history, one row per step: loss, correct, counted.
pub const HISTORY_COLUMNS: usize = 3;

/// Leaves of a resident data set, and the step counter.
#[derive(Clone, Copy, Debug)]
pub struct Batches {
    /// All images, `u8[M,C,H,W]`.
    pub images: NodeId,
    /// All labels, `u8[M]`.
    pub labels: NodeId,
    /// Index of the image in each row of each step, `u32[steps·batch]`.
    pub order: NodeId,
    /// The same with images in the padded rows, for networks with running averages, which see every row.
    pub shown: Option<NodeId>,
    /// Number of the step in the epoch, `u32[1]`; the step increments it.
    pub step: NodeId,
    /// Loss, correct and counted of each step, `f32[steps,3]`; the loss is weighted by class if class weights are set.
    pub history: NodeId,
}

/// The loss and its operands.
pub(crate) struct Forward {
    pub logits: NodeId,
    pub labels: NodeId,
    pub loss: NodeId,
}

/// Data and batches of a step.
pub(crate) struct Source {
    pub data: Spec,
    pub batch: usize,
    pub steps: usize,
    pub class_weights: Option<Vec<f32>>,
}

impl Source {
    /// Appends the leaves of the data set; with `shown`, padded rows hold images.
    pub fn batches(&self, graph: &mut Graph, model: &dyn Model, shown: bool) -> Result<Batches> {
        let Self { data, batch, steps, .. } = *self;
        if *model.input() != data.shape {
            let expected = format!("images of {} for {}", model.input(), model.name());
            return Err(Error::option("data set", expected, format!("images of {:?}", data.shape)));
        }
        let [c, h, w] = data.shape;
        let order = TensorType::u32([steps * batch]);
        Ok(Batches {
            images: graph.input("pictures", TensorType::u8([data.len, c, h, w]))?,
            labels: graph.input("labels", TensorType::u8([data.len]))?,
            order: graph.input("order", order.clone())?,
            shown: shown.then(|| graph.input("shown", order)).transpose()?,
            step: graph.variable("step", TensorType::u32([1]))?,
            history: graph.variable("history", TensorType::f32([steps, HISTORY_COLUMNS]))?,
        })
    }

    /// Appends loss and counts of the step's batch, whose logits `forward` computes, and their record in the history.
    pub fn forward(
        &self,
        graph: &mut Graph,
        model: &dyn Model,
        batches: Batches,
        forward: impl FnOnce(&mut Graph, NodeId) -> Result<NodeId>,
    ) -> Result<Forward> {
        let Self { data, batch, .. } = *self;
        graph.set_scope("batch");
        let order = batches.shown.unwrap_or(batches.order);
        let x = graph.gather_images(batches.images, order, batches.step, batch)?;
        let labels = graph.gather_labels(batches.labels, batches.order, batches.step, batch)?;
        let logits = forward(graph, x)?;
        if graph.shape(logits)[..] != [batch, data.classes] {
            let expected = format!("[{batch}, {}] for {} classes", data.classes, data.classes);
            return Err(Error::option(format!("output of {}", model.name()), expected, graph.shape(logits)));
        }
        graph.set_scope("loss");
        let weights =
            self.class_weights.clone().map(|weights| graph.class_weights(data.classes, weights)).transpose()?;
        let loss = match weights {
            Some(weights) => graph.softmax_cross_entropy_weighted(logits, labels, weights)?,
            None => graph.softmax_cross_entropy(logits, labels)?,
        };
        graph.record(batches.history, batches.step, logits, labels, weights)?;
        Ok(Forward { logits, labels, loss })
    }
}

/// An evaluation step: loss and counts, no update.
#[derive(Clone, Debug)]
pub struct EvaluationStep {
    /// The computation.
    pub graph: Graph,
    /// The data set.
    pub batches: Batches,
    /// All parameters, flat.
    pub parameters: NodeId,
    /// Counts of the images so far by true and predicted class, `u32[C,C+2]`. See [`crate::ops::training::tally`].
    pub tally: NodeId,
}

impl EvaluationStep {
    /// The evaluation step of `model` over `data` with batches of `batch` images.
    ///
    /// Errors: as [`TrainingStep::new`](crate::train::TrainingStep::new).
    pub fn new(model: &dyn Model, layout: &Layout, data: Spec, batch: usize) -> Result<Self> {
        Self::within(model, layout, data, data.len.div_ceil(batch), batch)
    }

    /// As [`EvaluationStep::new`], for `steps` steps over a set of which `data` is the resident part.
    pub(crate) fn within(model: &dyn Model, layout: &Layout, data: Spec, steps: usize, batch: usize) -> Result<Self> {
        let mut graph = Graph::new();
        let source = Source { data, batch, steps, class_weights: None };
        let batches = source.batches(&mut graph, model, false)?;
        let parameters = graph.variable("parameters", layout.ty())?;
        let Forward { logits, labels, .. } =
            source.forward(&mut graph, model, batches, |graph, x| layout.forward(model, graph, parameters, x))?;
        let tally = graph.variable("tally", TensorType::u32([data.classes, data.classes + 2]))?;
        graph.tally(tally, logits, labels)?;
        Ok(Self { graph, batches, parameters, tally })
    }
}
