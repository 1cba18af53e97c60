//! Options of [`Trainer::fit`](crate::train::Trainer::fit).

use crate::data::Dataset;

/// Length of a training run, validation split and checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Passes over the training images.
    pub epochs: u32,
    /// Number of images held out of the training set for validation, chosen by the seed and evaluated after each epoch.
    pub validation: usize,
    /// Upper limit on the number of steps, whatever the number of epochs.
    pub steps: Option<u64>,
    /// Steps between two [checkpoints](crate::train::Event::Checkpoint) inside an epoch; there is one at the end of each
    /// epoch in any case.
    pub checkpoint_steps: Option<u64>,
    /// Whether to continue after a loss or a weight that is not finite.
    pub allow_nan: bool,
}

impl Default for Fit {
    /// One epoch without validation.
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

/// Training set and optional validation set: `&train`, or `(&train, &validation)`.
#[derive(Clone, Copy, Debug)]
pub struct Sets<'d> {
    /// Training images.
    pub train: &'d Dataset,
    /// A separate validation set, in place of [`Fit::validation`] images held out of the training set.
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
