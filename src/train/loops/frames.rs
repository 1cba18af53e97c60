//! Training between the frames of an app: in slices of launches that fit a time.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::data::{Dataset, order};
use crate::gpu::{CommandEncoder, Copies, Gpu, GpuSession, Instant, Submission, block_on};
use crate::infer::HISTORY_COLUMNS;
use crate::infer::Predictor;
use crate::nn::Layout;
use crate::train::checkpoint::{Checkpoint, Past};
use crate::train::course::{Course, Position, Snapshot};
use crate::train::loops::pace::{Pace, Place, Portion, Timing};
use crate::train::report::StepReport;
use crate::train::step::{EpochInputs, TrainingStep};
use crate::{Error, Result};

/// Submissions under way at once: one runs while the next waits.
const IN_FLIGHT: usize = 2;

/// Into how many submissions a frame's time is divided at least; towards its end each takes half of what is left. So one
/// that takes twice as long as it did before does not make a frame late.
const PORTIONS: u32 = 4;

/// A training that lives beside an app's frames, on the app's device. Made by [`Trainer::in_frames`](crate::train::Trainer::in_frames).
///
/// [`train_for`](Self::train_for) computes for a given time and comes back, wherever in a step that is: a step is a list of
/// launches, a launch a grid of workgroups that know nothing of each other, and any range of them can be a dispatch of
/// its own. How many fit is learnt from how long they took. The result is bit for bit that of
/// [`Trainer::fit`](crate::train::Trainer::fit) on the same device.
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
    /// The next slice of the step under way.
    place: Place,
    /// Steps of the epoch whose losses were told.
    told: usize,
    told_at: Instant,
    /// How long it took to read them the last time, which comes off a frame's time.
    telling: Duration,
    /// Whether the order of the epoch is on the device.
    is_begun: bool,
    pace: Pace,
    /// What a step changes, as the last whole step left it.
    kept: Copies,
    snapshot: Snapshot,
}

/// What a frame's training did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The steps whose losses became known.
    pub steps: Vec<StepReport>,
    /// Submissions to the device.
    pub submissions: usize,
    /// Wall time.
    pub elapsed: Duration,
    /// Whether all epochs are done.
    pub is_finished: bool,
}

impl FrameTrainer {
    /// Compiles the step, puts network and data on the device, and times the launches of a step.
    pub(in crate::train) async fn new(
        gpu: &Gpu,
        data: &Dataset,
        step: TrainingStep,
        layout: Layout,
        course: Course,
        from: Snapshot,
    ) -> Result<Self> {
        let session = GpuSession::sliced_async(gpu, &step.graph).await?;
        session.write(step.batches.pictures, (&*data.bytes()?).into())?;
        session.write(step.batches.labels, data.labels.as_slice().into())?;
        // What these steps leave is overwritten below.
        let pace = Pace::new(session.slices(), &time_launches(&session).await?);
        step.write(&layout, &from.parameters, &from.states, |node, values| session.write(node, values))?;
        let changing = step.changing_parts(&layout).into_iter().map(|(node, _)| node);
        let kept = Copies::new(&session, &changing.chain(step.states.iter().copied()).collect::<Vec<_>>())?;
        let mut encoder = session.encoder();
        kept.take(&session, &mut encoder);
        session.submit_encoder(encoder);
        let (at, place, told) = (from.at, Place::default(), from.at.in_epoch);
        let (told_at, telling, is_begun) = (Instant::now(), Duration::ZERO, false);
        let snapshot = from;
        Ok(Self { session, step, layout, course, at, place, told, told_at, telling, is_begun, pace, kept, snapshot })
    }

    /// Trains for about `budget`, in this frame's turn: submits what fits, waits for it, and returns. At least one slice
    /// runs, however short the time; nothing once [all epochs are done](Self::is_finished).
    ///
    /// Errors: a loss that is not finite; the device is lost: then [`rebuild`](Self::rebuild) goes on from the last
    /// [`snapshot`](Self::snapshot).
    pub fn train_for(&mut self, budget: Duration) -> Result<Progress> {
        block_on(self.train_for_async(budget))
    }

    /// The `async` form of [`FrameTrainer::train_for`].
    pub async fn train_for_async(&mut self, budget: Duration) -> Result<Progress> {
        let start = Instant::now();
        let mut progress = Progress::default();
        loop {
            let computing = budget.saturating_sub(self.telling);
            progress.submissions += self.run(start, computing, progress.submissions == 0).await?;
            let epochs = self.at.epochs;
            progress.steps.extend(self.reports_async().await?);
            // An epoch's end leaves the time to the next.
            if self.at.epochs == epochs || self.is_finished() || start.elapsed() >= budget {
                break;
            }
        }
        Ok(Progress { elapsed: start.elapsed(), is_finished: self.is_finished(), ..progress })
    }

