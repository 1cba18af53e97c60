//! Describing networks: layers, their parameters and initial values, summaries.
//!
//! A [`Model`] is a description. Its [`forward`](Model::forward) runs twice over: once on a scratch graph, where it
//! declares its parameters, from which come the [`Layout`] and the [`Summary`]; and once for each graph that computes
//! it ([`Layout::forward`]), where every parameter is a view of one flat variable.
//!
//! Plain stacks are a [`Sequential`]; a [`Network`] is one with branches, and can be read from a file and written to one.
//! What those do not say implements [`Model`] itself, from [`Layer`]s and the graph's own operations:
//!
//! ```
//! use lenslet::nn::{Build, Layer, Model, Summary};
//! use lenslet::{NodeId, Result, Shape};
//!
//! /// Adds to an image what a convolution sees in it.
//! struct Residual;
//!
//! impl Model for Residual {
//!     fn name(&self) -> &str {
//!         "residual"
//!     }
//!     fn input(&self) -> Shape {
//!         [8, 16, 16].into()
//!     }
//!     fn forward(&self, b: &mut Build<'_>, x: NodeId) -> Result<NodeId> {
//!         let seen = Layer::conv2d(8, 3).padding(1).apply(b, "conv", x)?;
//!         let sum = b.graph.add(x, seen)?;
//!         Layer::relu().apply(b, "relu", sum)
//!     }
//! }
//!
//! assert_eq!(Summary::of(&Residual)?.parameters, 8 * 8 * 3 * 3 + 8);
//! # Ok::<(), lenslet::Error>(())
//! ```

mod build;
mod init;
mod layer;
mod layout;
pub(crate) mod network;
mod sequential;
mod summary;

pub use build::{Build, Reach, Statistics, Training};
pub use init::Init;
pub use layer::{Groups, Kind, Layer};
pub use layout::{Fate, Layout, Leaves, ParameterSpec, Part, Stored, TrainingForward};
pub use network::{Network, Wired};
pub use sequential::Sequential;
pub use summary::{Row, Summary, Total};

use crate::graph::NodeId;
use crate::{Result, Shape};

/// A network: what it takes and how it computes.
pub trait Model: Send + Sync {
    /// What it is called in messages and files.
    fn name(&self) -> &str;

    /// The shape of one input, without the batch: `[C, H, W]` for images.
    fn input(&self) -> Shape;

    /// Appends the computation of `x`, of shape `[N, input..]`, and returns the result: `[N, classes]` for a
    /// classifier, before any softmax. Declares the same parameters in the same order whenever it runs.
    fn forward(&self, b: &mut Build<'_>, x: NodeId) -> Result<NodeId>;
}
