//! The course of a training run: everything that its runners share.
//!
//! A runner (`loops/epochs.rs`, `loops/frames.rs`) decides when steps are submitted and read back. Which images a step sees, its learning rate, where epochs, updates and the run
//! end, and what reports and checkpoints contain is decided here.

use crate::data::order;
use crate::train::checkpoint::{Checkpoint, History};
use crate::train::report::StepReport;
use crate::train::schedule::Schedule;
use crate::train::snapshot::{Position, Snapshot};
use crate::train::step::EpochInputs;

/// The course of one training run.
#[derive(Clone)]
pub(in crate::train) struct Course {
    /// Indices of the training images in the data set.
    pub images: Vec<u32>,
    /// Weight of each image of the data set in the loss; empty if all weigh the same.
    pub image_weights: Vec<f32>,
    /// Images per step.
    pub batch: usize,
    /// Random seed.
    pub seed: u64,
    pub schedule: Schedule,
    /// The rate that the schedule starts from; a plateau lowers it.
    pub learning_rate: f32,
    /// Position at the start of the run.
    pub first: Position,
    /// Number of the last step.
    pub end: u64,
    /// Steps per update.
    pub micro_batches: usize,
    /// Names of the optimizer's states, and of the accumulated gradients.
    pub states: Vec<String>,
}

impl Course {
    pub fn total_steps(&self) -> u64 {
        self.end - self.first.steps
    }

    pub fn steps_per_epoch(&self) -> usize {
        self.images.len().div_ceil(self.batch)
    }

    pub fn is_finished(&self, at: Position) -> bool {
        at.steps >= self.end
    }

    /// Steps of the epoch at `at`: fewer than [`Course::steps_per_epoch`] if the run ends inside it.
    pub fn steps_of_epoch(&self, at: Position) -> usize {
        self.steps_per_epoch().min(self.end.saturating_sub(at.steps_before_epoch()) as usize)
    }

    /// The position `steps` steps later in the same epoch.
    pub fn after(&self, at: Position, steps: usize) -> Position {
        at.after(steps, self.steps_per_epoch(), self.micro_batches)
    }

    /// At the end of an epoch the start of the next one, else the same position.
    pub fn past_end_of_epoch(&self, at: Position) -> Position {
        if at.in_epoch == self.steps_per_epoch() { at.next_epoch() } else { at }
    }

    /// The order and the learning rates of the epoch at `at`.
    pub fn epoch(&self, at: Position) -> EpochSteps {
        let steps_before = at.steps_before_epoch();
        let updates_before = at.updates_before_epoch(self.micro_batches);
        // All steps of an update have the rate of the first.
        let first = |step: usize| steps_before + (step - step % self.micro_batches) as u64;
        let rate = |step| self.schedule.rate(self.learning_rate, first(step) - self.first.steps, self.total_steps());
        EpochSteps {
            number: at.epochs + 1,
            order: order::epoch(&self.images, self.batch, self.seed, at.epochs),
            rates: (0..self.steps_per_epoch()).map(rate).collect(),
            steps_before,
            updates_before,
        }
    }

    /// The checkpoint of a snapshot.
    pub fn checkpoint(&self, snapshot: Snapshot, history: History) -> Checkpoint {
        Checkpoint { snapshot, states: self.states.clone(), history }
    }
}

/// The steps of one epoch.
pub(in crate::train) struct EpochSteps {
    /// Epoch number, from 1.
    pub number: u32,
    order: Vec<u32>,
    /// Learning rate of each step.
    pub rates: Vec<f32>,
    steps_before: u64,
    updates_before: u64,
}

impl EpochSteps {
    /// The inputs of the step's graph over the epoch.
    pub fn inputs<'a>(&'a self, course: &'a Course) -> EpochInputs<'a> {
        EpochInputs {
            order: &self.order,
            rates: &self.rates,
            weights: &course.image_weights,
            begun: self.steps_before,
            updates: self.updates_before,
        }
    }

    /// The report of step `index` of the epoch, from 0, whose row of the history is `row`.
    pub fn report(&self, index: usize, row: &[f32], images_per_s: f64) -> StepReport {
        StepReport {
            step: self.steps_before + index as u64 + 1,
            epoch: self.number,
            loss: row[0],
            correct: row[1],
            counted: row[2],
            learning_rate: self.rates[index],
            images_per_s,
        }
    }
}
