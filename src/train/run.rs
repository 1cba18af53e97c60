//! A run folder: everything a run leaves behind.
//!
//! `config.toml` runs it again, `log.jsonl` tells how it went, `model.safetensors` holds the weights as of the last
//! finished epoch.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Schedule;
use crate::data::folder;
use crate::graph::Precision;
use crate::nn::Layout;
use crate::optim::{AnyOptimizer, Clip};
use crate::weights;
use crate::{Error, Result};

/// What is needed to run it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The network's name.
    pub model: String,
    /// `mnist`, or the folder of the data.
    pub data: String,
    /// Passes over the training pictures.
    pub epochs: u32,
    /// Steps after which it stops, whatever the epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Pictures a step.
    pub batch_size: usize,
    /// Pictures held out of the training set.
    pub validation: usize,
    /// How a folder of pictures is taken, if the data is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<folder::Options>,
    /// Of initial values, shuffling and the split.
    pub seed: u64,
    /// The learning rate's course.
    pub schedule: Schedule,
    /// How a training step stores its values.
    #[serde(default)]
    pub precision: Precision,
    /// How gradients are clipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Clip>,
    /// The rule and its settings.
    pub optimizer: AnyOptimizer,
    /// Where it ran: the same weights come from the same device only.
    pub device: String,
}

/// A line of `log.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LogLine {
    /// Means over the steps since the last such line.
    Step {
        /// The last of them.
        step: u64,
        /// Its epoch.
        epoch: u32,
        /// Mean cross-entropy.
        loss: f64,
        /// Share classified right.
        accuracy: f64,
        /// Pictures a second.
        images_per_s: f64,
        /// Of the last step.
        learning_rate: f32,
    },
    /// Means over an epoch.
    Epoch {
        /// Counted from 1.
        epoch: u32,
        /// Mean cross-entropy while training.
        loss: f64,
        /// Share classified right while training.
        accuracy: f64,
        /// On the pictures held out.
        validation_loss: Option<f64>,
        /// On the pictures held out.
        validation_accuracy: Option<f64>,
        /// Wall time of its steps.
        seconds: f64,
        /// Pictures a second.
        images_per_s: f64,
        /// Of the last step.
        learning_rate: f32,
        /// Of the parameters.
        weights_sha256: String,
    },
}

/// The folder of one run: `config.toml` runs it again, `log.jsonl` tells how it went, `model.safetensors` holds the
/// weights as of the last finished epoch.
pub struct RunFolder {
    path: PathBuf,
    log: File,
}

impl RunFolder {
    /// Creates the folder and writes its configuration.
    ///
    /// Errors: it cannot be written; it exists and holds anything: nothing is overwritten.
    pub fn create(path: impl AsRef<Path>, config: &Config) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        fs::create_dir_all(&path).map_err(Error::io(&path, "create"))?;
        if fs::read_dir(&path).map_err(Error::io(&path, "read"))?.next().is_some() {
            return Err(Error::data(&path, "expected a new or empty folder, found files in it; choose another --out"));
        }
        let text = toml::to_string(config).expect("a configuration is a table of plain values");
        weights::replace_file(path.join("config.toml"), |out| out.write_all(text.as_bytes()))?;
        let log = path.join("log.jsonl");
        let log = File::create(&log).map_err(Error::io(&log, "create"))?;
        Ok(Self { path, log })
    }

    /// The first of `runs/<model>-1`, `-2`, ... that does not exist.
    pub fn next_free(model: &str) -> PathBuf {
        let numbered = (1..).map(|i| Path::new("runs").join(format!("{model}-{i}")));
        numbered.into_iter().find(|path| !path.exists()).expect("numbers do not end")
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line to the log.
    pub fn log(&mut self, line: &LogLine) -> Result<()> {
        let text = serde_json::to_string(line).expect("a log line is plain values");
        writeln!(self.log, "{text}").map_err(Error::io(self.path.join("log.jsonl"), "write"))
    }

    /// Writes the weights; those written before stay until the new ones are whole.
    pub fn save_weights(&self, layout: &Layout, parameters: &[f32], config: &Config) -> Result<()> {
        let metadata = BTreeMap::from([("model".to_string(), config.model.clone())]);
        weights::save(self.path.join("model.safetensors"), layout, parameters, &metadata)
    }

    /// The configuration of the run in `path`.
    ///
    /// Errors: no run folder; a key that is missing, unknown or of the wrong type, with its line.
    pub fn read_config(path: impl AsRef<Path>) -> Result<Config> {
        let file = path.as_ref().join("config.toml");
        let text = fs::read_to_string(&file).map_err(Error::io(&file, "read"))?;
        toml::from_str(&text).map_err(|e| Error::data(&file, e.to_string().trim().to_string()))
    }

    /// The weights of the run in `path`.
    ///
    /// Errors: no weights; weights of another model, with the tensor and both shapes.
    pub fn read_weights(path: impl AsRef<Path>, layout: &Layout) -> Result<Vec<f32>> {
        weights::load(path.as_ref().join("model.safetensors"), layout)
    }
}
