//! Benchmarks of whole training steps.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::bench::images::{IMAGES, images, parameters};
use crate::bench::{Preparation, Spread};
use crate::device::Session;
use crate::gpu::block_on;
use crate::nn::{Layout, Model, Summary};
use crate::optim::Optimizer;
use crate::plan::{Launch, Step};
use crate::shape::Shape;
use crate::train::{Epoch, EpochInputs, StepOptions, TrainingStep};
use crate::{Device, Error, Precision, Result};

/// Number of steps whose losses are compared with the CPU's.
const COMPARED: usize = 3;
/// Maximum relative difference of the losses: three updates accumulate the rounding of sums of about a thousand terms.
const TOLERANCE: f64 = 1e-3;
/// The same for f16 storage, which rounds each intermediate value to 11 bits.
const HALF_TOLERANCE: f64 = 1e-2;

/// A network trained on [`images`], in order, without validation.
pub struct Training {
    pub(super) epoch: Epoch,
    order: Vec<u32>,
    rates: Vec<f32>,
    begun: usize,
    /// Setup times of [`Training::new`].
    pub preparation: Preparation,
    /// Losses of the steps so far.
    pub losses: Vec<f32>,
}

/// Steps timed together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// Number of steps.
    pub steps: usize,
    /// Wall time from the first submission until the last step's loss is on the host.
    pub wall: Duration,
    /// Processor time of the thread that feeds the device.
    pub host: Duration,
}

/// The time of one dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct DispatchTime {
    /// Layer, operation and shader of each part.
    pub parts: Vec<[String; 3]>,
    /// Device time in milliseconds.
    pub ms: f64,
}

/// Device times of one training step.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Each dispatch, timed separately.
    pub dispatches: Vec<DispatchTime>,
    /// A whole step in one pass, in milliseconds.
    pub step_ms: f64,
}

impl Profile {
    /// The sum of all dispatch times, in milliseconds.
    pub fn sum_ms(&self) -> f64 {
        self.dispatches.iter().map(|d| d.ms).sum()
    }

    /// The time of a step beyond the sum of its dispatches, in milliseconds; negative if they overlap.
    pub fn between_ms(&self) -> f64 {
        self.step_ms - self.sum_ms()
    }
}

impl Training {
    /// Compiles the training step and uploads data and parameters.
    ///
    /// Errors: a network that is not an image classifier; a batch size of 0 or above [`IMAGES`]; a limit of the device
    /// is exceeded.
    pub fn new(
        device: &Device,
        model: &dyn Model,
        optimizer: &dyn Optimizer,
        batch: usize,
        precision: Precision,
    ) -> Result<Self> {
        let start = Instant::now();
        check_batch(batch)?;
        optimizer.check()?;
        let data = images(image_shape(model)?, classes(model)?)?;
        let layout = Layout::of(model)?;
        let steps = IMAGES / batch;
        let options = StepOptions { precision, ..StepOptions::new(batch, steps) };
        let step = TrainingStep::with(model, &layout, optimizer, data.spec(), options)?;
        let states = vec![vec![0.0; layout.trained()]; optimizer.states().len()];
        let before = Instant::now();
        let mut epoch = block_on(Epoch::new(device, step))?;
        let made = Instant::now();
        epoch.prepare(&data)?;
        epoch.write(&layout, &parameters(&layout), &states)?;
        let order = (0..(steps * batch) as u32).collect();
        let rates = vec![optimizer.learning_rate(); steps];
        let preparation = Preparation::of(start, [before, made]);
        Ok(Self { epoch, order, rates, begun: 0, preparation, losses: vec![] })
    }

    /// Dispatches per step; `None` on the CPU.
    pub fn dispatches(&self) -> Option<usize> {
        self.epoch.session.dispatches()
    }

    /// Steps per pass over the images.
    pub fn steps_per_epoch(&self) -> usize {
        self.rates.len()
    }

