//! Textures of a graphics app: into a session's inputs, out of its values, wholly on the GPU.
//!
//! A frame is one command encoder: the app draws, [`TextureInput::encode`] reads what it drew,
//! [`GpuSession::encode`](crate::gpu::GpuSession::encode) computes, [`TextureOutput::encode`] writes a picture of some value,
//! the app samples it. Nothing of it is submitted, polled, read back or made while encoding, and WebGPU's default limits
//! suffice.
//!
//! [`TextureRead`] and [`TextureWrite`] say what the two mean; each has an `apply` that computes the same on the CPU.

mod colours;
mod input;
mod output;
mod pass;
mod read;
mod write;

pub use colours::{ColourMap, decoded, encoded};
pub use input::TextureInput;
pub use output::TextureOutput;
pub use pass::{Bind, TexturePass};
pub use read::{Channels, Light, Sampling, TextureRead};
pub use write::{TextureWrite, ValueRange};

/// Widest and highest picture, in texels and in values: positions are exact in 32 bits.
pub const LARGEST_SIDE: u32 = 1 << 14;
