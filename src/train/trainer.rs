//! The trainer: a network, its optimizer and the settings of its training.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::data::{Augment, Dataset, Spec, order};
use crate::device::Device;
use crate::formats::weights::check_length;
use crate::gpu::block_on;
use crate::graph::Precision;
use crate::infer::stream;
use crate::infer::{Evaluation, Evaluator};
use crate::nn::{Layout, Model};
use crate::optim::Optimizer;
use crate::train::checkpoint::{Checkpoint, History};
use crate::train::class_weights::ClassWeights;
use crate::train::course::Course;
use crate::train::fit::{Fit, Sets};
use crate::train::plateau::PlateauState;
use crate::train::schedule::Schedule;
use crate::train::snapshot::{Position, Snapshot};
use crate::train::step::{StepOptions, TrainingStep};
use crate::{Error, Result};

/// Training of a network: its parameters, optimizer, device and settings.
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
    pub(in crate::train) device: Device,
    pub(in crate::train) model: &'m dyn Model,
    pub(in crate::train) layout: Layout,
    pub(in crate::train) optimizer: Box<dyn Optimizer>,
    pub(in crate::train) schedule: Schedule,
    /// State of a plateau schedule.
    pub(in crate::train) plateau: PlateauState,
    pub(in crate::train) batch_size: usize,
    pub(in crate::train) seed: u64,
    pub(in crate::train) precision: Precision,
    pub(in crate::train) augment: Augment,
    /// Device memory for images in bytes.
    pub(in crate::train) resident: Option<u64>,
    pub(in crate::train) class_weights: Option<ClassWeights>,
    /// Micro-batches per update.
    pub(in crate::train) accumulate: usize,
    /// Parameters that were trained or set.
    pub(in crate::train) parameters: Option<Arc<[f32]>>,
    /// Initial parameters, drawn on first use.
    initial: OnceLock<Arc<[f32]>>,
    pub(in crate::train) states: Arc<Vec<Vec<f32>>>,
    pub(in crate::train) at: Position,
    /// Checkpoint to resume.
    pub(in crate::train) resumed: Option<Checkpoint>,
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
        let states = Arc::new(vec![vec![0.0; layout.trained()]; optimizer.states().len()]);
        Ok(Self {
            device: device.into(),
            model,
            layout,
            optimizer,
            schedule: Schedule::Constant,
            plateau: PlateauState::default(),
            batch_size: 64,
            seed: 1,
            precision: Precision::F32,
            augment: Augment::default(),
            resident: None,
            class_weights: None,
            accumulate: 1,
            parameters: None,
            initial: OnceLock::new(),
            states,
            at: Position::default(),
            resumed: None,
        })
    }

    /// Sets the number of images per step.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Sets the learning rate schedule.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self.plateau = PlateauState::default();
        self
    }

    /// Sets the seed of initial values, shuffling, augmentation, dropout and the validation split.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self.initial = OnceLock::new();
        self
    }

    /// Sets the storage precision of the values between the operations of a training step, which the device must support:
    /// f32 by default. Parameters and evaluation are always f32.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Sets the random augmentation of the training images: none by default. Evaluation sees the images as they are.
    pub fn augment(mut self, augment: Augment) -> Self {
        self.augment = augment;
        self
    }

    /// Sets the device memory for images in bytes. A larger set is streamed while the device computes, with the same
    /// results. 1 GiB by default, or the largest binding of the device if that is smaller.
    pub fn resident(mut self, bytes: u64) -> Self {
        self.resident = Some(bytes);
        self
    }

    /// Sets the class weights of the training loss, which step reports contain too: a `Vec` of weights, or
    /// [`ClassWeights::Balanced`] for the inverse class frequency. Evaluation weighs all images the same.
    pub fn class_weights(mut self, weights: impl Into<ClassWeights>) -> Self {
        self.class_weights = Some(weights.into());
        self
    }

    /// Sets gradient accumulation: each update takes the mean gradient of `micro_batches` steps over all their images. Up
    /// to rounding, and but for layers that average over the batch, that is one step with a batch `micro_batches` times as
    /// large, in the memory of a small one. An epoch's last update may have fewer.
    ///
    /// A step is still one micro-batch in reports, [`Fit`], schedules and checkpoints; the rate of an update is that of the
    /// first of its steps. A run that ends between updates keeps the accumulated gradients in its [`Checkpoint`].
    pub fn accumulate(mut self, micro_batches: usize) -> Self {
        self.accumulate = micro_batches;
        let (states, zeros) = (self.state_names().len(), vec![0.0; self.layout.trained()]);
        Arc::make_mut(&mut self.states).resize(states, zeros);
        self
    }

    /// Ranges of the parameters in the flat buffer.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All parameters, flat, as of the last checkpoint or finished epoch; before the first, the initial ones. Shared, not
    /// copied.
    pub fn parameters(&self) -> Arc<[f32]> {
        let initial = || self.initial.get_or_init(|| self.layout.initial(self.seed).into());
        self.parameters.as_ref().unwrap_or_else(initial).clone()
    }

    /// Whether the parameters are the initial ones.
    pub fn is_untrained(&self) -> bool {
        self.parameters.is_none()
    }

    /// Moves the training to another device, from the last finished epoch: after a device was lost.
    pub fn set_device(&mut self, device: impl Into<Device>) {
        self.device = device.into();
    }

    /// Sets all parameters, flat, in place of random initial ones, and the optimizer state to 0.
    ///
    /// Errors: values of another layout.
    pub fn set_parameters(&mut self, flat: impl Into<Arc<[f32]>>) -> Result<()> {
        let flat = flat.into();
        check_length(&self.layout, &flat)?;
        self.parameters = Some(flat);
        self.states = Arc::new(vec![vec![0.0; self.layout.trained()]; self.states.len()]);
        self.resumed = None;
        Ok(())
    }

    /// Resumes a run from a checkpoint: the next [`fit`](Self::fit) with the run's settings continues to its end, on the
    /// same device to the same bytes as without the interruption.
    ///
    /// Errors: a checkpoint of another network or optimizer.
    pub fn resume(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let Snapshot { parameters, states, at } = &checkpoint.snapshot;
        let expected = [self.layout.total(), self.states.len() * self.layout.trained()];
        let found = [parameters.len(), states.iter().map(Vec::len).sum()];
        if found != expected {
            let text =
                |[parameters, states]: [usize; 2]| format!("{parameters} parameters and {states} values of state");
            return Err(Error::option("checkpoint", text(expected), text(found)));
        }
        (self.parameters, self.states, self.at) = (Some(parameters.clone()), states.clone(), *at);
        self.plateau = checkpoint.history.plateau;
        self.resumed = Some(checkpoint);
        Ok(())
    }

    /// Reads a [`Checkpoint`] of this network and optimizer from a file.
    ///
    /// Errors: the file cannot be read, is damaged, or is of another network or optimizer; the message has the tensor and
    /// both shapes.
    pub fn read_checkpoint(&self, path: impl AsRef<Path>) -> Result<Checkpoint> {
        Checkpoint::load(path.as_ref(), &self.layout, &self.state_names())
    }

    /// Names of the values that each trained parameter keeps from step to step.
    pub(in crate::train) fn state_names(&self) -> Vec<&'static str> {
        let accumulated = (self.accumulate > 1).then_some("accumulated");
        self.optimizer.states().iter().copied().chain(accumulated).collect()
    }

    /// The state of the training between two steps.
    pub(in crate::train) fn snapshot(&self) -> Snapshot {
        Snapshot { parameters: self.parameters(), states: self.states.clone(), at: self.at }
    }

    /// The course of the run that `fit` asks for, and the indices of the images held out for validation.
    ///
    /// Errors: those of [`Trainer::check`]; a checkpoint that lies behind the last step of an epoch.
    pub(in crate::train) fn course(&self, sets: Sets<'_>, fit: Fit) -> Result<(Course, Vec<u32>)> {
        let (held_out, images) = self.split(sets, fit)?;
        let steps_per_epoch = images.len().div_ceil(self.batch_size);
        let at = self.position();
        if at.in_epoch > steps_per_epoch {
            let expected = format!("a step of an epoch of {steps_per_epoch} steps, as this set and this batch have");
            return Err(Error::option("checkpoint", expected, at.in_epoch));
        }
        let first = self.resumed.as_ref().map_or(at, |checkpoint| checkpoint.history.first);
        let course = Course {
            image_weights: self.image_weights(sets.train, &images)?,
            images,
            batch: self.batch_size,
            seed: self.seed,
            schedule: self.schedule.clone(),
            learning_rate: self.learning_rate(),
            first,
            end: first.steps + fit.total_steps(steps_per_epoch),
            micro_batches: self.accumulate,
            states: self.state_names().into_iter().map(str::to_string).collect(),
        };
        Ok((course, held_out))
    }

    /// The history of the run to resume, or of a new one.
    pub(in crate::train) fn history(&self) -> History {
        let new = || History { first: self.position(), plateau: self.plateau, ..History::default() };
        self.resumed.as_ref().map_or_else(new, |checkpoint| checkpoint.history.clone())
    }

    /// The rate that the schedule starts from, lowered by a plateau.
    pub(in crate::train) fn learning_rate(&self) -> f32 {
        self.plateau.rate(self.optimizer.learning_rate())
    }

    /// Checks sets and options of [`Trainer::fit_with`] without preparing anything.
    ///
    /// Errors: those of [`Trainer::fit_with`] that are known before the first step.
    pub fn check<'d>(&self, data: impl Into<Sets<'d>>, fit: impl Into<Fit>) -> Result<()> {
        let data = data.into();
        let (_, images) = self.split(data, fit.into())?;
        self.device.check(&self.step(self.spec(data.train), data.train, &images)?.graph)
    }

    /// Evaluates the network as of the last checkpoint or finished epoch.
    ///
    /// Errors: those of [`Evaluator::new`] and [`Evaluator::run`].
    pub fn evaluate(&self, data: &Dataset) -> Result<Evaluation> {
        block_on(self.evaluate_async(data))
    }

    /// The `async` form of [`Trainer::evaluate`].
    pub async fn evaluate_async(&self, data: &Dataset) -> Result<Evaluation> {
        self.evaluator(data).await?.run_async(&self.parameters()).await
    }

    pub(in crate::train) async fn evaluator(&self, data: &Dataset) -> Result<Evaluator> {
        Evaluator::within(&self.device, self.model, &self.layout, data, self.batch_size, self.resident).await
    }

    /// The resident part of a set.
    pub(in crate::train) fn spec(&self, data: &Dataset) -> Spec {
        stream::spec(&self.device, data, self.batch_size, self.resident)
    }

    /// The training step over these images of a set, of which `spec` is the resident part.
    pub(in crate::train) fn step(&self, spec: Spec, data: &Dataset, images: &[u32]) -> Result<TrainingStep> {
        let Self { batch_size: batch, seed, precision, augment, accumulate, .. } = *self;
        let (steps, class_weights) = (images.len().div_ceil(batch), self.weights_of_classes(data, images)?);
        let options = StepOptions { batch, steps, seed, precision, augment, class_weights, accumulate };
        TrainingStep::with(self.model, &self.layout, self.optimizer.as_ref(), spec, options)
    }

    /// Class weights for these training images of a set, if any are set.
    fn weights_of_classes(&self, data: &Dataset, images: &[u32]) -> Result<Option<Vec<f32>>> {
        let labels = images.iter().map(|&image| data.labels[image as usize]);
        self.class_weights.as_ref().map(|weights| weights.of(labels, data.classes)).transpose()
    }

    /// Weight of each image of a set of which these are trained on; empty if all weigh the same.
    fn image_weights(&self, data: &Dataset, images: &[u32]) -> Result<Vec<f32>> {
        let weights = self.weights_of_classes(data, images)?;
        let of_images = |weights: Vec<f32>| data.labels.iter().map(|&label| weights[usize::from(label)]).collect();
        Ok(weights.map_or(vec![], of_images))
    }

    /// Position at the start of the next run: inside an epoch only if the run is resumed.
    pub(in crate::train) fn position(&self) -> Position {
        match &self.resumed {
            None if self.at.in_epoch > 0 => self.at.next_epoch(),
            _ => self.at,
        }
    }

    /// Indices of the images held out of the training set, and of the others.
    fn split(&self, sets: Sets<'_>, fit: Fit) -> Result<(Vec<u32>, Vec<u32>)> {
        self.schedule.check()?;
        let data = sets.train;
        let refuse = |expected: &str| Err(Error::option("validation", expected, fit.validation));
        match sets.validation {
            Some(_) if fit.validation > 0 => {
                return refuse("0 images of the training set beside a separate validation set");
            }
            Some(set) if (set.shape, set.classes) != (data.shape, data.classes) => {
                let text = |set: &Dataset| format!("images of {:?} in {} classes", set.shape, set.classes);
                return Err(Error::option("validation set", text(data), text(set)));
            }
            None if fit.validation == 0 && matches!(self.schedule, Schedule::Plateau(_)) => {
                return refuse("at least 1 image held out, as the plateau schedule monitors the validation");
            }
            _ => {}
        }
        if fit.validation >= data.len() {
            return refuse(&format!("below the {} images of the training set", data.len()));
        }
        if fit.checkpoint_steps == Some(0) {
            return Err(Error::option("checkpoint steps", "at least 1", 0));
        }
        if self.accumulate == 0 || u32::try_from(self.accumulate).is_err() {
            return Err(Error::option(
                "accumulate",
                format!("1 to {} micro-batches per update", u32::MAX),
                self.accumulate,
            ));
        }
        let training = data.len() - fit.validation;
        if self.batch_size == 0 || self.batch_size > training {
            return Err(Error::option("batch size", format!("1 to {training}, the training images"), self.batch_size));
        }
        Ok(order::split(data.len(), fit.validation, self.seed))
    }
}
