//! The training loop, epoch by epoch.

use std::ops::ControlFlow;
use std::time::Instant;

use super::course::{Course, Position, Snapshot};
use super::epoch::Epoch;
use super::evaluator::{Evaluation, Evaluator};
use super::frames::FrameTrainer;
use super::plateau::Watch;
use super::report::{EpochReport, Event, Fit, Report, StepReport};
use super::step::{StepOptions, TrainingStep};
use super::{Schedule, order, stream};
use crate::data::{Dataset, Spec};
use crate::device::Device;
use crate::gpu::{Gpu, block_on};
use crate::graph::Precision;
use crate::nn::{Layout, Model};
use crate::optim::Optimizer;
use crate::{Error, Result};

/// A network being trained: its parameters, its optimizer, where and how.
///
/// ```no_run
/// use lenslet::{Gpu, Padding::Same, Trainer, data::Mnist, nn, optim::Sgd};
///
/// # fn main() -> lenslet::Result<()> {
/// let gpu = Gpu::new()?;
/// let model = nn::Sequential::new([1, 28, 28])
///     .conv2d(6, 5).padding(Same).relu().max_pool2d(2)
///     .conv2d(16, 5).relu().max_pool2d(2)
///     .flatten().dense(120).relu().dense(84).relu().dense(10);
/// let mut trainer = Trainer::new(&gpu, &model, Sgd::new(0.05).momentum(0.9))?.batch_size(64);
/// let mnist = Mnist::bundled()?;
/// trainer.fit(&mnist.train, 3)?;
/// println!("{:.2} %", 100.0 * trainer.evaluate(&mnist.test)?.accuracy);
/// # Ok(())
/// # }
/// ```
pub struct Trainer<'m> {
    device: Device,
    model: &'m dyn Model,
    layout: Layout,
    optimizer: Box<dyn Optimizer>,
    schedule: Schedule,
    /// What the rate is multiplied by on a plateau.
    watch: Watch,
    batch_size: usize,
    seed: u64,
    precision: Precision,
    validation: Option<&'m Dataset>,
    resident: Option<u64>,
    parameters: Option<Vec<f32>>,
    states: Vec<Vec<f32>>,
    epochs: u32,
    steps: u64,
}

impl<'m> Trainer<'m> {
    /// A trainer with fresh parameters, batches of 64, a constant learning rate and seed 1.
    ///
    /// Errors: layers that do not fit each other; optimizer settings out of range.
    pub fn new(device: impl Into<Device>, model: &'m dyn Model, optimizer: impl Optimizer + 'static) -> Result<Self> {
        Self::boxed(device, model, Box::new(optimizer))
    }

    /// As [`Trainer::new`], for an optimizer chosen at run time.
    pub fn boxed(device: impl Into<Device>, model: &'m dyn Model, optimizer: Box<dyn Optimizer>) -> Result<Self> {
        optimizer.check()?;
        let layout = TrainingStep::arrange(&Layout::of(model)?, optimizer.as_ref())?;
        let states = vec![vec![0.0; layout.trained()]; optimizer.states().len()];
        Ok(Self {
            device: device.into(),
            model,
            layout,
            optimizer,
            schedule: Schedule::Constant,
            watch: Watch::default(),
            batch_size: 64,
            seed: 1,
            precision: Precision::F32,
            validation: None,
            resident: None,
            parameters: None,
            states,
            epochs: 0,
            steps: 0,
        })
    }

