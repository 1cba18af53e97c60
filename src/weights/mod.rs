//! Weight files: parameters by name, in safetensors, as PyTorch users know them.

mod file;
mod safetensors;

pub use self::file::replace_file;
pub use self::safetensors::{load, save, sha256};