    /// Runs what fits the rest of the budget and the epoch; returns how many submissions that took.
    async fn run(&mut self, start: Instant, budget: Duration, at_least_one: bool) -> Result<usize> {
        let mut submissions = 0;
        let mut under_way: VecDeque<(Submission, Instant, Portion)> = VecDeque::new();
        let mut last_end = start;
        loop {
            while under_way.len() < IN_FLIGHT && !self.is_finished() {
                let expected: f64 = under_way.iter().map(|(.., portion)| portion.expected).sum();
                let left = budget.saturating_sub(start.elapsed() + Duration::from_secs_f64(expected));
                let must_run = at_least_one && submissions == 0;
                let limit = (left / 2).min(budget / PORTIONS);
                let portion = self.pace.portion(self.place, self.steps_left(), limit, must_run);
                let Some(portion) = portion else { break };
                let mut encoder = self.session.encoder();
                self.encode(&mut encoder, &portion)?;
                let submission = self.session.submit_encoder(encoder);
                submissions += 1;
                under_way.push_back((submission, Instant::now(), portion));
            }
            let Some((submission, submitted, portion)) = under_way.pop_front() else { return Ok(submissions) };
            self.session.gpu().settle(Some(submission)).await?;
            let now = Instant::now();
            self.pace.learn(&portion, now - submitted.max(last_end));
            last_end = now;
        }
    }

    /// Appends one step to an app's encoder, in the app's order; the rest of the step if [`train_for`](Self::train_for)
    /// had begun one. Nothing is submitted, and nothing once all epochs are done.
    ///
    /// The losses of steps made this way are told by [`reports`](Self::reports), which must be called after the encoder was
    /// submitted and at least once an epoch. Where an epoch begins, the encoder takes a buffer of the length of its order.
    ///
    /// Errors: the losses of the epoch before were not asked for.
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

    /// The losses of the steps that were not told yet, waiting for the device.
    ///
    /// Errors: a loss that is not finite; the device is lost.
    pub fn reports(&mut self) -> Result<Vec<StepReport>> {
        block_on(self.reports_async())
    }

    /// The `async` form of [`FrameTrainer::reports`].
    pub async fn reports_async(&mut self) -> Result<Vec<StepReport>> {
        if self.told == self.at.in_epoch {
            return Ok(vec![]);
        }
        let begun_telling = Instant::now();
        let history = self.session.read_async(self.step.batches.history).await?;
        self.telling = begun_telling.elapsed();
        let rows = || history.chunks(HISTORY_COLUMNS).enumerate().take(self.at.in_epoch).skip(self.told);
        let pictures: f64 = rows().map(|(_, row)| f64::from(row[2])).sum();
        let images_per_s = pictures / self.told_at.elapsed().as_secs_f64().max(1e-9);
        let (epoch, begun) = (self.at.epochs + 1, self.at.begun());
        let report = |(index, row): (usize, &[f32])| {
            let step = begun + index as u64;
            let learning_rate = self.course.rate(begun, index);
            let [loss, correct, counted] = [row[0], row[1], row[2]];
            StepReport { step: step + 1, epoch, loss, correct, counted, learning_rate, images_per_s }
        };
        let reports: Vec<StepReport> = rows().map(report).collect();
        (self.told, self.told_at) = (self.at.in_epoch, Instant::now());
        if self.at.in_epoch == self.course.steps_per_epoch() {
            self.at = self.at.in_whole_epochs(self.course.steps_per_epoch());
            (self.told, self.is_begun) = (0, false);
        }
        match reports.iter().find(|report| !report.loss.is_finite()) {
            Some(&StepReport { loss: value, step, epoch, .. }) => {
                Err(Error::NotFinite { value, step, epoch, first: String::new() })
            }
            None => Ok(reports),
        }
    }

    /// Appends the copying of all parameters, as the last whole step left them, into a predictor of the same network on the
    /// same device: what it computes from there on, it computes with them. No data leaves the device.
    ///
    /// Errors: a predictor with another layout than [this training's](Self::layout).
    pub fn hand_over(&self, encoder: &mut CommandEncoder, predictor: &Predictor) -> Result<()> {
        if *predictor.layout() != self.layout {
            let expected = format!("one of the layout of this training, of {} parameters", self.layout.total());
            return Err(Error::option("predictor", expected, format!("one of {}", predictor.layout().total())));
        }
        let to = predictor.session().buffer(predictor.parameters())?;
        for (node, range) in self.step.parts(&self.layout) {
            let from = match Some(node) == self.step.frozen {
                true => self.session.buffer(node)?,
                false => self.kept.get(node)?,
            };
            from.copy_into(to, 4 * range.start as u64, encoder);
        }
        Ok(())
    }

    /// The training as the last whole step left it, waiting for the device; kept for [`rebuild`](Self::rebuild).
    ///
    /// Errors: the device is lost.
    pub fn snapshot(&mut self) -> Result<&Snapshot> {
        block_on(self.read_snapshot())?;
        Ok(&self.snapshot)
    }

