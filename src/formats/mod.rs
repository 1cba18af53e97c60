//! File formats of networks and parameters, independent of each other.

mod file;
pub(crate) mod json;
mod toml;
pub mod weights;

pub use file::replace_file;
