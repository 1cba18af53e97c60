//! Steps of an epoch on a device: several per submission, their history read back while the next submission runs.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::data::{Dataset, order};
use crate::device::{Device, Session};
use crate::gpu::Instant;
use crate::infer::HISTORY_COLUMNS;
use crate::infer::stream::Stream;
use crate::nn::Layout;
use crate::train::step::{EpochInputs, TrainingStep};

/// Device time of one submission: long enough to hide its cost on the host, short enough for a smooth progress bar and far
/// below the two seconds after which desktops reset a GPU.
const SUBMISSION: Duration = Duration::from_millis(90);

/// Submissions in flight: one runs while the next waits.
const IN_FLIGHT: usize = 2;

/// The compiled step on a device.
pub(crate) struct Epoch {
    pub session: Session,
    pub step: TrainingStep,
    steps_per_submission: usize,
    /// The data set, if it is streamed.
    stream: Option<Stream>,
}

impl Epoch {
    /// Compiles a step.
    ///
    /// Errors: the device is too small for it.
    pub async fn new(device: &Device, step: TrainingStep) -> Result<Self> {
        let session = Session::new_async(device, &step.graph).await?;
        Ok(Self { session, step, steps_per_submission: 1, stream: None })
    }

    /// Writes the data set to the device, or prepares to stream it if the step holds a window of it.
    ///
    /// Errors: the images cannot be read.
    pub fn prepare(&mut self, data: &Dataset) -> Result<()> {
        let room = self.step.graph.shape(self.step.batches.images)[0];
        self.stream = Stream::of(&mut self.session, &self.step.batches, data, room)?;
        Ok(())
    }

    /// Writes parameters, flat, and optimizer states to the device.
    ///
    /// Errors: values of another layout.
    pub fn write(&mut self, layout: &Layout, flat: &[f32], states: &[Vec<f32>]) -> Result<()> {
        let Self { session, step, .. } = self;
        step.write(layout, flat, states, |node, values| session.write(node, values))
    }

    /// Parameters, flat, and optimizer states, read back from the device; frozen parameters are those of `written`.
    ///
    /// Errors: values of another layout; the device is lost.
    pub async fn read(&self, layout: &Layout, written: &[f32]) -> Result<(Arc<[f32]>, Vec<Vec<f32>>)> {
        self.step.read(layout, written, |node| self.session.read_async(node)).await
    }

    /// Runs a range of the epoch's steps. `report` receives the index of each, its row of the history and the images per
    /// second; it may stop the epoch after the steps that are already submitted. Returns how many ran, and whether it
    /// stopped them.
    ///
    /// Errors: those of `report`; images cannot be read; the device is lost.
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
                let mut count = self.steps_per_submission.min(steps.end - submitted);
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
            // Grows by doubling: the first steps include late compilation in drivers.
            let fitting = (SUBMISSION.as_secs_f64() / per_step.as_secs_f64().max(1e-9)) as usize;
            self.steps_per_submission = fitting.clamp(1, 2 * self.steps_per_submission);
            for index in reported..end {
                let row = &history[index * HISTORY_COLUMNS..][..HISTORY_COLUMNS];
                stopped |= report(index, row, images_per_s)?.is_break();
            }
            reported = end;
        }
        Ok((reported - steps.start, stopped))
    }
}
