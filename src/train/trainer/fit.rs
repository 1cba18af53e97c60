//! The training loop, epoch by epoch.

use std::sync::Arc;

use super::Trainer;
use super::diagnose::Failed;
use crate::gpu::Instant;
use crate::train::callbacks::Callback;
use crate::train::checkpoint::{Checkpoint, Past};
use crate::train::course::{Position, Snapshot};
use crate::train::epoch::Epoch;
use crate::train::report::{EpochReport, Event, Fit, Report, Sets, StepReport};
use crate::train::step::EpochInputs;
use crate::train::{Schedule, order};
use crate::{Error, Result};

/// Steps of the run: what was asked of it.
struct Length {
    steps_per_epoch: usize,
    /// The step after the last.
    end: u64,
    /// Those between two checkpoints inside an epoch.
    checkpoint_steps: Option<u64>,
}

impl Length {
    /// Steps of the epoch under way.
    fn of_epoch(&self, at: Position) -> usize {
        let left = self.end - (at.steps - at.in_epoch as u64);
        self.steps_per_epoch.min(left as usize)
    }

    /// The step of the epoch under way, counted from 0, before which the next stretch ends.
    fn stretch(&self, at: Position, first: Position) -> usize {
        let end = self.of_epoch(at);
        let Some(every) = self.checkpoint_steps else { return end };
        let left = every - (at.steps - first.steps) % every;
        end.min(at.in_epoch + left as usize)
    }
}

