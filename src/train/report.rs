//! What is asked of a training, and what it tells.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::data::Dataset;
use crate::infer::Evaluation;
use crate::train::Checkpoint;

/// How long to train and what to hold out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Passes over the training pictures.
    pub epochs: u32,
    /// Pictures held out of the set, chosen by the seed, evaluated after each epoch.
    pub validation: usize,
    /// Stop after so many steps, whatever the epochs.
    pub steps: Option<u64>,
    /// Tell of a [`Checkpoint`] after every so many steps too, not only at the ends of epochs.
    pub checkpoint_steps: Option<u64>,
    /// Go on when a loss or a weight is not finite.
    pub allow_nan: bool,
}

impl Default for Fit {
    /// One epoch, nothing held out.
    fn default() -> Self {
        Self { epochs: 1, validation: 0, steps: None, checkpoint_steps: None, allow_nan: false }
    }
}

impl Fit {
    pub(in crate::train) fn total_steps(&self, steps_per_epoch: usize) -> u64 {
        let all = u64::from(self.epochs) * steps_per_epoch as u64;
        self.steps.map_or(all, |most| most.min(all))
    }
}

impl From<u32> for Fit {
    fn from(epochs: u32) -> Self {
        Self { epochs, ..Self::default() }
    }
}

/// What to learn from, and what to evaluate after each epoch: `&train`, or `(&train, &validation)`.
#[derive(Clone, Copy, Debug)]
pub struct Sets<'d> {
    /// Pictures to learn from.
    pub train: &'d Dataset,
    /// Pictures held out, besides those that [`Fit::validation`] holds out of the first.
    pub validation: Option<&'d Dataset>,
}

impl<'d> From<&'d Dataset> for Sets<'d> {
    fn from(train: &'d Dataset) -> Self {
        Self { train, validation: None }
    }
}

impl<'d> From<(&'d Dataset, &'d Dataset)> for Sets<'d> {
    fn from((train, validation): (&'d Dataset, &'d Dataset)) -> Self {
        Self { train, validation: Some(validation) }
    }
}

/// What happened, told as soon as the device has reported it.
#[derive(Clone, Debug)]
pub enum Event {
    /// The step is compiled and the data is on the device; the next thing is the next step.
    Ready {
        /// Steps of one epoch.
        steps_per_epoch: u64,
        /// Steps of the whole run.
        total_steps: u64,
        /// Those that a resumed run has behind it.
        done: u64,
        /// Whole epochs that a resumed run has behind it.
        epochs: Arc<[EpochReport]>,
    },
    /// A step is done.
    Step(StepReport),
    /// An epoch is done.
    Epoch(EpochReport),
    /// The run as it is now: at the end of each epoch after its report, after so many steps if [`Fit`] asks, and where
    /// it was stopped.
    Checkpoint(Arc<Checkpoint>),
}

/// A finished step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Counted from 1 over the whole run.
    pub step: u64,
    /// Counted from 1.
    pub epoch: u32,
    /// Mean cross-entropy of the batch, before the update; weighted as the classes are.
    pub loss: f32,
    /// Pictures of the batch classified right, before the update.
    pub correct: f32,
    /// Pictures of the batch.
    pub counted: f32,
    /// The rate of this step's update.
    pub learning_rate: f32,
    /// Pictures a second since the last report from the device.
    pub images_per_s: f64,
}

/// A finished epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: u32,
    /// The last of its steps, counted from 1 over the whole run.
    pub step: u64,
    /// Mean over the epoch's pictures, each before its own update.
    #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
    pub loss: f64,
    /// Share of the epoch's pictures classified right, each before its own update.
    #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
    pub accuracy: f64,
    /// On the pictures held out.
    pub validation: Option<Evaluation>,
    /// Wall time of the epoch's steps.
    pub seconds: f64,
    /// Pictures a second over the whole epoch.
    pub images_per_s: f64,
    /// The rate of the last update.
    pub learning_rate: f32,
    /// SHA-256 of the parameters.
    pub weights_sha256: String,
}

impl EpochReport {
    /// As checkpoints have it.
    pub(in crate::train) fn without_confusion(self) -> Self {
        let validation =
            self.validation.map(|validation| Evaluation { confusion: vec![], undecided: vec![], ..validation });
        Self { validation, ..self }
    }
}

/// A finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its epochs.
    pub epochs: Vec<EpochReport>,
    /// Wall time of all steps, without compilation and evaluation.
    pub seconds: f64,
    /// Pictures a second over all steps.
    pub images_per_s: f64,
    /// Whether a callback ended it early.
    pub stopped: bool,
}
