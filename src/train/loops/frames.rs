//! The runner between the frames of an app: slices of launches that fit a time budget.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::data::Dataset;
use crate::device::Device;
use crate::gpu::{CommandEncoder, Copies, Gpu, GpuSession, Instant, Submission, block_on};
use crate::infer::HISTORY_COLUMNS;
use crate::infer::Predictor;
use crate::nn::Layout;
use crate::train::checkpoint::{Checkpoint, History};
use crate::train::course::{Course, EpochSteps};
use crate::train::fit::Fit;
use crate::train::loops::pace::{Pace, Place, Portion, Timing};
use crate::train::report::StepReport;
use crate::train::schedule::Schedule;
use crate::train::snapshot::{Position, Snapshot};
use crate::train::step::TrainingStep;
use crate::train::trainer::Trainer;
use crate::{Error, Result};

/// Submissions in flight: one runs while the next waits.
const IN_FLIGHT: usize = 2;

/// Smallest number of submissions per frame; towards its end each takes half of the remaining time. So one that takes twice
/// as long as expected does not make a frame late.
const PORTIONS: u32 = 4;

/// Training between the frames of an app, on the app's device, made by [`Trainer::in_frames`].
///
/// [`train_for`](Self::train_for) computes for a given time and returns, possibly inside a step: a step is a list of
/// launches, a launch is a grid of independent workgroups, and any range of them can be a separate dispatch. How many fit
/// is estimated from measured times. The result is bit for bit that of [`Trainer::fit`] on the same device.
///
/// A dispatch of an [opaque](crate::kernel::Dispatch::is_opaque) shader is one slice: it runs whole, and its measured time
/// counts as such.
///
/// ```no_run
/// use std::time::Duration;
/// use lenslet::{Gpu, Trainer, data::Mnist, models, optim::Sgd, wgpu};
///
/// # fn app(device: wgpu::Device, queue: wgpu::Queue) -> lenslet::Result<()> {
/// let gpu = Gpu::from_wgpu(device, queue);
/// let mnist = Mnist::bundled()?;
/// let model = models::lenet5();
/// let mut trainer = Trainer::new(&gpu, &model, Sgd::new(0.05).momentum(0.9))?.in_frames(&mnist.train, 5)?;
/// loop {
///     let progress = trainer.train_for(Duration::from_millis(6))?;
///     if let Some(last) = progress.steps.last() {
///         println!("step {}, loss {}", last.step, last.loss);
///     }
///     if progress.is_finished {
///         break;
///     }
///     // draw the frame
/// }
/// # Ok(())
/// # }
/// ```
pub struct FrameTrainer {
    session: GpuSession,
    step: TrainingStep,
    layout: Layout,
    course: Course,
    at: Position,
    /// The next slice of the current step.
    place: Place,
    /// The current epoch, once its inputs are on the device.
    epoch: Option<EpochSteps>,
    /// Steps of the current epoch that were reported.
    reported: usize,
    reported_at: Instant,
    /// Time that the last reading of reports took; it is reserved in each frame.
    reading_time: Duration,
    pace: Pace,
    /// Copies of what a step changes, after the last whole step.
    last_step: Copies,
    snapshot: Snapshot,
}

/// Result of one call of [`FrameTrainer::train_for`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Reports of steps that were not reported before.
    pub steps: Vec<StepReport>,
    /// Submissions to the device.
    pub submissions: usize,
    /// Wall time.
    pub elapsed: Duration,
    /// Whether the run is finished.
    pub is_finished: bool,
}

impl Trainer<'_> {
    /// This training between the frames of an app, from its current state. The frame trainer owns copies; this trainer's
    /// parameters do not change.
    ///
    /// Errors: as [`Trainer::fit_with`]; a device other than a GPU; a plateau schedule, as nothing is evaluated.
    pub fn in_frames(&self, data: &Dataset, fit: impl Into<Fit>) -> Result<FrameTrainer> {
        block_on(self.in_frames_async(data, fit))
    }

    /// The `async` form of [`Trainer::in_frames`].
    ///
    /// Errors: see [`Trainer::in_frames`].
    pub async fn in_frames_async(&self, data: &Dataset, fit: impl Into<Fit>) -> Result<FrameTrainer> {
        let Device::Gpu(gpu) = &self.device else {
            return Err(Error::option("device", "a GPU, for training between frames", self.device.name()));
        };
        if matches!(self.schedule, Schedule::Plateau(_)) {
            let found = "a plateau, which depends on evaluations";
            return Err(Error::option("schedule", "one that does not depend on the validation, between frames", found));
        }
        let (course, _) = self.course(data.into(), fit.into())?;
        // All images are resident: a frame has no time to stream them.
        let step = self.step(data.spec(), data, &course.images)?;
        let from = Snapshot { at: self.position(), ..self.snapshot() };
        FrameTrainer::new(gpu, data, step, self.layout.clone(), course, from).await
    }
}

