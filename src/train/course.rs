//! Where a training is in its course, and what is needed to go on from there.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::formats::weights;
use crate::nn::Layout;
use crate::train::Schedule;

/// What is the same over the whole training.
#[derive(Clone)]
pub(in crate::train) struct Course {
    pub pictures: Vec<u32>,
    pub batch: usize,
    pub seed: u64,
    pub schedule: Schedule,
    pub learning_rate: f32,
    /// Where it began.
    pub first: Position,
    pub total_steps: u64,
    /// Steps that share an update.
    pub every: usize,
    /// What each picture of the set weighs in the loss; none: all the same.
    pub weights: Vec<f32>,
    /// Names of what the optimizer keeps.
    pub states: Vec<String>,
}

impl Course {
    /// The step after the last, of the whole run.
    pub fn end(&self) -> u64 {
        self.first.steps + self.total_steps
    }

    pub fn steps_per_epoch(&self) -> usize {
        self.pictures.len().div_ceil(self.batch)
    }

    /// The learning rate of a step of the epoch that `begun` steps of the whole run went before: that of the first of those
    /// it shares an update with.
    pub fn rate(&self, begun: u64, step: usize) -> f32 {
        let first = begun + (step - step % self.every) as u64;
        self.schedule.rate(self.learning_rate, first - self.first.steps, self.total_steps)
    }
}

/// How far the training is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::train) struct Position {
    /// Whole epochs before this one.
    pub epochs: u32,
    /// Whole steps of this epoch.
    pub in_epoch: usize,
    /// Whole steps of all.
    pub steps: u64,
    /// Updates of the weights, of all.
    pub updates: u64,
}

impl Position {
    /// So many steps later in an epoch of `steps_per_epoch`, of which every so many, and the last ones, share an update.
    pub fn after(self, steps: usize, steps_per_epoch: usize, every: usize) -> Self {
        let in_epoch = self.in_epoch + steps;
        let updates = if in_epoch == steps_per_epoch { in_epoch.div_ceil(every) } else { in_epoch / every };
        Self { in_epoch, steps: self.steps + steps as u64, updates: self.begun_updates(every) + updates as u64, ..self }
    }

    /// Steps before this epoch.
    pub fn begun(self) -> u64 {
        self.steps - self.in_epoch as u64
    }

    /// Updates before this epoch.
    pub fn begun_updates(self, every: usize) -> u64 {
        self.updates - (self.in_epoch / every) as u64
    }

    /// At the end of an epoch, the beginning of the next.
    pub fn in_whole_epochs(self, steps_per_epoch: usize) -> Self {
        match self.in_epoch == steps_per_epoch {
            true => Self { epochs: self.epochs + 1, in_epoch: 0, ..self },
            false => self,
        }
    }
}

/// A training as it was between two steps: what is needed to go on, on the same device or another.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// All parameters, flat, as the [`Layout`] has them.
    pub parameters: Vec<f32>,
    /// What the optimizer keeps.
    pub(in crate::train) states: Vec<Vec<f32>>,
    pub(in crate::train) at: Position,
}

impl Snapshot {
    pub(in crate::train) fn new(parameters: Vec<f32>, states: Vec<Vec<f32>>, at: Position) -> Self {
        Self { parameters, states, at }
    }

    /// Steps that led here.
    pub fn steps(&self) -> u64 {
        self.at.steps
    }

    /// Of the parameters, as weight files have them.
    pub fn weights_sha256(&self, layout: &Layout) -> Result<String> {
        weights::sha256(layout, &self.parameters)
    }
}
