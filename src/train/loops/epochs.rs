//! The runner of whole epochs: [`Trainer::fit`].

use std::sync::Arc;

use crate::data::Dataset;
use crate::formats::weights;
use crate::gpu::{Instant, block_on};
use crate::infer::Evaluator;
use crate::train::callbacks::{Callback, NoCallback};
use crate::train::checkpoint::History;
use crate::train::course::{Course, EpochSteps};
use crate::train::event::Event;
use crate::train::fit::{Fit, Sets};
use crate::train::loops::diagnose::Failed;
use crate::train::loops::submissions::Epoch;
use crate::train::report::{EpochReport, Report};
use crate::train::schedule::Schedule;
use crate::train::snapshot::Position;
use crate::train::trainer::Trainer;
use crate::{Error, Result};

/// A run of whole epochs.
struct Run<'d> {
    data: &'d Dataset,
    fit: Fit,
    course: Course,
    epoch: Epoch,
    evaluator: Option<Evaluator>,
    history: History,
    report: Report,
    /// Images trained on since the run was started or resumed.
    images: f64,
}

impl Run<'_> {
    /// The step of the current epoch, from 0, before which the device is read back next: for a checkpoint, or at the end
    /// of the epoch.
    fn end_of_stretch(&self, at: Position) -> usize {
        let end = self.course.steps_of_epoch(at);
        let Some(every) = self.fit.checkpoint_steps else { return end };
        let left = every - (at.steps - self.course.first.steps) % every;
        end.min(at.in_epoch + left as usize)
    }
}