impl FrameTrainer {
    /// Compiles the step, puts network and data on the device, and times the launches of a step.
    async fn new(
        gpu: &Gpu,
        data: &Dataset,
        step: TrainingStep,
        layout: Layout,
        course: Course,
        from: Snapshot,
    ) -> Result<Self> {
        let session = GpuSession::sliced_async(gpu, &step.graph).await?;
        session.write(step.batches.images, (&*data.bytes()?).into())?;
        session.write(step.batches.labels, data.labels.as_slice().into())?;
        // The results of these steps are overwritten below.
        let pace = Pace::new(session.slices(), &time_launches(&session).await?);
        step.write(&layout, &from.parameters, &from.states, |node, values| session.write(node, values))?;
        let changing = step.changing_parts(&layout).into_iter().map(|(node, _)| node);
        let last_step = Copies::new(&session, &changing.chain(step.states.iter().copied()).collect::<Vec<_>>())?;
        let mut encoder = session.encoder();
        last_step.take(&session, &mut encoder);
        session.submit_encoder(encoder);
        Ok(Self {
            session,
            step,
            layout,
            course,
            at: from.at,
            place: Place::default(),
            epoch: None,
            reported: from.at.in_epoch,
            reported_at: Instant::now(),
            reading_time: Duration::ZERO,
            pace,
            last_step,
            snapshot: from,
        })
    }

    /// Trains for about `budget`: submits the work that fits, waits for it, and returns. At least one slice runs, however
    /// short the time; nothing once the run is [finished](Self::is_finished).
    ///
    /// Errors: a loss that is not finite; the device is lost: then [`rebuild`](Self::rebuild) continues from the last
    /// [`snapshot`](Self::snapshot).
    pub fn train_for(&mut self, budget: Duration) -> Result<Progress> {
        block_on(self.train_for_async(budget))
    }

    /// The `async` form of [`FrameTrainer::train_for`].
    ///
    /// Errors: see [`FrameTrainer::train_for`].
    pub async fn train_for_async(&mut self, budget: Duration) -> Result<Progress> {
        let start = Instant::now();
        let mut progress = Progress::default();
        loop {
            let computing = budget.saturating_sub(self.reading_time);
            progress.submissions += self.run(start, computing, progress.submissions == 0).await?;
            let epochs = self.at.epochs;
            progress.steps.extend(self.reports_async().await?);
            // At the end of an epoch the next one takes the remaining time.
            if self.at.epochs == epochs || self.is_finished() || start.elapsed() >= budget {
                break;
            }
        }
        Ok(Progress { elapsed: start.elapsed(), is_finished: self.is_finished(), ..progress })
    }

    /// Runs what fits the rest of the budget and of the epoch; returns the number of submissions.
    async fn run(&mut self, start: Instant, budget: Duration, at_least_one: bool) -> Result<usize> {
        let mut submissions = 0;
        let mut in_flight: VecDeque<(Submission, Instant, Portion)> = VecDeque::new();
        let mut last_end = start;
        loop {
            while in_flight.len() < IN_FLIGHT && !self.is_finished() {
                let expected: f64 = in_flight.iter().map(|(.., portion)| portion.expected).sum();
                let left = budget.saturating_sub(start.elapsed() + Duration::from_secs_f64(expected));
                let must_run = at_least_one && submissions == 0;
                let limit = (left / 2).min(budget / PORTIONS);
                let portion = self.pace.portion(self.place, self.steps_left(), limit, must_run);
                let Some(portion) = portion else { break };
                let mut encoder = self.session.encoder();
                self.encode(&mut encoder, &portion)?;
                let submission = self.session.submit_encoder(encoder);
                submissions += 1;
                in_flight.push_back((submission, Instant::now(), portion));
            }
            let Some((submission, submitted, portion)) = in_flight.pop_front() else { return Ok(submissions) };
            self.session.gpu().settle(Some(submission)).await?;
            let now = Instant::now();
            self.pace.update(&portion, now - submitted.max(last_end));
            last_end = now;
        }
    }

