//! What a step reads and what it leaves: the batches of a data set, the loss, the history of steps.

use crate::data::Spec;
use crate::graph::{Graph, NodeId};
use crate::nn::{Layout, Model};
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
    /// The same with pictures in the rows that count for nothing, for networks whose running averages see every row.
    pub shown: Option<NodeId>,
    /// The number of the step, `u32[1]`; the step advances it.
    pub step: NodeId,
    /// Loss, correct and counted of each step, `f32[steps,3]`; the loss weighted as the classes are.
    pub history: NodeId,
}

/// The loss and what it is computed from.
pub(crate) struct Forward {
    pub logits: NodeId,
    pub labels: NodeId,
    pub loss: NodeId,
}

/// What a step reads besides the parameters.
pub(crate) struct Source {
    pub data: Spec,
    pub batch: usize,
    pub steps: usize,
    pub class_weights: Option<Vec<f32>>,
}

impl Source {
    /// The leaves of the data set; with `shown`, rows that count for nothing show pictures.
    pub fn batches(&self, graph: &mut Graph, model: &dyn Model, shown: bool) -> Result<Batches> {
        let Self { data, batch, steps, .. } = *self;
        if *model.input() != data.shape {
            let expected = format!("pictures of {} for {}", model.input(), model.name());
            return Err(Error::option("data set", expected, format!("pictures of {:?}", data.shape)));
        }
        let [c, h, w] = data.shape;
        let order = TensorType::u32([steps * batch]);
        Ok(Batches {
            pictures: graph.input("pictures", TensorType::u8([data.len, c, h, w]))?,
            labels: graph.input("labels", TensorType::u8([data.len]))?,
            order: graph.input("order", order.clone())?,
            shown: shown.then(|| graph.input("shown", order)).transpose()?,
            step: graph.variable("step", TensorType::u32([1]))?,
            history: graph.variable("history", TensorType::f32([steps, HISTORY_COLUMNS]))?,
        })
    }

    /// Loss and counts of the step's batch, whose logits `forward` computes, and their record.
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
        let x = graph.gather_images(batches.pictures, order, batches.step, batch)?;
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

/// A step of evaluation: loss and counts, no change.
#[derive(Clone, Debug)]
pub struct EvaluationStep {
    /// The computation.
    pub graph: Graph,
    /// The data set.
    pub batches: Batches,
    /// All parameters, flat.
    pub parameters: NodeId,
    /// What the pictures so far were taken for, `u32[C,C+2]`. See [`crate::ops::training::tally`].
    pub tally: NodeId,
}

impl EvaluationStep {
    /// The step of `model` over `data` with batches of `batch`.
    ///
    /// Errors: as [`TrainingStep::new`](crate::train::TrainingStep::new).
    pub fn new(model: &dyn Model, layout: &Layout, data: Spec, batch: usize) -> Result<Self> {
        Self::within(model, layout, data, data.len.div_ceil(batch), batch)
    }

    /// As [`EvaluationStep::new`], for so many steps over a set of which `data` is what lies on the device at once.
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
