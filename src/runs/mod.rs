//! Runs on disk: configuration, logs, checkpoints and weights in one folder per run.

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