impl Trainer<'_> {
    /// Trains for a number of epochs.
    ///
    /// Errors: see [`Trainer::fit_with`].
    pub fn fit<'d>(&mut self, data: impl Into<Sets<'d>>, fit: impl Into<Fit>) -> Result<Report> {
        self.fit_with(data, fit, NoCallback)
    }

    /// The `async` form of [`Trainer::fit_with`].
    ///
    /// Errors: see [`Trainer::fit_with`].
    pub async fn fit_async<'d>(
        &mut self,
        data: impl Into<Sets<'d>>,
        fit: impl Into<Fit>,
        callback: impl Callback,
    ) -> Result<Report> {
        self.train(data.into(), fit.into(), callback).await
    }

    /// Trains, and reports each step, epoch and checkpoint to `callback`: a closure, one of the
    /// [callbacks of this crate](crate::train::callbacks), or a pair of them. It may end the run, which then keeps all
    /// finished steps.
    ///
    /// Errors: a batch of 0 or larger than the set; a set that does not fit the model or the device; a loss or a
    /// weight that is not finite; those of the callback. After an error the parameters are those of the last checkpoint.
    pub fn fit_with<'d>(
        &mut self,
        data: impl Into<Sets<'d>>,
        fit: impl Into<Fit>,
        callback: impl Callback,
    ) -> Result<Report> {
        block_on(self.train(data.into(), fit.into(), callback))
    }

    async fn train(&mut self, data: Sets<'_>, fit: Fit, mut callback: impl Callback) -> Result<Report> {
        let mut run = self.prepare(data, fit).await?;
        // The next run is a new one.
        self.resumed = None;
        let ready = Event::Ready {
            steps_per_epoch: run.course.steps_per_epoch() as u64,
            total_steps: run.course.total_steps(),
            done: self.at.steps - run.course.first.steps,
            epochs: run.history.epochs.clone().into(),
        };
        run.report.stopped = callback.on_event(&ready)?.is_break();
        while !run.course.is_finished(self.at) && !run.report.stopped {
            self.train_epoch(&mut run, &mut callback).await?;
        }
        let Run { mut report, images, .. } = run;
        report.images_per_s = images / report.seconds.max(f64::MIN_POSITIVE);
        Ok(report)
    }

    /// Compiles the step and puts data and parameters on the device. After an error the trainer is as before.
    async fn prepare<'d>(&mut self, data: Sets<'d>, fit: Fit) -> Result<Run<'d>> {
        let (course, held_out) = self.course(data, fit)?;
        let step = self.step(self.spec(data.train), data.train, &course.images)?;
        let mut epoch = Epoch::new(&self.device, step).await?;
        epoch.prepare(data.train)?;
        epoch.write(&self.layout, &self.parameters(), &self.states)?;
        let held_out = data.train.subset(&held_out);
        let evaluator = match data.validation.or(held_out.as_ref()) {
            Some(set) => Some(self.evaluator(set).await?),
            None => None,
        };
        let history = self.history();
        self.at = self.position();
        let report = Report { epochs: vec![], seconds: 0.0, images_per_s: 0.0, stopped: false };
        Ok(Run { data: data.train, fit, course, epoch, evaluator, history, report, images: 0.0 })
    }

    /// Trains to the end of the current epoch, or until a callback stops it; evaluates, and reports both.
    async fn train_epoch(&mut self, run: &mut Run<'_>, callback: &mut impl Callback) -> Result<()> {
        run.course.learning_rate = self.learning_rate();
        let (steps, end) = (run.course.epoch(self.at), run.course.steps_of_epoch(self.at));
        let is_whole = |at: Position, run: &Run<'_>| at.in_epoch == run.course.steps_per_epoch();
        while self.at.in_epoch < end && !run.report.stopped {
            self.train_stretch(run, &steps, callback).await?;
            // At the end of a whole epoch the checkpoint comes after the evaluation.
            if !is_whole(self.at, run) {
                run.report.stopped |= self.report_checkpoint(run, callback)?;
            }
        }
        let validation = match &mut run.evaluator {
            Some(evaluator) => Some(evaluator.run_async(&self.parameters()).await?),
            None => None,
        };
        if let (Schedule::Plateau(plateau), Some(validation)) = (&self.schedule, &validation) {
            self.plateau.update(plateau, validation, self.optimizer.learning_rate());
        }
        let sums = std::mem::take(&mut run.history.sums);
        let finished = EpochReport {
            epoch: steps.number,
            step: self.at.steps,
            loss: sums.loss / sums.counted,
            accuracy: sums.correct / sums.counted,
            validation,
            seconds: sums.seconds,
            images_per_s: sums.counted / sums.seconds,
            learning_rate: steps.rates[self.at.in_epoch.max(1) - 1],
            weights_sha256: weights::sha256(&self.layout, &self.parameters())?,
        };
        run.report.epochs.push(finished.clone());
        run.history.epochs.push(finished.clone().without_confusion());
        run.history.plateau = self.plateau;
        let is_whole = is_whole(self.at, run);
        self.at = self.at.next_epoch();
        run.report.stopped |= callback.on_event(&Event::Epoch(finished))?.is_break();
        if is_whole {
            run.report.stopped |= self.report_checkpoint(run, callback)?;
        }
        Ok(())
    }

    /// Trains to the next checkpoint inside the epoch, or to its end, and reports each step.
    async fn train_stretch(
        &mut self,
        run: &mut Run<'_>,
        steps: &EpochSteps,
        callback: &mut impl Callback,
    ) -> Result<()> {
        let stretch = self.at.in_epoch..run.end_of_stretch(self.at);
        let Run { data, fit, course, epoch, history, report, images, .. } = run;
        let (inputs, sums) = (steps.inputs(course), &mut history.sums);
        let (start, counted) = (Instant::now(), sums.counted);
        let ran = epoch.run(inputs, stretch, |index, row, images_per_s| {
            let report = steps.report(index, row, images_per_s);
            if !fit.allow_nan {
                report.check_finite()?;
            }
            sums.add(&report);
            callback.on_event(&Event::Step(report))
        });
        let ran = ran.await;
        let seconds = start.elapsed().as_secs_f64();
        sums.seconds += seconds;
        report.seconds += seconds;
        *images += sums.counted - counted;
        let read = match ran {
            Ok((ran, stopped)) => self.read_back(epoch, course.after(self.at, ran), fit).await.map(|()| stopped),
            Err(error) => Err(error),
        };
        match read {
            Ok(stopped) => report.stopped |= stopped,
            Err(error) => return Err(self.explain(error, epoch, Failed { data, inputs }).await),
        }
        Ok(())
    }

    /// Reads parameters and optimizer state back from the device, which is at `at`.
    ///
    /// Errors: a weight that is not finite, unless that is allowed; then the trainer is as before.
    async fn read_back(&mut self, epoch: &Epoch, at: Position, fit: &Fit) -> Result<()> {
        let (parameters, states) = epoch.read(&self.layout, &self.parameters()).await?;
        if let (Some(&value), false) = (parameters.iter().find(|value| !value.is_finite()), fit.allow_nan) {
            return Err(Error::NotFinite { value, step: at.steps, epoch: at.epochs + 1, first: String::new() });
        }
        (self.parameters, self.states, self.at) = (Some(parameters), Arc::new(states), at);
        Ok(())
    }

    /// Reports the state of the run, unless a weight is not finite; returns whether to stop.
    fn report_checkpoint(&self, run: &Run<'_>, callback: &mut impl Callback) -> Result<bool> {
        let snapshot = self.snapshot();
        if !snapshot.parameters.iter().all(|value| value.is_finite()) {
            return Ok(false);
        }
        let checkpoint = run.course.checkpoint(snapshot, run.history.clone());
        Ok(callback.on_event(&Event::Checkpoint(Arc::new(checkpoint)))?.is_break())
    }
}
