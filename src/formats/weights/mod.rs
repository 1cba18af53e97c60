//! Weight files: named parameters in safetensors format, with PyTorch's names and shapes.

mod parameters;
pub mod tensors;

use sha2::{Digest, Sha256};

pub(crate) use parameters::check_length;
pub use parameters::{from_tensors, load, save, sha256, to_tensors};

/// A finished hash in hexadecimal.
pub(crate) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
