//! GPU compute for convolutional networks, on WebGPU.

pub mod compile;
pub mod cpu;
pub mod data;
pub mod device;
pub mod error;
pub mod gpu;
pub mod graph;
pub mod kernel;
pub mod models;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod plan;
pub mod shape;
pub mod tensor;
pub mod train;
pub mod weights;

pub use device::{Device, Session};
pub use error::{Error, Result};
pub use gpu::{Gpu, ShaderChecks};
pub use graph::{Graph, NodeId};
pub use shape::{DType, Padding, Pair, Shape, TensorType, Window};
pub use tensor::{HostData, Tensor};
pub use train::Trainer;
pub use wgpu;
