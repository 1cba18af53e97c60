//! The interface of all networks.

use crate::graph::NodeId;
use crate::nn::build::Build;
use crate::{Result, Shape};

/// A network: its input and its computation.
pub trait Model: Send + Sync {
    /// The name in messages and files.
    fn name(&self) -> &str;

    /// The shape of one input, without the batch: `[C, H, W]` for images.
    fn input(&self) -> Shape;

    /// Appends the computation of `x`, of shape `[N, input..]`, and returns the result: `[N, classes]` for a
    /// classifier, before any softmax. Declares the same parameters in the same order whenever it runs.
    fn forward(&self, b: &mut Build<'_>, x: NodeId) -> Result<NodeId>;
}
