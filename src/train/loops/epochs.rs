//! The training loop, epoch by epoch.

use std::sync::Arc;

use crate::data::{Dataset, order};
use crate::gpu::Instant;
use crate::infer::Evaluator;
use crate::train::Schedule;
use crate::train::callbacks::Callback;
use crate::train::checkpoint::{Checkpoint, Past};
use crate::train::course::{Position, Snapshot};
use crate::train::loops::diagnose::Failed;
use crate::train::loops::submissions::Epoch;
use crate::train::report::{EpochReport, Event, Fit, Report, Sets, StepReport};
use crate::train::step::EpochInputs;
use crate::train::trainer::Trainer;
use crate::{Error, Result};

/// What is asked of a run.
struct Task<'t> {
    data: &'t Dataset,
    fit: Fit,
    /// The pictures that are learnt from.
    pictures: Vec<u32>,
    /// What each picture of the set weighs.
    weights: Vec<f32>,
    steps_per_epoch: usize,
    /// Where the run began.
    first: Position,
    /// The step after the last.
    end: u64,
}

impl Task<'_> {
    /// Steps of the epoch under way.
    fn of_epoch(&self, at: Position) -> usize {
        self.steps_per_epoch.min((self.end - at.begun()) as usize)
    }

    /// The step of the epoch under way, counted from 0, before which the next stretch ends.
    fn stretch(&self, at: Position) -> usize {
        let end = self.of_epoch(at);
        let Some(every) = self.fit.checkpoint_steps else { return end };
        let left = every - (at.steps - self.first.steps) % every;
        end.min(at.in_epoch + left as usize)
    }
}

/// A run under way.
struct Run {
    epoch: Epoch,
    evaluator: Option<Evaluator>,
    past: Past,
    report: Report,
    /// Pictures learnt from since it was begun or taken up.
    images: f64,
}