    /// Sets the number of pictures a step.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Sets the learning rate's course.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self.watch = Watch::default();
        self
    }

    /// Sets the seed of initial values, shuffling, dropout and the validation split.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets how a training step stores what its operations hand to each other, which the device must be able to: f32
    /// unless set. Parameters and evaluation are f32.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Sets what is evaluated after each epoch, in place of pictures held out of the training set.
    pub fn validated_on(mut self, set: &'m Dataset) -> Self {
        self.validation = Some(set);
        self
    }

    /// Sets how many bytes of pictures lie on the device at most; a larger set comes window by window while the device
    /// computes, to the same results. 1 GiB unless set, or less where one binding must be smaller.
    pub fn resident(mut self, bytes: u64) -> Self {
        self.resident = Some(bytes);
        self
    }

    /// Where the parameters lie in the flat buffer.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All parameters as of the last finished epoch, flat; the initial ones before.
    pub fn parameters(&self) -> Vec<f32> {
        self.parameters.clone().unwrap_or_else(|| self.layout.initial(self.seed))
    }

    /// Whether no epoch has finished yet.
    pub fn is_untrained(&self) -> bool {
        self.parameters.is_none()
    }

    /// Goes on elsewhere, from the last finished epoch: after a device was lost.
    pub fn set_device(&mut self, device: impl Into<Device>) {
        self.device = device.into();
    }

    /// Begins with these parameters, flat, instead of fresh ones; what the optimizer keeps begins at 0.
    ///
    /// Errors: values of another layout.
    pub fn set_parameters(&mut self, flat: Vec<f32>) -> Result<()> {
        if flat.len() != self.layout.total() {
            return Err(Error::option("parameters", format!("{} values", self.layout.total()), flat.len()));
        }
        self.parameters = Some(flat);
        self.states.iter_mut().for_each(|state| state.fill(0.0));
        Ok(())
    }

    /// A training of this network, from where it is, in slices between the frames of an app. It owns what it needs: this
    /// trainer's own parameters stay as they are.
    ///
    /// Errors: as [`Trainer::fit_with`]; a device that is no GPU; a plateau schedule, for nothing is evaluated on the way.
    pub fn in_frames(&self, data: &Dataset, fit: impl Into<Fit>) -> Result<FrameTrainer> {
        block_on(self.in_frames_async(data, fit))
    }

    /// The `async` form of [`Trainer::in_frames`].
    pub async fn in_frames_async(&self, data: &Dataset, fit: impl Into<Fit>) -> Result<FrameTrainer> {
        let (gpu, step, course, from) = self.framed(data, fit.into())?;
        FrameTrainer::new(&gpu, data, step, self.layout.clone(), course, from).await
    }

    fn framed(&self, data: &Dataset, fit: Fit) -> Result<(Gpu, TrainingStep, Course, Snapshot)> {
        let Device::Gpu(gpu) = &self.device else {
            return Err(Error::option("device", "a GPU, for training between frames", self.device.name()));
        };
        if matches!(self.schedule, Schedule::Plateau(_)) {
            let found = "a plateau, which waits for evaluations";
            return Err(Error::option("schedule", "one that knows its rates beforehand, between frames", found));
        }
        let (_, pictures) = self.split(data, fit)?;
        let steps_per_epoch = pictures.len().div_ceil(self.batch_size);
        let course = Course {
            pictures,
            batch: self.batch_size,
            seed: self.seed,
            schedule: self.schedule.clone(),
            learning_rate: self.watch.rate(self.optimizer.learning_rate()),
            first_step: self.steps,
            total_steps: fit.total_steps(steps_per_epoch),
        };
        let at = Position { epochs: self.epochs, in_epoch: 0, steps: self.steps };
        let from = Snapshot::new(self.parameters(), self.states.clone(), at);
        Ok((gpu.clone(), self.step(data.spec(), steps_per_epoch)?, course, from))
    }

    /// Refuses a set and a length of training that [`Trainer::fit_with`] would refuse, before anything is made.
    pub fn check(&self, data: &Dataset, fit: impl Into<Fit>) -> Result<()> {
        let (_, pictures) = self.split(data, fit.into())?;
        let steps = pictures.len().div_ceil(self.batch_size);
        self.device.check(&self.step(self.spec(data), steps)?.graph)
    }

    /// Trains for so many epochs.
    ///
    /// Errors: see [`Trainer::fit_with`].
    pub fn fit(&mut self, data: &Dataset, fit: impl Into<Fit>) -> Result<Report> {
        self.fit_with(data, fit, |_| ControlFlow::Continue(()))
    }

    /// The `async` form of [`Trainer::fit_with`].
    pub async fn fit_async(
        &mut self,
        data: &Dataset,
        fit: impl Into<Fit>,
        observe: impl FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Report> {
        self.train(data, fit.into(), observe).await
    }

    /// Trains, telling `observe` of each step and epoch; it may end the run, which then keeps all finished steps.
    ///
    /// Errors: a batch of 0 or larger than the set; a set that does not fit the model or the device; a loss or a
    /// weight that is not finite. After an error the parameters are those of the last finished epoch.
    pub fn fit_with(
        &mut self,
        data: &Dataset,
        fit: impl Into<Fit>,
        observe: impl FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Report> {
        block_on(self.train(data, fit.into(), observe))
    }

    async fn train(
        &mut self,
        data: &Dataset,
        fit: Fit,
        mut observe: impl FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Report> {
        let (held_out, pictures) = self.split(data, fit)?;
        let steps_per_epoch = pictures.len().div_ceil(self.batch_size);
        let total_steps = fit.total_steps(steps_per_epoch);

        let optimizer = self.optimizer.as_ref();
        let step = self.step(self.spec(data), steps_per_epoch)?;
        let mut epoch = Epoch::new(&self.device, step).await?;
        epoch.prepare(data)?;
        epoch.write(&self.layout, &self.parameters(), &self.states)?;
        let held_out = data.subset(&held_out);
        let mut evaluator = match self.validation.or(held_out.as_ref()) {
            Some(set) => Some(self.evaluator(set).await?),
            None => None,
        };

        let mut report = Report { epochs: vec![], seconds: 0.0, images_per_s: 0.0, stopped: false };
        let ready = Event::Ready { steps_per_epoch: steps_per_epoch as u64, total_steps };
        report.stopped = observe(ready).is_break();
        let (first_step, mut images) = (self.steps, 0.0);
        while self.steps < first_step + total_steps && !report.stopped {
            let begun = self.steps;
            let steps = steps_per_epoch.min((first_step + total_steps - begun) as usize);
            let initial = self.watch.rate(optimizer.learning_rate());
            let rate = |i: usize| self.schedule.rate(initial, begun - first_step + i as u64, total_steps);
            let rates: Vec<f32> = (0..steps_per_epoch).map(rate).collect();
            let order = order::epoch(&pictures, self.batch_size, self.seed, self.epochs);
            let (number, mut sums) = (self.epochs + 1, Sums::default());
            let start = Instant::now();
            let ran = epoch.run(&order, &rates, begun, 0..steps, |index, row, images_per_s| {
                let report = StepReport {
                    step: begun + index as u64 + 1,
                    epoch: number,
                    loss: row[0],
                    correct: row[1],
                    counted: row[2],
                    learning_rate: rates[index],
                    images_per_s,
                };
                if !report.loss.is_finite() {
                    return Err(Error::NotFinite { value: report.loss, step: report.step, epoch: number });
                }
                sums.add(&report);
                Ok(observe(Event::Step(report)))
            });
            let (done, stopped) = ran.await?;
            let seconds = start.elapsed().as_secs_f64();
            let parameters = epoch.step.read(&epoch.session, &self.layout, self.parameters()).await?;
            if let Some(&value) = parameters.iter().find(|value| !value.is_finite()) {
                return Err(Error::NotFinite { value, step: begun + done as u64, epoch: number });
            }
            for (kept, node) in self.states.iter_mut().zip(&epoch.step.states) {
                *kept = epoch.session.read_async(*node).await?;
            }
            // What is kept is what goes on: the CPU's session holds more digits.
            epoch.write(&self.layout, &parameters, &self.states)?;
            self.steps += done as u64;
            self.epochs += 1;
            report.seconds += seconds;
            images += sums.counted;
            report.stopped = stopped;
            let validation = match &mut evaluator {
                Some(evaluator) => Some(evaluator.run_async(&parameters).await?),
                None => None,
            };
            if let (Schedule::Plateau(plateau), Some(validation)) = (&self.schedule, &validation) {
                self.watch.see(plateau, validation, optimizer.learning_rate());
            }
            let finished = EpochReport {
                epoch: number,
                loss: sums.loss / sums.counted,
                accuracy: sums.correct / sums.counted,
                validation,
                seconds,
                images_per_s: sums.counted / seconds,
                learning_rate: rates[done.max(1) - 1],
                weights_sha256: crate::weights::sha256(&self.layout, &parameters)?,
            };
            self.parameters = Some(parameters);
            report.epochs.push(finished.clone());
            report.stopped |= observe(Event::Epoch(finished)).is_break();
        }
        report.images_per_s = images / report.seconds.max(f64::MIN_POSITIVE);
        Ok(report)
    }

    /// Evaluates the network as of the last finished epoch.
    pub fn evaluate(&self, data: &Dataset) -> Result<Evaluation> {
        block_on(self.evaluate_async(data))
    }

    /// The `async` form of [`Trainer::evaluate`].
    pub async fn evaluate_async(&self, data: &Dataset) -> Result<Evaluation> {
        self.evaluator(data).await?.run_async(&self.parameters()).await
    }

    async fn evaluator(&self, data: &Dataset) -> Result<Evaluator> {
        Evaluator::within(&self.device, self.model, &self.layout, data, self.batch_size, self.resident).await
    }

    /// What lies of a set on the device at once.
    fn spec(&self, data: &Dataset) -> Spec {
        stream::spec(&self.device, data, self.batch_size, self.resident)
    }

    fn step(&self, data: Spec, steps: usize) -> Result<TrainingStep> {
        let Self { batch_size: batch, seed, precision, .. } = *self;
        let options = StepOptions { batch, steps, seed, precision };
        TrainingStep::with(self.model, &self.layout, self.optimizer.as_ref(), data, options)
    }

    fn split(&self, data: &Dataset, fit: Fit) -> Result<(Vec<u32>, Vec<u32>)> {
        self.schedule.check()?;
        if fit.validation == 0 && self.validation.is_none() && matches!(self.schedule, Schedule::Plateau(_)) {
            let expected = "at least 1 picture held out: a plateau is one of the validation's loss or accuracy";
            return Err(Error::option("validation", expected, 0));
        }
        if fit.validation >= data.len() {
            let expected = format!("below the {} pictures of the training set", data.len());
            return Err(Error::option("validation", expected, fit.validation));
        }
        let training = data.len() - fit.validation;
        if self.batch_size == 0 || self.batch_size > training {
            return Err(Error::option(
                "batch size",
                format!("1 to {training}, the training pictures"),
                self.batch_size,
            ));
        }
        Ok(order::split(data.len(), fit.validation, self.seed))
    }
}

#[derive(Default)]
struct Sums {
    loss: f64,
    correct: f64,
    counted: f64,
}

impl Sums {
    fn add(&mut self, step: &StepReport) {
        self.loss += f64::from(step.loss) * f64::from(step.counted);
        self.correct += f64::from(step.correct);
        self.counted += f64::from(step.counted);
    }
}
