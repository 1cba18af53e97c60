//! Reports of steps, epochs and runs.

use serde::{Deserialize, Serialize};

use crate::infer::Evaluation;
use crate::{Error, Result};

/// Report of a finished step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Step number over the whole run, from 1.
    pub step: u64,
    /// Epoch number, from 1.
    pub epoch: u32,
    /// Mean cross-entropy of the batch before the update, weighted by class if class weights are set.
    pub loss: f32,
    /// Images of the batch classified correctly before the update.
    pub correct: f32,
    /// Images of the batch.
    pub counted: f32,
    /// Learning rate of the step's update.
    pub learning_rate: f32,
    /// Images per second since the last report from the device.
    pub images_per_s: f64,
}

impl StepReport {
    /// Refuses a loss that is not finite.
    pub(in crate::train) fn check_finite(&self) -> Result<()> {
        let Self { loss: value, step, epoch, .. } = *self;
        match value.is_finite() {
            true => Ok(()),
            false => Err(Error::NotFinite { value, step, epoch, first: String::new() }),
        }
    }
}

/// Report of a finished epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Epoch number, from 1.
    pub epoch: u32,
    /// Number of the epoch's last step over the whole run, from 1.
    pub step: u64,
    /// Mean training loss over the epoch's images, each before its own update.
    #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
    pub loss: f64,
    /// Training accuracy over the epoch's images, each before its own update, in [0, 1].
    #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
    pub accuracy: f64,
    /// Evaluation on the validation images, if there are any.
    pub validation: Option<Evaluation>,
    /// Wall time of the epoch's steps in seconds.
    pub seconds: f64,
    /// Images per second over the whole epoch.
    pub images_per_s: f64,
    /// Learning rate of the last update.
    pub learning_rate: f32,
    /// SHA-256 of the parameters after the epoch, as of the values in a weight file.
    pub weights_sha256: String,
}

impl EpochReport {
    /// The report without confusion matrix, as checkpoints store it.
    pub(in crate::train) fn without_confusion(self) -> Self {
        let validation =
            self.validation.map(|validation| Evaluation { confusion: vec![], undecided: vec![], ..validation });
        Self { validation, ..self }
    }
}

/// Report of a finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Reports of its epochs.
    pub epochs: Vec<EpochReport>,
    /// Wall time of all steps in seconds, without compilation and evaluation.
    pub seconds: f64,
    /// Images per second over all steps.
    pub images_per_s: f64,
    /// Whether a callback ended the run before its last step.
    pub stopped: bool,
}
