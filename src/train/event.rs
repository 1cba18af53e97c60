//! Events of a training run.

use std::sync::Arc;

use crate::train::checkpoint::Checkpoint;
use crate::train::report::{EpochReport, StepReport};

/// Event of a training run, reported to [callbacks](crate::train::callbacks) as soon as the device has reported it.
#[derive(Clone, Debug)]
pub enum Event {
    /// The step is compiled and the data is on the device; the first step comes next.
    Ready {
        /// Steps of one epoch.
        steps_per_epoch: u64,
        /// Steps of the whole run.
        total_steps: u64,
        /// Steps finished before a resumed run was resumed.
        done: u64,
        /// Epochs finished before a resumed run was resumed.
        epochs: Arc<[EpochReport]>,
    },
    /// A step is finished.
    Step(StepReport),
    /// An epoch is finished.
    Epoch(EpochReport),
    /// The state of the run: at the end of each epoch after its report, every [`Fit::checkpoint_steps`] steps, and where
    /// the run was stopped.
    ///
    /// [`Fit::checkpoint_steps`]: crate::train::Fit::checkpoint_steps
    Checkpoint(Arc<Checkpoint>),
}
