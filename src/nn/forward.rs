//! Models put into graphs, with their parameters where a [`Layout`] has them.

use crate::graph::{Graph, NodeId};
use crate::nn::build::{Build, Declared};
use crate::nn::layout::{ALIGNMENT, Layout};
use crate::nn::model::Model;
use crate::nn::parameter::{Leaves, Part};
use crate::shape::TensorType;
use crate::{Error, Result};

/// A network's forward computation in a training step.
#[derive(Clone, Debug)]
pub struct TrainingForward {
    /// The result.
    pub y: NodeId,
    /// The parameters that gradients go to.
    pub trained: Vec<Part>,
    /// The variables that hold running averages.
    pub statistics: Vec<Part>,
}

impl Build<'_> {
    /// Runs a model on a batch of one.
    pub(super) fn run(&mut self, model: &dyn Model) -> Result<NodeId> {
        let x = self.begin(&model.input())?;
        model.forward(self, x)
    }
}

impl Layout {
    /// The layout of a model, with one group.
    ///
    /// Errors: those of the model's layers; more parameters than 32 bits count.
    pub fn of(model: &dyn Model) -> Result<Self> {
        let mut graph = Graph::new();
        let mut build = Build::declare(&mut graph);
        build.run(model)?;
        let specs = build.finish().specs;
        let mut total = 0;
        for spec in &specs {
            total = (total + spec.shape.elements() as u64).next_multiple_of(ALIGNMENT as u64);
            if total > u32::MAX.into() {
                let option = format!("parameters of {} up to \"{}\"", model.name(), spec.name);
                return Err(Error::option(option, format!("at most {}", u32::MAX), total));
            }
        }
        Ok(Self::place(specs, 1, |_| Some(0)))
    }

    /// Appends the model's forward computation of `x`, for evaluation, to `graph`, every parameter a view of the
    /// variable `flat`.
    ///
    /// Errors: those of the model's layers; the model declares other parameters than those of this layout (it is
    /// another model, or `x` has another shape than its input).
    pub fn forward(&self, model: &dyn Model, graph: &mut Graph, flat: NodeId, x: NodeId) -> Result<NodeId> {
        self.forward_layers(model, graph, flat, x).map(|(y, _)| y)
    }

    /// As [`Layout::forward`], with the output of each layer, activation included, by the layer's name.
    pub fn forward_layers(
        &self,
        model: &dyn Model,
        graph: &mut Graph,
        flat: NodeId,
        x: NodeId,
    ) -> Result<(NodeId, Vec<(String, NodeId)>)> {
        let mut build = Build::with_parameters(graph, self, flat);
        let y = model.forward(&mut build, x)?;
        let declared = build.finish();
        self.all_declared(model, &declared)?;
        Ok((y, declared.rows.into_iter().map(|row| row.layer).zip(declared.outputs).collect()))
    }

    /// The leaves of a training step that hold this layout's parameters, and whatever else its forward computation
    /// reads, in `graph`.
    pub fn leaves(&self, graph: &mut Graph, clock: NodeId, seed: u64) -> Result<Leaves> {
        let flat = |length: usize| TensorType::f32([length]);
        let parameters = graph.variable("parameters", flat(self.trained().max(ALIGNMENT)))?;
        let frozen = match self.frozen().len() {
            0 => None,
            length => Some(graph.input("frozen", flat(length))?),
        };
        Ok(Leaves { parameters, frozen, clock, seed })
    }

    /// As [`Layout::forward`], for training: each parameter is where `leaves` has it, and running averages are
    /// variables that the step moves.
    ///
    /// Errors: as [`Layout::forward`]; a batch too small for a layer in training.
    pub fn forward_training(
        &self,
        model: &dyn Model,
        graph: &mut Graph,
        leaves: Leaves,
        x: NodeId,
    ) -> Result<TrainingForward> {
        let mut build = Build::with_leaves(graph, self, leaves);
        let y = model.forward(&mut build, x)?;
        let declared = build.finish();
        self.all_declared(model, &declared)?;
        Ok(TrainingForward { y, trained: declared.trained, statistics: declared.statistics })
    }

    fn all_declared(&self, model: &dyn Model, declared: &Declared) -> Result<()> {
        let refuse = || {
            let option = format!("parameters of {}", model.name());
            Error::option(option, format!("{} tensors", self.specs().len()), declared.specs.len())
        };
        if declared.specs.len() == self.specs().len() { Ok(()) } else { Err(refuse()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models;

    #[test]
    fn forward_reads_the_flat_variable() {
        let model = models::lenet5();
        let layout = Layout::of(&model).unwrap();
        let mut graph = Graph::new();
        let flat = graph.variable("parameters", layout.ty()).unwrap();
        let x = graph.input("x", TensorType::f32([5, 1, 28, 28])).unwrap();
        let y = layout.forward(&model, &mut graph, flat, x).unwrap();
        assert_eq!(graph.shape(y)[..], [5, 10]);
        graph.verify().unwrap();

        let x = graph.input("x", TensorType::f32([5, 1, 32, 32])).unwrap();
        let error = layout.forward(&model, &mut graph, flat, x).unwrap_err().to_string();
        assert!(
            error.contains("fc1.weight") && error.contains("[400, 120]") && error.contains("[576, 120]"),
            "{error}"
        );
    }
}
