//! Describing networks: layers, their parameters and initial values, summaries.
//!
//! A [`Model`] is a description. Its [`forward`](Model::forward) runs twice over: once on a scratch graph, where it
//! declares its parameters, from which come the [`Layout`] and the [`Summary`]; and once for each graph that computes
//! it ([`Layout::forward`]), where every parameter is a view of one flat variable.
//!
//! Plain stacks are a [`Sequential`]; a [`Network`] is one with branches, and can be read from a file and written to one.
//! Other networks implement [`Model`], from [`Layer`]s and the graph's operations:
//!
//! ```
//! use lenslet::nn::{Build, Layer, Model, Summary};
//! use lenslet::{NodeId, Result, Shape};
//!
//! /// Adds a convolution of an image to the image.
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
mod forward;
mod init;
mod layer;
mod layout;
mod model;
pub(crate) mod network;
mod parameter;
mod reach;
mod row;
mod sequential;
mod summary;

pub use build::{Build, MaxPooling, Statistics, Training};
pub use forward::TrainingForward;
pub use init::Init;
pub use layer::{Groups, Layer, LayerKind, Place, Role, setting};
pub use layout::Layout;
pub use model::Model;
pub use network::{Network, Wired};
pub use parameter::{Fate, Leaves, ParameterSpec, Part, Stored};
pub use reach::Reach;
pub use row::Row;
pub use sequential::Sequential;
pub use summary::{Summary, Total, thousands};
