//! What is asked of a training, and what it tells.

use super::Evaluation;

/// How long to train and what to hold out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Passes over the training pictures.
    pub epochs: u32,
    /// Pictures held out of the set, chosen by the seed, evaluated after each epoch.
    pub validation: usize,
    /// Stop after so many steps, whatever the epochs.
    pub steps: Option<u64>,
}

impl Fit {
    pub(super) fn total_steps(&self, steps_per_epoch: usize) -> u64 {
        let all = u64::from(self.epochs) * steps_per_epoch as u64;
        self.steps.map_or(all, |most| most.min(all))
    }
}

impl From<u32> for Fit {
    fn from(epochs: u32) -> Self {
        Self { epochs, validation: 0, steps: None }
    }
}

/// What happened, told as soon as the device has reported it.
#[derive(Clone, Debug)]
pub enum Event {
    /// The step is compiled and the data is on the device; the next thing is the first step.
    Ready {
        /// Steps of one epoch.
        steps_per_epoch: u64,
        /// Steps of the whole run.
        total_steps: u64,
    },
    /// A step is done.
    Step(StepReport),
    /// An epoch is done.
    Epoch(EpochReport),
}

/// A finished step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Counted from 1 over the whole run.
    pub step: u64,
    /// Counted from 1.
    pub epoch: u32,
    /// Mean cross-entropy of the batch, before the update.
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
#[derive(Clone, Debug, PartialEq)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: u32,
    /// Mean over the epoch's pictures, each before its own update.
    pub loss: f64,
    /// Share of the epoch's pictures classified right, each before its own update.
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

/// A finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its epochs.
    pub epochs: Vec<EpochReport>,
    /// Wall time of all steps, without compilation and evaluation.
    pub seconds: f64,
    /// Pictures a second over all steps.
    pub images_per_s: f64,
    /// Whether the observer ended it early.
    pub stopped: bool,
}