    /// Appends one step to an app's encoder, or the rest of a step that [`train_for`](Self::train_for) has started. Nothing
    /// is submitted; nothing is appended once the run is finished.
    ///
    /// [`reports`](Self::reports) returns the losses of these steps; it must be called after the encoder was submitted and
    /// at least once per epoch. At the start of an epoch the encoder gets a buffer of the length of its order.
    ///
    /// Errors: [`reports`](Self::reports) was not called after the last step of an epoch.
    pub fn encode_step(&mut self, encoder: &mut CommandEncoder) -> Result<()> {
        if self.is_finished() {
            return Ok(());
        }
        if self.steps_left() == 0 {
            let expected = "a call of reports() after the last step of an epoch, which is submitted by then";
            return Err(Error::option("encode_step", expected, format!("none after step {}", self.at.steps)));
        }
        let (place, slices) = (self.place, self.session.slices());
        let rest = (place.launch..slices.len()).map(|launch| {
            let first = if launch == place.launch { place.slice } else { 0 };
            (launch, first..slices[launch])
        });
        let portion = Portion { steps: vec![rest.collect()], end: Place::default(), finished: 1, expected: 0.0 };
        self.encode(encoder, &portion)
    }

    /// Reports of the steps that were not reported yet, waiting for the device.
    ///
    /// Errors: a loss that is not finite; the device is lost.
    pub fn reports(&mut self) -> Result<Vec<StepReport>> {
        block_on(self.reports_async())
    }

    /// The `async` form of [`FrameTrainer::reports`].
    ///
    /// Errors: see [`FrameTrainer::reports`].
    pub async fn reports_async(&mut self) -> Result<Vec<StepReport>> {
        let Some(epoch) = self.epoch.as_ref().filter(|_| self.reported < self.at.in_epoch) else {
            return Ok(vec![]);
        };
        let start = Instant::now();
        let history = self.session.read_async(self.step.batches.history).await?;
        self.reading_time = start.elapsed();
        let rows = || history.chunks(HISTORY_COLUMNS).enumerate().take(self.at.in_epoch).skip(self.reported);
        let images: f64 = rows().map(|(_, row)| f64::from(row[2])).sum();
        let images_per_s = images / self.reported_at.elapsed().as_secs_f64().max(1e-9);
        let reports: Vec<StepReport> = rows().map(|(index, row)| epoch.report(index, row, images_per_s)).collect();
        (self.reported, self.reported_at) = (self.at.in_epoch, Instant::now());
        if self.at.in_epoch == self.course.steps_per_epoch() {
            (self.at, self.epoch, self.reported) = (self.at.next_epoch(), None, 0);
        }
        reports.iter().try_for_each(StepReport::check_finite)?;
        Ok(reports)
    }

    /// Appends a copy of all parameters, as of the last whole step, into a predictor of the same network on the same device,
    /// which uses them from then on. No data leaves the device.
    ///
    /// Errors: a predictor with a layout other than [this one](Self::layout).
    pub fn hand_over(&self, encoder: &mut CommandEncoder, predictor: &Predictor) -> Result<()> {
        if *predictor.layout() != self.layout {
            let expected = format!("one of the layout of this training, of {} parameters", self.layout.total());
            return Err(Error::option("predictor", expected, format!("one of {}", predictor.layout().total())));
        }
        let to = predictor.session().buffer(predictor.parameters())?;
        for (node, range) in self.step.parts(&self.layout) {
            let from = match Some(node) == self.step.frozen {
                true => self.session.buffer(node)?,
                false => self.last_step.get(node)?,
            };
            from.copy_into(to, 4 * range.start as u64, encoder);
        }
        Ok(())
    }

    /// The state after the last whole step, waiting for the device; also stored for [`rebuild`](Self::rebuild).
    ///
    /// Errors: the device is lost.
    pub fn snapshot(&mut self) -> Result<&Snapshot> {
        block_on(self.read_snapshot())?;
        Ok(&self.snapshot)
    }

    /// The `async` form of [`FrameTrainer::snapshot`].
    ///
    /// Errors: see [`FrameTrainer::snapshot`].
    pub async fn snapshot_async(&mut self) -> Result<&Snapshot> {
        self.read_snapshot().await?;
        Ok(&self.snapshot)
    }

    async fn read_snapshot(&mut self) -> Result<()> {
        let read = |node| self.last_step.read(&self.session, node);
        let (parameters, states) = self.step.read(&self.layout, &self.snapshot.parameters, read).await?;
        let at = self.course.past_end_of_epoch(self.at);
        self.snapshot = Snapshot { parameters, states: Arc::new(states), at };
        Ok(())
    }

    /// The last [`snapshot`](Self::snapshot), or the initial state before the first. It survives the loss of the device.
    pub fn last_snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The [last snapshot](Self::last_snapshot) as a checkpoint, which can be saved to a file: another process continues from
    /// it by [`Trainer::resume`] and [`Trainer::in_frames`], with the same losses on a device of the same kind.
    pub fn last_checkpoint(&self) -> Checkpoint {
        let history = History { first: self.course.first, ..History::default() };
        self.course.checkpoint(self.snapshot.clone(), history)
    }

