//! Textures of a graphics app as inputs and outputs of a session, entirely on the GPU.
//!
//! A frame is one command encoder: the app draws, [`TextureInput::encode`] reads its rendering,
//! [`GpuSession::encode`](crate::gpu::GpuSession::encode) runs the step, [`TextureOutput::encode`] writes a value as an
//! image, and the app samples it. Encoding submits, polls, reads back and creates nothing. WebGPU's default limits
//! suffice.
//!
//! [`TextureRead`] and [`TextureWrite`] define the conversions; each has a method `apply` that computes the same on the
//! CPU.

mod colors;
mod input;
mod output;
mod pass;
mod read;
mod write;

pub use colors::{ColorMap, decoded, encoded};
pub use input::TextureInput;
pub use output::TextureOutput;
pub use pass::{Bind, TexturePass};
pub use read::{Channels, Light, Sampling, TextureRead};
pub use write::{TextureWrite, ValueRange};

/// Maximum width and height of an image, in texels and in values: positions are exact in 32 bits.
pub const LARGEST_SIDE: u32 = 1 << 14;
