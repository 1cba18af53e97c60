//! The steps of an epoch on a device: many in one submission, read back while the next ones run.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

use crate::Result;
use crate::data::{Dataset, order};
use crate::device::{Device, Session};
use crate::gpu::Instant;
use crate::infer::HISTORY_COLUMNS;
use crate::infer::stream::Stream;
use crate::nn::Layout;
use crate::train::step::{EpochInputs, TrainingStep};

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
    /// What does not fit on the device.
    stream: Option<Stream>,
}

impl Epoch {
    /// Compiles a step.
    ///
    /// Errors: the device is too small for it.
    pub async fn new(device: &Device, step: TrainingStep) -> Result<Self> {
        let session = Session::new_async(device, &step.graph).await?;
        Ok(Self { session, step, steps_a_submission: 1, stream: None })
    }

    /// Puts the data set on the device, if the step has room for all of it; else it comes window by window.
    pub fn prepare(&mut self, data: &Dataset) -> Result<()> {
        let room = self.step.graph.shape(self.step.batches.pictures)[0];
        self.stream = Stream::of(&mut self.session, &self.step.batches, data, room)?;
        Ok(())
    }

    /// Puts the network on the device.
    pub fn write(&mut self, layout: &Layout, flat: &[f32], states: &[Vec<f32>]) -> Result<()> {
        let Self { session, step, .. } = self;
        step.write(layout, flat, states, |node, values| session.write(node, values))
    }

    /// Parameters, flat, and what the optimizer keeps, as they are on the device; `flat` is what was written.
    ///
    /// Errors: values of another layout; the device is lost.
    pub async fn read(&self, layout: &Layout, flat: Vec<f32>) -> Result<(Vec<f32>, Vec<Vec<f32>>)> {
        self.step.read(layout, flat, |node| self.session.read_async(node)).await
    }

    /// Runs a range of the epoch's steps; `report` hears of each, with its history row and the images a second, and may
    /// stop the epoch: then what is submitted still finishes. Returns how many ran, and whether it was stopped.
    pub async fn run(
        &mut self,
        inputs: EpochInputs<'_>,
        steps: Range<usize>,
        mut report: impl FnMut(usize, &[f32], f64) -> Result<ControlFlow<()>>,
    ) -> Result<(usize, bool)> {
        let Self { session, step, stream, .. } = &mut *self;
        let EpochInputs { order, rates, .. } = inputs;
        let batch = order.len() / rates.len();
        step.write_epoch(inputs, steps.start, |node, values| session.write(node, values))?;
        let mut windows = None;
        if let Some(stream) = stream {
            session.write(step.batches.order, stream.places(order).as_slice())?;
            let mut shown = order.to_vec();
            if let Some(node) = step.batches.shown {
                shown = order::shown(order);
                session.write(node, stream.places(&shown).as_slice())?;
            }
            windows = Some(stream.begin(shown, batch, steps.clone())?);
        }
        let history_node = step.batches.history;
        let (mut submitted, mut reported, mut stopped) = (steps.start, steps.start, false);
        let mut in_flight = VecDeque::new();
        let mut last = Instant::now();
        while reported < steps.end {
            while submitted < steps.end && in_flight.len() < IN_FLIGHT && !stopped {
                let mut count = self.steps_a_submission.min(steps.end - submitted);
                if let Some(windows) = &mut windows {
                    count = count.min(windows.follow(&mut self.session, &self.step.batches, submitted).await?);
                }
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
