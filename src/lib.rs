//! GPU compute for convolutional networks, on WebGPU.
//!
//! WGSL compute shaders run convolution, pooling and matrix products in parallel across filters and pictures; a graph
//! scheduler on the host dispatches them, so that networks train wholly on the GPU, of any make.
//!
//! - [`Trainer`] trains a [`nn::Sequential`] or any other [`nn::Model`] on a [`data::Dataset`].
//! - [`Graph`] builds any computation of the [operations](ops); [`device::run`] runs it once, a [`Session`] again
//!   and again, and [`gpu::GpuSession::encode`] inside an app's own command encoder.
//! - [`Gpu::from_wgpu`] takes an app's own device.
//!
//! Everything that can fail returns an [`Error`] that says what, where, what was expected and what to do.

#![deny(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "bench")]
pub mod bench;
pub mod check;
pub mod compile;
pub mod cpu;
pub mod data;
pub mod device;
pub mod error;
pub mod formats;
pub mod gpu;
pub mod graph;
pub mod infer;
pub mod kernel;
pub mod models;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod plan;
#[cfg(feature = "plot")]
pub mod plot;
pub mod runs;
pub mod shape;
pub mod tensor;
pub mod train;

pub use device::{Device, Session};
pub use error::{Error, Result};
pub use gpu::{Gpu, ShaderChecks, TextureInput, TextureOutput, TextureRead, TextureWrite};
pub use graph::{Graph, NodeId, Precision};
pub use infer::Predictor;
pub(crate) use kernel::own_shader as shader;
pub use shape::{DType, Padding, Pair, Shape, TensorType, Window};
pub use tensor::{HostData, Tensor};
pub use train::{FrameTrainer, Trainer};
pub use wgpu;

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