    /// Continues from the last snapshot on another device, after the previous one was lost: with the same losses on a device
    /// of the same kind. `data` is the set that the training was started with.
    ///
    /// Errors: another set; those of [`Trainer::in_frames`].
    pub fn rebuild(&mut self, gpu: &Gpu, data: &Dataset) -> Result<()> {
        block_on(self.rebuild_async(gpu, data))
    }

    /// The `async` form of [`FrameTrainer::rebuild`].
    ///
    /// Errors: see [`FrameTrainer::rebuild`].
    pub async fn rebuild_async(&mut self, gpu: &Gpu, data: &Dataset) -> Result<()> {
        let (step, layout, snapshot) = (self.step.clone(), self.layout.clone(), self.snapshot.clone());
        *self = Self::new(gpu, data, step, layout, self.course.clone(), snapshot).await?;
        Ok(())
    }

    /// Whether all steps of the run are finished.
    pub fn is_finished(&self) -> bool {
        self.course.is_finished(self.at)
    }

    /// Finished steps.
    pub fn steps(&self) -> u64 {
        self.at.steps
    }

    /// Ranges of the parameters in the flat buffer.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The session that runs the step on the device.
    pub fn session(&self) -> &GpuSession {
        &self.session
    }

    /// Remaining steps of the current epoch.
    fn steps_left(&self) -> usize {
        self.course.steps_of_epoch(self.at).saturating_sub(self.at.in_epoch)
    }

    fn encode(&mut self, encoder: &mut CommandEncoder, portion: &Portion) -> Result<()> {
        if self.epoch.is_none() {
            self.write_epoch(encoder)?;
        }
        for (number, work) in portion.steps.iter().enumerate() {
            self.session.encode_slices(encoder, work);
            if number + 1 == portion.finished {
                self.last_step.take(&self.session, encoder);
            }
        }
        self.place = portion.end;
        self.at = self.course.after(self.at, portion.finished);
        Ok(())
    }

    /// Writes the inputs of the current epoch to the device.
    fn write_epoch(&mut self, encoder: &mut CommandEncoder) -> Result<()> {
        let (epoch, session) = (self.course.epoch(self.at), &self.session);
        let write = |node, values: crate::tensor::HostData<'_>| session.encode_write(encoder, node, values);
        self.step.write_epoch(epoch.inputs(&self.course), self.at.in_epoch, write)?;
        self.epoch = Some(epoch);
        Ok(())
    }
}

/// Target time of one submission of the first measurements, far below the two seconds after which desktops reset a GPU.
const MEASURED: Duration = Duration::from_millis(100);

/// Measured time of each launch of a step: of the whole launch in the second of two steps, after late compilation in
/// drivers, and of one slice alone. The first submission of a launch is a 64th of it; the next ones grow as measured.
async fn time_launches(session: &GpuSession) -> Result<Vec<Timing>> {
    let slices = session.slices();
    let fitting = |slices: u32, took: Duration| {
        (f64::from(slices) * MEASURED.as_secs_f64() / took.as_secs_f64().max(1e-9)).min(u32::MAX.into()) as u32
    };
    let mut times: Vec<Option<Duration>> = vec![None; slices.len()];
    for _ in 0..2 {
        for (launch, (&all, known)) in slices.iter().zip(&mut times).enumerate() {
            let mut count = known.map_or(all / 64, |time| fitting(all, time)).clamp(1, all);
            let (mut done, mut time) = (0, Duration::ZERO);
            while done < all {
                let until = all.min(done + count);
                let took = time_slices(session, launch, done..until).await?;
                let ran = until - done;
                (done, time, count) = (until, time + took, fitting(ran, took).clamp(1, ran.saturating_mul(8)));
            }
            *known = Some(time);
        }
    }
    let mut timings = vec![];
    for (launch, whole) in times.into_iter().flatten().enumerate() {
        // The smaller of two, as other work of the machine adds time.
        let alone = time_slices(session, launch, 0..1).await?.min(time_slices(session, launch, 0..1).await?);
        timings.push(Timing { whole, alone });
    }
    Ok(timings)
}

/// Measured time of a range of slices of a launch.
async fn time_slices(session: &GpuSession, launch: usize, slices: Range<u32>) -> Result<Duration> {
    let mut encoder = session.encoder();
    session.encode_slices(&mut encoder, &[(launch, slices)]);
    let start = Instant::now();
    let submission = session.submit_encoder(encoder);
    session.gpu().settle(Some(submission)).await?;
    Ok(start.elapsed())
}