impl Trainer<'_> {
    pub(in crate::train) async fn train(
        &mut self,
        data: Sets<'_>,
        fit: Fit,
        mut callback: impl Callback,
    ) -> Result<Report> {
        let (task, mut run) = self.begin(data, fit).await?;
        // The next run is one of its own.
        self.resumed = None;
        let ready = Event::Ready {
            steps_per_epoch: task.steps_per_epoch as u64,
            total_steps: task.end - task.first.steps,
            done: self.at.steps - task.first.steps,
            epochs: run.past.epochs.clone().into(),
        };
        run.report.stopped = callback.tell(&ready)?.is_break();
        while self.at.steps < task.end && !run.report.stopped {
            self.train_epoch(&task, &mut run, &mut callback).await?;
        }
        let Run { mut report, images, .. } = run;
        report.images_per_s = images / report.seconds.max(f64::MIN_POSITIVE);
        Ok(report)
    }

    /// Puts everything on the device. What is refused leaves the trainer as it is, for other data.
    async fn begin<'t>(&mut self, data: Sets<'t>, fit: Fit) -> Result<(Task<'t>, Run)> {
        let (held_out, pictures) = self.split(data, fit)?;
        let steps_per_epoch = pictures.len().div_ceil(self.batch_size);
        self.at = self.position();
        let begun = || Past { first: self.at, watch: self.watch, ..Past::default() };
        let past = self.resumed.as_ref().map_or_else(begun, |checkpoint| checkpoint.course.clone());
        if self.at.in_epoch > steps_per_epoch {
            let expected = format!("a step of an epoch of {steps_per_epoch} steps, as this set and this batch have");
            return Err(Error::option("checkpoint", expected, self.at.in_epoch));
        }
        let mut epoch = Epoch::new(&self.device, self.step(self.spec(data.train), data.train, &pictures)?).await?;
        let weights = self.picture_weights(data.train, &pictures)?;
        epoch.prepare(data.train)?;
        epoch.write(&self.layout, &self.parameters(), &self.states)?;
        let held_out = data.train.subset(&held_out);
        let evaluator = match data.validation.or(held_out.as_ref()) {
            Some(set) => Some(self.evaluator(set).await?),
            None => None,
        };
        let report = Report { epochs: vec![], seconds: 0.0, images_per_s: 0.0, stopped: false };
        let first = past.first;
        let end = first.steps + fit.total_steps(steps_per_epoch);
        let task = Task { data: data.train, fit, pictures, weights, steps_per_epoch, first, end };
        Ok((task, Run { epoch, evaluator, past, report, images: 0.0 }))
    }

    /// Trains to the end of the epoch under way, or until it is stopped, evaluates, and tells of both.
    async fn train_epoch(&mut self, task: &Task<'_>, run: &mut Run, callback: &mut impl Callback) -> Result<()> {
        let (begun, updates) = (self.at.begun(), self.at.begun_updates(self.accumulate));
        let rates = self.rates(begun, task);
        let order = order::epoch(&task.pictures, self.batch_size, self.seed, self.at.epochs);
        let inputs = EpochInputs { order: &order, rates: &rates, weights: &task.weights, begun, updates };
        let steps = task.of_epoch(self.at);
        while self.at.in_epoch < steps && !run.report.stopped {
            self.train_stretch(task, run, inputs, callback).await?;
            if self.at.in_epoch < steps || steps < task.steps_per_epoch {
                run.report.stopped |= self.checkpoint(&run.past, callback)?;
            }
        }
        let validation = match &mut run.evaluator {
            Some(evaluator) => Some(evaluator.run_async(&self.parameters()).await?),
            None => None,
        };
        if let (Schedule::Plateau(plateau), Some(validation)) = (&self.schedule, &validation) {
            self.watch.see(plateau, validation, self.optimizer.learning_rate());
        }
        let sums = std::mem::take(&mut run.past.sums);
        let finished = EpochReport {
            epoch: self.at.epochs + 1,
            step: self.at.steps,
            loss: sums.loss / sums.counted,
            accuracy: sums.correct / sums.counted,
            validation,
            seconds: sums.seconds,
            images_per_s: sums.counted / sums.seconds,
            learning_rate: rates[self.at.in_epoch.max(1) - 1],
            weights_sha256: crate::formats::weights::sha256(&self.layout, &self.parameters())?,
        };
        run.report.epochs.push(finished.clone());
        run.past.epochs.push(finished.clone().without_confusion());
        run.past.watch = self.watch;
        let is_whole = self.at.in_epoch == task.steps_per_epoch;
        self.at = Position { epochs: self.at.epochs + 1, in_epoch: 0, ..self.at };
        run.report.stopped |= callback.tell(&Event::Epoch(finished))?.is_break();
        if is_whole {
            run.report.stopped |= self.checkpoint(&run.past, callback)?;
        }
        Ok(())
    }

    /// Trains to the next checkpoint inside the epoch, or to its end, telling of each step.
    async fn train_stretch(
        &mut self,
        task: &Task<'_>,
        run: &mut Run,
        inputs: EpochInputs<'_>,
        callback: &mut impl Callback,
    ) -> Result<()> {
        let Run { epoch, past, report, images, .. } = run;
        let stretch = self.at.in_epoch..task.stretch(self.at);
        let (start, counted, sums) = (Instant::now(), past.sums.counted, &mut past.sums);
        let (number, allow_nan) = (self.at.epochs + 1, task.fit.allow_nan);
        let ran = epoch.run(inputs, stretch, |index, row, images_per_s| {
            let report = StepReport {
                step: inputs.begun + index as u64 + 1,
                epoch: number,
                loss: row[0],
                correct: row[1],
                counted: row[2],
                learning_rate: inputs.rates[index],
                images_per_s,
            };
            let StepReport { loss: value, step, epoch, .. } = report;
            if !value.is_finite() && !allow_nan {
                return Err(Error::NotFinite { value, step, epoch, first: String::new() });
            }
            sums.add(&report);
            callback.tell(&Event::Step(report))
        });
        let ran = ran.await;
        let seconds = start.elapsed().as_secs_f64();
        past.sums.seconds += seconds;
        report.seconds += seconds;
        *images += past.sums.counted - counted;
        let kept = match ran {
            Ok((ran, stopped)) => self.keep(epoch, ran, task).await.map(|()| stopped),
            Err(error) => Err(error),
        };
        match kept {
            Ok(stopped) => report.stopped |= stopped,
            Err(error) => return Err(self.explain(error, epoch, Failed { data: task.data, inputs }).await),
        }
        Ok(())
    }

    /// The learning rate of each step of the epoch that `begun` steps of the trainer's life went before: that of the first
    /// of those it shares an update with.
    fn rates(&self, begun: u64, task: &Task<'_>) -> Vec<f32> {
        let (first, end) = (task.first.steps, task.end);
        let initial = self.watch.rate(self.optimizer.learning_rate());
        let shared = |step: usize| (step - step % self.accumulate) as u64;
        let rate = |step| self.schedule.rate(initial, begun - first + shared(step), end - first);
        (0..task.steps_per_epoch).map(rate).collect()
    }

    /// Reads the network back after so many more steps.
    ///
    /// Errors: a weight that is not finite, unless that is allowed; then nothing is kept.
    async fn keep(&mut self, epoch: &Epoch, ran: usize, task: &Task<'_>) -> Result<()> {
        let at = self.at.after(ran, task.steps_per_epoch, self.accumulate);
        let (parameters, states) = epoch.read(&self.layout, self.parameters()).await?;
        if let (Some(&value), false) = (parameters.iter().find(|value| !value.is_finite()), task.fit.allow_nan) {
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