impl Trainer<'_> {
    pub(super) async fn train(&mut self, data: Sets<'_>, fit: Fit, mut callback: impl Callback) -> Result<Report> {
        let (held_out, pictures) = self.split(data, fit)?;
        let steps_per_epoch = pictures.len().div_ceil(self.batch_size);
        let total_steps = fit.total_steps(steps_per_epoch);
        self.at = self.position();
        let begun = Past { first: self.at, watch: self.watch, ..Past::default() };
        let mut past = self.resumed.take().map_or(begun, |checkpoint| checkpoint.course);
        let length =
            Length { steps_per_epoch, end: past.first.steps + total_steps, checkpoint_steps: fit.checkpoint_steps };
        if self.at.in_epoch > steps_per_epoch {
            let expected = format!("a step of an epoch of {steps_per_epoch} steps, as this set and this batch have");
            return Err(Error::option("checkpoint", expected, self.at.in_epoch));
        }

        let mut epoch = Epoch::new(&self.device, self.step(self.spec(data.train), data.train, &pictures)?).await?;
        let weights = self.picture_weights(data.train, &pictures)?;
        epoch.prepare(data.train)?;
        epoch.write(&self.layout, &self.parameters(), &self.states)?;
        let held_out = data.train.subset(&held_out);
        let mut evaluator = match data.validation.or(held_out.as_ref()) {
            Some(set) => Some(self.evaluator(set).await?),
            None => None,
        };

        let mut report = Report { epochs: vec![], seconds: 0.0, images_per_s: 0.0, stopped: false };
        let done = self.at.steps - past.first.steps;
        let epochs = past.epochs.clone().into();
        let ready = Event::Ready { steps_per_epoch: steps_per_epoch as u64, total_steps, done, epochs };
        report.stopped = callback.tell(&ready)?.is_break();
        let mut images = 0.0;
        while self.at.steps < length.end && !report.stopped {
            let (begun, updates) = (self.at.begun(), self.at.begun_updates(self.accumulate));
            let rates = self.rates(begun, &past, steps_per_epoch, total_steps);
            let order = order::epoch(&pictures, self.batch_size, self.seed, self.at.epochs);
            let inputs = EpochInputs { order: &order, rates: &rates, weights: &weights, begun, updates };
            let steps = length.of_epoch(self.at);
            while self.at.in_epoch < steps && !report.stopped {
                let (number, sums) = (self.at.epochs + 1, &mut past.sums);
                let stretch = self.at.in_epoch..length.stretch(self.at, past.first);
                let (start, counted) = (Instant::now(), sums.counted);
                let ran = epoch.run(inputs, stretch, |index, row, images_per_s| {
                    let report = StepReport {
                        step: begun + index as u64 + 1,
                        epoch: number,
                        loss: row[0],
                        correct: row[1],
                        counted: row[2],
                        learning_rate: rates[index],
                        images_per_s,
                    };
                    if !report.loss.is_finite() && !fit.allow_nan {
                        return Err(Error::NotFinite {
                            value: report.loss,
                            step: report.step,
                            epoch: number,
                            first: String::new(),
                        });
                    }
                    sums.add(&report);
                    callback.tell(&Event::Step(report))
                });
                let ran = ran.await;
                let seconds = start.elapsed().as_secs_f64();
                past.sums.seconds += seconds;
                report.seconds += seconds;
                images += past.sums.counted - counted;
                let kept = match ran {
                    Ok((ran, stopped)) => self.keep(&epoch, ran, steps_per_epoch, fit).await.map(|()| stopped),
                    Err(error) => Err(error),
                };
                match kept {
                    Ok(stopped) => report.stopped |= stopped,
                    Err(error) => {
                        let failed = Failed { data: data.train, inputs };
                        return Err(self.explain(error, &mut epoch, failed).await);
                    }
                }
                if self.at.in_epoch < steps || steps < steps_per_epoch {
                    report.stopped |= self.checkpoint(&past, &mut callback)?;
                }
            }
            let validation = match &mut evaluator {
                Some(evaluator) => Some(evaluator.run_async(&self.parameters()).await?),
                None => None,
            };
            if let (Schedule::Plateau(plateau), Some(validation)) = (&self.schedule, &validation) {
                self.watch.see(plateau, validation, self.optimizer.learning_rate());
            }
            let sums = std::mem::take(&mut past.sums);
            let finished = EpochReport {
                epoch: self.at.epochs + 1,
                step: self.at.steps,
                loss: sums.loss / sums.counted,
                accuracy: sums.correct / sums.counted,
                validation,
                seconds: sums.seconds,
                images_per_s: sums.counted / sums.seconds,
                learning_rate: rates[self.at.in_epoch.max(1) - 1],
                weights_sha256: crate::weights::sha256(&self.layout, &self.parameters())?,
            };
            report.epochs.push(finished.clone());
            past.epochs.push(finished.clone().without_confusion());
            past.watch = self.watch;
            let is_whole = self.at.in_epoch == steps_per_epoch;
            self.at = Position { epochs: self.at.epochs + 1, in_epoch: 0, ..self.at };
            report.stopped |= callback.tell(&Event::Epoch(finished))?.is_break();
            if is_whole {
                report.stopped |= self.checkpoint(&past, &mut callback)?;
            }
        }
        report.images_per_s = images / report.seconds.max(f64::MIN_POSITIVE);
        Ok(report)
    }

    /// The learning rate of each step of the epoch that `begun` steps of the trainer's life went before: that of the first
    /// of those it shares an update with.
    fn rates(&self, begun: u64, past: &Past, steps: usize, total_steps: u64) -> Vec<f32> {
        let initial = self.watch.rate(self.optimizer.learning_rate());
        let first = |step: usize| (step - step % self.accumulate) as u64;
        let rate = |step| self.schedule.rate(initial, begun - past.first.steps + first(step), total_steps);
        (0..steps).map(rate).collect()
    }

    /// Reads the network back after so many more steps.
    ///
    /// Errors: a weight that is not finite, unless that is allowed; then nothing is kept.
    async fn keep(&mut self, epoch: &Epoch, ran: usize, steps_per_epoch: usize, fit: Fit) -> Result<()> {
        let at = self.at.after(ran, steps_per_epoch, self.accumulate);
        let (parameters, states) = epoch.read(&self.layout, self.parameters()).await?;
        if let (Some(&value), false) = (parameters.iter().find(|value| !value.is_finite()), fit.allow_nan) {
            return Err(Error::NotFinite { value, step: at.steps, epoch: at.epochs + 1, first: String::new() });
        }
        self.states = states;
        (self.parameters, self.at) = (Some(parameters), at);
        Ok(())
    }

    /// Tells of the run as it is, unless that is not finite: whether to stop.
    fn checkpoint(&self, past: &Past, callback: &mut impl Callback) -> Result<bool> {
        let parameters = self.parameters();
        if !parameters.iter().all(|value| value.is_finite()) {
            return Ok(false);
        }
        let snapshot = Snapshot::new(parameters, self.states.clone(), self.at);
        let states = self.state_names().into_iter().map(str::to_string).collect();
        let checkpoint = Checkpoint { snapshot, states, course: past.clone() };
        Ok(callback.tell(&Event::Checkpoint(Arc::new(checkpoint)))?.is_break())
    }
}
