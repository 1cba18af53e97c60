//! The steps of an epoch on a device: many in one submission, read back while the next ones run.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use super::step::{EpochInputs, HISTORY_COLUMNS, TrainingStep};
use crate::Result;
use crate::data::Dataset;
use crate::device::{Device, Session};
use crate::nn::Layout;

/// The device time of one submission: long enough to hide its cost, for which the host's caches are cold each time; short
/// enough for a smooth progress bar and far below the two seconds after which desktops reset a GPU.
const SUBMISSION: Duration = Duration::from_millis(90);

/// Submissions under way at once: one runs while the next waits.
const IN_FLIGHT: usize = 2;

/// The compiled step and how many of it to submit at once.
pub(crate) struct Epoch {
    pub session: Session,
    pub step: TrainingStep,
    steps_a_submission: usize,
}

impl Epoch {
    /// Compiles a step.
    ///
    /// Errors: the device is too small for it.
    pub async fn new(device: &Device, step: TrainingStep) -> Result<Self> {
        Ok(Self { session: Session::new_async(device, &step.graph).await?, step, steps_a_submission: 1 })
    }

    /// Puts the data set on the device.
    pub fn prepare(&mut self, data: &Dataset) -> Result<()> {
        let Self { session, step, .. } = self;
        session.write(step.batches.pictures, data.images.as_slice())?;
        session.write(step.batches.labels, data.labels.as_slice())
    }

    /// Puts the network on the device.
    pub fn write(&mut self, layout: &Layout, flat: &[f32], states: &[Vec<f32>]) -> Result<()> {
        let Self { session, step, .. } = self;
        step.write(layout, flat, states, |node, values| session.write(node, values))
    }

    /// Runs a range of the epoch's steps; `report` hears of each, with its history row and the images a second, and may
    /// stop the epoch: then what is submitted still finishes. Returns how many ran, and whether it was stopped.
    pub async fn run(
        &mut self,
        inputs: EpochInputs<'_>,
        steps: Range<usize>,
        mut report: impl FnMut(usize, &[f32], f64) -> Result<ControlFlow<()>>,
    ) -> Result<(usize, bool)> {
        let Self { session, step, .. } = &mut *self;
        step.write_epoch(inputs, steps.start, |node, values| session.write(node, values))?;
        let history_node = step.batches.history;
        let batch = inputs.order.len() / inputs.rates.len();
        let (mut submitted, mut reported, mut stopped) = (steps.start, steps.start, false);
        let mut in_flight = VecDeque::new();
        let mut last = Instant::now();
        while reported < steps.end {
            while submitted < steps.end && in_flight.len() < IN_FLIGHT && !stopped {
                let count = self.steps_a_submission.min(steps.end - submitted);
                let reading = self.session.run_and_read(count, history_node)?;
                submitted += count;
                in_flight.push_back((submitted, reading));
            }
            let Some((end, reading)) = in_flight.pop_front() else { break };
            let history = self.session.finish_reading_async(reading).await?;
            let per_step = last.elapsed() / (end - reported) as u32;
            last = Instant::now();
            let images_per_s = batch as f64 / per_step.as_secs_f64().max(1e-9);
            // Grows by doubling: the first steps include what drivers compile late.
            let fitting = (SUBMISSION.as_secs_f64() / per_step.as_secs_f64().max(1e-9)) as usize;
            self.steps_a_submission = fitting.clamp(1, 2 * self.steps_a_submission);
            for index in reported..end {
                let row = &history[index * HISTORY_COLUMNS..][..HISTORY_COLUMNS];
                stopped |= report(index, row, images_per_s)?.is_break();
            }
            reported = end;
        }
        Ok((reported - steps.start, stopped))
    }
}
