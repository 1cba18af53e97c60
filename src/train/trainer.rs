//! A network being trained, and how.

use std::path::Path;

use crate::data::{Augment, Dataset, Spec, order};
use crate::device::Device;
use crate::formats::weights::check_length;
use crate::gpu::{Gpu, block_on};
use crate::graph::Precision;
use crate::infer::stream;
use crate::infer::{Evaluation, Evaluator};
use crate::nn::{Layout, Model};
use crate::optim::Optimizer;
use crate::train::callbacks::{Callback, Silent};
use crate::train::checkpoint::Checkpoint;
use crate::train::course::{Course, Position, Snapshot};
use crate::train::loops::frames::FrameTrainer;
use crate::train::plateau::Watch;
use crate::train::report::{Fit, Report, Sets};
use crate::train::step::{StepOptions, TrainingStep};
use crate::train::{ClassWeights, Schedule};
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
    pub(in crate::train) device: Device,
    pub(in crate::train) model: &'m dyn Model,
    pub(in crate::train) layout: Layout,
    pub(in crate::train) optimizer: Box<dyn Optimizer>,
    pub(in crate::train) schedule: Schedule,
    /// What the rate is multiplied by on a plateau.
    pub(in crate::train) watch: Watch,
    pub(in crate::train) batch_size: usize,
    pub(in crate::train) seed: u64,
    pub(in crate::train) precision: Precision,
    pub(in crate::train) augment: Augment,
    /// Bytes of pictures on the device at once.
    pub(in crate::train) resident: Option<u64>,
    pub(in crate::train) class_weights: Option<ClassWeights>,
    /// Steps that share an update.
    pub(in crate::train) accumulate: usize,
    pub(in crate::train) parameters: Option<Vec<f32>>,
    pub(in crate::train) states: Vec<Vec<f32>>,
    pub(in crate::train) at: Position,
    /// The run to go on with.
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
            augment: Augment::default(),
            resident: None,
            class_weights: None,
            accumulate: 1,
            parameters: None,
            states,
            at: Position::default(),
            resumed: None,
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

    /// Sets the seed of initial values, shuffling, augmentation, dropout and the validation split.
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

    /// Sets how the pictures of each step are varied, another way each time: not at all unless set. Evaluation sees them
    /// as they are.
    pub fn augment(mut self, augment: Augment) -> Self {
        self.augment = augment;
        self
    }

    /// Sets how many bytes of pictures lie on the device at most; a larger set comes window by window while the device
    /// computes, to the same results. 1 GiB unless set, or less where one binding must be smaller.
    pub fn resident(mut self, bytes: u64) -> Self {
        self.resident = Some(bytes);
        self
    }

    /// Sets what each class weighs in the loss that is trained on and reported of its steps: a `Vec` of weights, or
    /// [`ClassWeights::Balanced`] by the labels of the training pictures. Evaluation counts every picture alike.
    pub fn class_weights(mut self, weights: impl Into<ClassWeights>) -> Self {
        self.class_weights = Some(weights.into());
        self
    }

    /// Lets so many steps share an update of the weights, by the mean of their gradients over all their pictures: but for
    /// rounding that of one step with a batch so many times as large, where nothing is averaged over a batch, in the memory
    /// of a small one. An epoch's last update takes what is left.
    ///
    /// A step is still one batch, in reports, [`Fit`], schedules and checkpoints; the rate of an update is that of the first
    /// of its steps. A run that ends or is stopped between updates keeps the gradients so far in its [`Checkpoint`].
    pub fn accumulate(mut self, steps: usize) -> Self {
        self.accumulate = steps;
        self.states.resize(self.state_names().len(), vec![0.0; self.layout.trained()]);
        self
    }

    /// Where the parameters lie in the flat buffer.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All parameters as of the last checkpoint, which every finished epoch is, flat; the initial ones before.
    pub fn parameters(&self) -> Vec<f32> {
        self.parameters.clone().unwrap_or_else(|| self.layout.initial(self.seed))
    }

    /// Whether nothing was learnt yet.
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
        check_length(&self.layout, &flat)?;
        self.parameters = Some(flat);
        self.states.iter_mut().for_each(|state| state.fill(0.0));
        self.resumed = None;
        Ok(())
    }

    /// Takes up a run where a checkpoint has it: the next [`fit`](Self::fit), asked for what the run was begun with, goes on
    /// to that run's end, on the same device to the same bytes as if it had not been stopped.
    ///
    /// Errors: a checkpoint of another network or optimizer.
    pub fn resume(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let Snapshot { parameters, states, at } = &checkpoint.snapshot;
        let expected = [self.layout.total(), self.states.len() * self.layout.trained()];
        let found = [parameters.len(), states.iter().map(Vec::len).sum()];
        if found != expected {
            let words =
                |[parameters, states]: [usize; 2]| format!("{parameters} parameters and {states} values of state");
            return Err(Error::option("checkpoint", words(expected), words(found)));
        }
        (self.parameters, self.states, self.at) = (Some(parameters.clone()), states.clone(), *at);
        self.watch = checkpoint.course.watch;
        self.resumed = Some(checkpoint);
        Ok(())
    }

    /// Reads a [`Checkpoint`] of this network and optimizer from a file.
    ///
    /// Errors: it cannot be read, is damaged or of another network or optimizer, with the tensor and both shapes.
    pub fn read_checkpoint(&self, path: impl AsRef<Path>) -> Result<Checkpoint> {
        Checkpoint::load(path.as_ref(), &self.layout, &self.state_names())
    }

    /// Names of what is kept for each trained parameter from step to step.
    pub(in crate::train) fn state_names(&self) -> Vec<&'static str> {
        let accumulated = (self.accumulate > 1).then_some("accumulated");
        self.optimizer.states().iter().copied().chain(accumulated).collect()
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
        let (_, pictures) = self.split(data.into(), fit)?;
        let steps_per_epoch = pictures.len().div_ceil(self.batch_size);
        let step = self.step(data.spec(), data, &pictures)?;
        let weights = self.picture_weights(data, &pictures)?;
        let course = Course {
            pictures,
            batch: self.batch_size,
            seed: self.seed,
            schedule: self.schedule.clone(),
            learning_rate: self.watch.rate(self.optimizer.learning_rate()),
            first: self.resumed.as_ref().map_or(self.position(), |checkpoint| checkpoint.course.first),
            total_steps: fit.total_steps(steps_per_epoch),
            every: self.accumulate,
            weights,
            states: self.state_names().into_iter().map(str::to_string).collect(),
        };
        let from = Snapshot::new(self.parameters(), self.states.clone(), self.position());
        Ok((gpu.clone(), step, course, from))
    }

    /// Refuses sets and a length of training that [`Trainer::fit_with`] would refuse, before anything is made.
    pub fn check<'d>(&self, data: impl Into<Sets<'d>>, fit: impl Into<Fit>) -> Result<()> {
        let data = data.into();
        let (_, pictures) = self.split(data, fit.into())?;
        self.device.check(&self.step(self.spec(data.train), data.train, &pictures)?.graph)
    }

    /// Trains for so many epochs.
    ///
    /// Errors: see [`Trainer::fit_with`].
    pub fn fit<'d>(&mut self, data: impl Into<Sets<'d>>, fit: impl Into<Fit>) -> Result<Report> {
        self.fit_with(data, fit, Silent)
    }

    /// The `async` form of [`Trainer::fit_with`].
    pub async fn fit_async<'d>(
        &mut self,
        data: impl Into<Sets<'d>>,
        fit: impl Into<Fit>,
        callback: impl Callback,
    ) -> Result<Report> {
        self.train(data.into(), fit.into(), callback).await
    }

    /// Trains, telling `callback` of each step, epoch and checkpoint: a closure, one of the
    /// [callbacks of this crate](crate::train::callbacks), or a pair of them. It may end the run, which then keeps all finished
    /// steps.
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

    /// Evaluates the network as of the last checkpoint, which every finished epoch is.
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

    /// What lies of a set on the device at once.
    pub(in crate::train) fn spec(&self, data: &Dataset) -> Spec {
        stream::spec(&self.device, data, self.batch_size, self.resident)
    }

    /// The step over these pictures of a set, of which `spec` lies on the device at once.
    pub(in crate::train) fn step(&self, spec: Spec, data: &Dataset, pictures: &[u32]) -> Result<TrainingStep> {
        let Self { batch_size: batch, seed, precision, augment, accumulate, .. } = *self;
        let (steps, class_weights) = (pictures.len().div_ceil(batch), self.weights_of(data, pictures)?);
        let options = StepOptions { batch, steps, seed, precision, augment, class_weights, accumulate };
        TrainingStep::with(self.model, &self.layout, self.optimizer.as_ref(), spec, options)
    }

    /// What each class of a set weighs when these of its pictures are trained on, if not all the same.
    pub(in crate::train) fn weights_of(&self, data: &Dataset, pictures: &[u32]) -> Result<Option<Vec<f32>>> {
        let labels = pictures.iter().map(|&picture| data.labels[picture as usize]);
        self.class_weights.as_ref().map(|weights| weights.of(labels, data.classes)).transpose()
    }

    /// What each picture of a set weighs when these of them are trained on; none: all the same.
    pub(in crate::train) fn picture_weights(&self, data: &Dataset, pictures: &[u32]) -> Result<Vec<f32>> {
        let weights = self.weights_of(data, pictures)?;
        let of_pictures = |weights: Vec<f32>| data.labels.iter().map(|&label| weights[usize::from(label)]).collect();
        Ok(weights.map_or(vec![], of_pictures))
    }

    /// Where the next run begins: inside an epoch only if it is one that is taken up.
    pub(in crate::train) fn position(&self) -> Position {
        match &self.resumed {
            None if self.at.in_epoch > 0 => Position { epochs: self.at.epochs + 1, in_epoch: 0, ..self.at },
            _ => self.at,
        }
    }

    /// The pictures held out of the training set and the others.
    pub(in crate::train) fn split(&self, sets: Sets<'_>, fit: Fit) -> Result<(Vec<u32>, Vec<u32>)> {
        self.schedule.check()?;
        let data = sets.train;
        let refuse = |expected: &str| Err(Error::option("validation", expected, fit.validation));
        match sets.validation {
            Some(_) if fit.validation > 0 => {
                return refuse("0 pictures of the training set, for there is a set of its own");
            }
            Some(set) if (set.shape, set.classes) != (data.shape, data.classes) => {
                let words = |set: &Dataset| format!("pictures of {:?} in {} classes", set.shape, set.classes);
                return Err(Error::option("validation set", words(data), words(set)));
            }
            None if fit.validation == 0 && matches!(self.schedule, Schedule::Plateau(_)) => {
                return refuse("at least 1 picture held out: a plateau is one of the validation's loss or accuracy");
            }
            _ => {}
        }
        if fit.validation >= data.len() {
            return refuse(&format!("below the {} pictures of the training set", data.len()));
        }
        if fit.checkpoint_steps == Some(0) {
            return Err(Error::option("checkpoint steps", "at least 1", 0));
        }
        if self.accumulate == 0 || u32::try_from(self.accumulate).is_err() {
            return Err(Error::option("accumulate", format!("1 to {} steps an update", u32::MAX), self.accumulate));
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
