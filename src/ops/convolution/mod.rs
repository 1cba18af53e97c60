//! Convolution, transposed convolution and their gradients.

pub(crate) mod block;
pub mod conv2d;
pub mod conv_transpose2d;
pub(crate) mod cpu;
pub(crate) mod depthwise;
pub(crate) mod extents;
pub(crate) mod subgroup;
pub(crate) mod winograd;
