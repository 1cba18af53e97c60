//! File formats of networks and parameters, each on its own: none knows another.

mod file;
pub(crate) mod json;
mod toml;
pub mod weights;

pub use file::replace_file;
