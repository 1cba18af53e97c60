//! Runs on disk: a folder each, with its configuration, logs, checkpoints and weights.

mod config;
mod folder;
mod log;
#[cfg(feature = "tensorboard")]
mod tensorboard;

pub use config::Config;
pub use folder::{Recorder, RunFolder};
pub use log::{CsvLog, JsonLog, LogLine, Window};
#[cfg(feature = "tensorboard")]
pub use tensorboard::TensorBoard;