    /// The `async` form of [`FrameTrainer::snapshot`].
    pub async fn snapshot_async(&mut self) -> Result<&Snapshot> {
        self.read_snapshot().await?;
        Ok(&self.snapshot)
    }

    async fn read_snapshot(&mut self) -> Result<()> {
        let read = |node| self.kept.read(&self.session, node);
        let (parameters, states) = self.step.read(&self.layout, self.snapshot.parameters.clone(), read).await?;
        self.snapshot = Snapshot { parameters, states, at: self.at.in_whole_epochs(self.course.steps_per_epoch()) };
        Ok(())
    }

    /// The last snapshot that was taken; the training's beginning before. Stays when the device is lost.
    pub fn last_snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// That snapshot with what a file of it needs: another process takes it up by [`Trainer::resume`](crate::train::Trainer::resume)
    /// and [`Trainer::in_frames`](crate::train::Trainer::in_frames), on a device of the same kind with the same losses.
    pub fn last_checkpoint(&self) -> Checkpoint {
        let course = Past { first: self.course.first, ..Past::default() };
        Checkpoint { snapshot: self.snapshot.clone(), states: self.course.states.clone(), course }
    }

    /// Goes on from the last snapshot on this device, whatever became of the one before: on a device of the same kind with
    /// the same losses as if nothing had happened. `data` is the set it began with.
    ///
    /// Errors: another set; those of [`Trainer::in_frames`](crate::train::Trainer::in_frames).
    pub fn rebuild(&mut self, gpu: &Gpu, data: &Dataset) -> Result<()> {
        block_on(self.rebuild_async(gpu, data))
    }

    /// The `async` form of [`FrameTrainer::rebuild`].
    pub async fn rebuild_async(&mut self, gpu: &Gpu, data: &Dataset) -> Result<()> {
        let (step, layout, snapshot) = (self.step.clone(), self.layout.clone(), self.snapshot.clone());
        *self = Self::new(gpu, data, step, layout, self.course.clone(), snapshot).await?;
        Ok(())
    }

    /// Whether all epochs are done.
    pub fn is_finished(&self) -> bool {
        self.at.steps >= self.course.end()
    }

    /// Whole steps so far.
    pub fn steps(&self) -> u64 {
        self.at.steps
    }

    /// Where the parameters lie in the flat buffer.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The step on the device.
    pub fn session(&self) -> &GpuSession {
        &self.session
    }

    /// Steps of this epoch that are still to come.
    fn steps_left(&self) -> usize {
        let all = (self.course.end() - self.at.steps) as usize;
        all.min(self.course.steps_per_epoch() - self.at.in_epoch)
    }

    fn encode(&mut self, encoder: &mut CommandEncoder, portion: &Portion) -> Result<()> {
        if !self.is_begun {
            self.begin_epoch(encoder)?;
        }
        for (number, work) in portion.steps.iter().enumerate() {
            self.session.encode_slices(encoder, work);
            if number + 1 == portion.finished {
                self.kept.take(&self.session, encoder);
            }
        }
        self.place = portion.end;
        self.at = self.at.after(portion.finished, self.course.steps_per_epoch(), self.course.every);
        Ok(())
    }

    /// Puts what the epoch's steps read on the device.
    fn begin_epoch(&mut self, encoder: &mut CommandEncoder) -> Result<()> {
        let course = &self.course;
        let (begun, updates) = (self.at.begun(), self.at.begun_updates(course.every));
        let order = order::epoch(&course.pictures, course.batch, course.seed, self.at.epochs);
        let rates: Vec<f32> = (0..course.steps_per_epoch()).map(|step| course.rate(begun, step)).collect();
        let inputs = EpochInputs { order: &order, rates: &rates, weights: &course.weights, begun, updates };
        let session = &self.session;
        let write = |node, values: crate::tensor::HostData<'_>| session.encode_write(encoder, node, values);
        self.step.write_epoch(inputs, self.at.in_epoch, write)?;
        self.is_begun = true;
        Ok(())
    }
}

/// What a submission of the first measurements is to take at most, far below the two seconds after which desktops reset a
/// GPU.
const MEASURED: Duration = Duration::from_millis(100);

/// How long each launch of a step takes as a whole, once drivers have compiled what they compile late: in the second of two
/// steps, launch by launch. Before anything is known of a launch a 64th of it runs, and more as it turns out to be quick.
/// At last, how long a slice of each takes alone.
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
        // The lesser of two: whatever else the machine does takes time, too.
        let alone = time_slices(session, launch, 0..1).await?.min(time_slices(session, launch, 0..1).await?);
        timings.push(Timing { whole, alone });
    }
    Ok(timings)
}

/// How long slices of a launch take.
async fn time_slices(session: &GpuSession, launch: usize, slices: Range<u32>) -> Result<Duration> {
    let mut encoder = session.encoder();
    session.encode_slices(&mut encoder, &[(launch, slices)]);
    let begun = Instant::now();
    let submission = session.submit_encoder(encoder);
    session.gpu().settle(Some(submission)).await?;
    Ok(begun.elapsed())
}