    /// Trains for `steps` steps.
    ///
    /// Errors: the device fails; a loss is not finite.
    pub fn run(&mut self, steps: usize) -> Result<Stretch> {
        let (start, host) = (Instant::now(), ThreadTime::now());
        let mut left = steps;
        while left > 0 {
            let at = self.begun % self.steps_per_epoch();
            let count = left.min(self.steps_per_epoch() - at);
            let losses = &mut self.losses;
            let hear = |_: usize, row: &[f32], _: f64| {
                losses.push(row[0]);
                Ok(ControlFlow::Continue(()))
            };
            let begun = (self.begun - at) as u64;
            let inputs = EpochInputs { order: &self.order, rates: &self.rates, weights: &[], begun, updates: begun };
            let run = self.epoch.run(inputs, at..at + count, hear);
            block_on(run)?;
            self.begun += count;
            left -= count;
        }
        let (wall, host) = (start.elapsed(), host.elapsed());
        match self.losses.iter().rev().take(steps).find(|l| !l.is_finite()) {
            Some(&value) => Err(Error::NotFinite { value, step: self.begun as u64, epoch: 1, first: String::new() }),
            None => Ok(Stretch { steps, wall, host }),
        }
    }

    /// Compares the first steps with the CPU's, from the same parameters on the same images.
    ///
    /// Errors: they differ.
    pub fn check(
        device: &Device,
        model: &dyn Model,
        optimizer: &dyn Optimizer,
        batch: usize,
        precision: Precision,
    ) -> Result<()> {
        if let Device::Cpu = device {
            return Ok(());
        }
        let losses = |device: &Device, precision| {
            let mut training = Self::new(device, model, optimizer, batch, precision)?;
            training.run(COMPARED)?;
            Ok::<_, Error>(training.losses)
        };
        let (got, want) = (losses(device, precision)?, losses(&Device::Cpu, Precision::F32)?);
        let tolerance = if precision == Precision::F16 { HALF_TOLERANCE } else { TOLERANCE };
        let apart = |(g, w): (&f32, &f32)| f64::from((g - w).abs()) > tolerance * f64::from(w.abs());
        match got.iter().zip(&want).position(apart) {
            None => Ok(()),
            Some(at) => Err(Error::Gpu {
                what: format!("{} on {}", model.name(), device.describe()),
                reason: format!(
                    "the loss of step {} is {}, the reference's is {}; `lenslet doctor` and `lenslet diff {}` find the \
                     kernel",
                    at + 1,
                    got[at],
                    want[at],
                    model.name()
                ),
            }),
        }
    }

    /// Device times of a step, the median of `rounds`. `None` on the CPU.
    ///
    /// Errors: the device fails.
    pub fn profile(&mut self, rounds: usize) -> Result<Option<Profile>> {
        let Session::Gpu(session) = &self.epoch.session else { return Ok(None) };
        let (gpu, replay) = (session.gpu(), session.replay());
        let rounds = 0..rounds.max(1);
        let (mut times, mut steps) = (vec![], vec![]);
        for _ in rounds {
            times.push(replay.time(gpu)?);
            steps.push(replay.time_steps(gpu, 1)?);
        }
        let parts = |step: &Step| [step.name.clone(), step.op.to_string(), step.dispatch.shader.name.to_string()];
        let row = |(at, launch): (usize, Launch<'_>)| DispatchTime {
            parts: launch.steps.iter().map(parts).collect(),
            ms: Spread::of_ms(times.iter().map(|t| t[at])).median,
        };
        let dispatches = session.plan().launches().enumerate().map(row).collect();
        Ok(Some(Profile { dispatches, step_ms: Spread::of_ms(steps).median }))
    }
}

/// Refuses a batch size of 0 or above the number of images.
pub(super) fn check_batch(batch: usize) -> Result<()> {
    match (1..=IMAGES).contains(&batch) {
        true => Ok(()),
        false => Err(Error::option("batch size", format!("1 to {IMAGES}"), batch)),
    }
}

/// The number of classes of a classifier.
pub(super) fn classes(model: &dyn Model) -> Result<usize> {
    Ok(Summary::of(model)?.output.last().copied().unwrap_or(1))
}

/// The channels, height and width of a network's input.
pub(super) fn image_shape(model: &dyn Model) -> Result<[usize; 3]> {
    let shape: Shape = model.input();
    <[usize; 3]>::try_from(&shape[..]).map_err(|_| Error::option("model input", "[C, H, W]", &shape))
}
