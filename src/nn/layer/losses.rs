//! Probabilities.

use crate::Result;
use crate::graph::NodeId;
use crate::nn::layer::kind::{Layer, LayerKind, Place, Role, constructors};

constructors! {
    /// Softmax along the last axis. Not for training with cross-entropy, which contains a softmax.
    softmax() {
        Layer::new(Softmax)
    }

    /// The logarithm of the softmax along the last axis.
    log_softmax() {
        Layer::new(LogSoftmax)
    }
}

/// Probabilities along the last axis: positive, with sum 1.
#[derive(Clone, Default)]
pub(super) struct Softmax;

impl LayerKind for Softmax {
    fn kind(&self) -> &str {
        "softmax"
    }

    fn about(&self) -> &'static str {
        "probabilities along the last axis"
    }

    fn role(&self) -> Role {
        Role::Activation
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let axis = at.shape().len().saturating_sub(1);
        at.build.graph.softmax(at.x, axis)
    }
}

/// Logarithms of probabilities along the last axis.
#[derive(Clone, Default)]
pub(super) struct LogSoftmax;

impl LayerKind for LogSoftmax {
    fn kind(&self) -> &str {
        "log_softmax"
    }

    fn about(&self) -> &'static str {
        "logarithms of probabilities along the last axis"
    }

    fn role(&self) -> Role {
        Role::Activation
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let axis = at.shape().len().saturating_sub(1);
        at.build.graph.log_softmax(at.x, axis)
    }
}
