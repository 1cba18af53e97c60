//! Where a training is in its course, and what is needed to go on from there.

use serde::{Deserialize, Serialize};

use super::Schedule;
use crate::nn::Layout;
use crate::{Result, weights};

/// What is the same over the whole training.
#[derive(Clone)]
pub(super) struct Course {
    pub pictures: Vec<u32>,
    pub batch: usize,
    pub seed: u64,
    pub schedule: Schedule,
    pub learning_rate: f32,
    pub first_step: u64,
    pub total_steps: u64,
}

impl Course {
    pub fn steps_per_epoch(&self) -> usize {
        self.pictures.len().div_ceil(self.batch)
    }

    /// The learning rate of a step, counted from 0 over the whole run.
    pub fn rate(&self, step: u64) -> f32 {
        self.schedule.rate(self.learning_rate, step - self.first_step, self.total_steps)
    }
}

/// How far the training is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Whole epochs before this one.
    pub epochs: u32,
    /// Whole steps of this epoch.
    pub in_epoch: usize,
    /// Whole steps of all.
    pub steps: u64,
}

impl Position {
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
    pub(super) states: Vec<Vec<f32>>,
    pub(super) at: Position,
}

impl Snapshot {
    pub(super) fn new(parameters: Vec<f32>, states: Vec<Vec<f32>>, at: Position) -> Self {
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
