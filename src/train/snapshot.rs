//! The state of a training between two steps.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::formats::weights;
use crate::nn::Layout;

/// Position of a training between two steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::train) struct Position {
    /// Finished epochs.
    pub epochs: u32,
    /// Finished steps of the current epoch.
    pub in_epoch: usize,
    /// Finished steps in total.
    pub steps: u64,
    /// Finished updates of the parameters in total.
    pub updates: u64,
}

impl Position {
    /// The position `steps` steps later in an epoch of `steps_per_epoch` steps, of which each `micro_batches`, and those
    /// left at its end, make one update.
    pub fn after(self, steps: usize, steps_per_epoch: usize, micro_batches: usize) -> Self {
        let in_epoch = self.in_epoch + steps;
        let ends = in_epoch == steps_per_epoch;
        let updates = if ends { in_epoch.div_ceil(micro_batches) } else { in_epoch / micro_batches };
        let updates = self.updates_before_epoch(micro_batches) + updates as u64;
        Self { in_epoch, steps: self.steps + steps as u64, updates, ..self }
    }

    /// Steps before the current epoch.
    pub fn steps_before_epoch(self) -> u64 {
        self.steps - self.in_epoch as u64
    }

    /// Updates before the current epoch.
    pub fn updates_before_epoch(self, micro_batches: usize) -> u64 {
        self.updates - (self.in_epoch / micro_batches) as u64
    }

    /// The start of the next epoch.
    pub fn next_epoch(self) -> Self {
        Self { epochs: self.epochs + 1, in_epoch: 0, ..self }
    }
}

/// Parameters and optimizer state between two steps, on the host: all that is needed to continue on the same device or
/// another one. Clones share their values.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// All parameters, flat, in the order of the [`Layout`].
    pub parameters: Arc<[f32]>,
    /// Optimizer state, then the gradients accumulated for the next update, if any are.
    pub(in crate::train) states: Arc<Vec<Vec<f32>>>,
    pub(in crate::train) at: Position,
}

impl Snapshot {
    /// Steps before the snapshot.
    pub fn steps(&self) -> u64 {
        self.at.steps
    }

    /// SHA-256 of the parameters, as of the values in a weight file.
    ///
    /// Errors: a layout of another length.
    pub fn weights_sha256(&self, layout: &Layout) -> Result<String> {
        weights::sha256(layout, &self.parameters)
    }
}
