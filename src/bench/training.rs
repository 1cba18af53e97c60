//! Whole training steps.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::bench::pictures::{IMAGES, parameters, pictures};
use crate::bench::{Preparation, Spread};
use crate::device::Session;
use crate::gpu::block_on;
use crate::nn::{Layout, Model, Summary};
use crate::optim::Optimizer;
use crate::plan::{Launch, Step};
use crate::shape::Shape;
use crate::train::{Epoch, EpochInputs, StepOptions, TrainingStep};
use crate::{Device, Error, Precision, Result};

/// Steps whose losses are compared with the CPU's.
const COMPARED: usize = 3;
/// How far they may be apart, relatively: three updates carry the rounding of sums of some thousand terms.
const TOLERANCE: f64 = 1e-3;
/// The same in f16: each value on the way is rounded to 11 bits.
const HALF_TOLERANCE: f64 = 1e-2;

/// A network in training on [`pictures`], in order, without validation.
pub struct Training {
    pub(super) epoch: Epoch,
    order: Vec<u32>,
    rates: Vec<f32>,
    begun: usize,
    /// What [`Training::new`] took.
    pub preparation: Preparation,
    /// Losses of the steps so far.
    pub losses: Vec<f32>,
}

/// Steps that were timed together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// How many.
    pub steps: usize,
    /// From the first submission to the last step's loss on the host.
    pub wall: Duration,
    /// Processor time of the thread that fed the device.
    pub host: Duration,
}

/// One dispatch of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct DispatchTime {
    /// Layer, operation and shader of all that it does.
    pub parts: Vec<[String; 3]>,
    /// The device's time in milliseconds.
    pub ms: f64,
}

/// Where the device's time of a step goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Each dispatch by itself.
    pub dispatches: Vec<DispatchTime>,
    /// A whole step in one pass, in milliseconds.
    pub step_ms: f64,
}

impl Profile {
    /// All dispatches, one by one, in milliseconds.
    pub fn sum_ms(&self) -> f64 {
        self.dispatches.iter().map(|d| d.ms).sum()
    }

    /// What a step takes beyond its dispatches; below 0 where they overlap.
    pub fn between_ms(&self) -> f64 {
        self.step_ms - self.sum_ms()
    }
}

impl Training {
    /// Compiles the step and puts data and parameters on the device.
    ///
    /// Errors: a network that does not tell classes of pictures; a batch of 0 or over [`IMAGES`]; a device too
    /// small.
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
        let data = pictures(picture_shape(model)?, classes(model)?)?;
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

    /// Dispatches of a step; `None` on the CPU.
    pub fn dispatches(&self) -> Option<usize> {
        self.epoch.session.dispatches()
    }

    /// Steps of one pass over the pictures.
    pub fn steps_per_epoch(&self) -> usize {
        self.rates.len()
    }

    /// Trains for so many steps.
    ///
    /// Errors: the device fails; a loss that is not finite.
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

    /// Compares the first steps with the CPU's, from the same parameters on the same pictures.
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

    /// The device's times of a step, the median of `rounds`. `None` on the CPU.
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

/// Refuses a batch that the pictures do not fill.
pub(super) fn check_batch(batch: usize) -> Result<()> {
    match (1..=IMAGES).contains(&batch) {
        true => Ok(()),
        false => Err(Error::option("batch size", format!("1 to {IMAGES}"), batch)),
    }
}

/// How many classes a network tells apart.
pub(super) fn classes(model: &dyn Model) -> Result<usize> {
    Ok(Summary::of(model)?.output.last().copied().unwrap_or(1))
}

/// The channels, height and width a network takes.
pub(super) fn picture_shape(model: &dyn Model) -> Result<[usize; 3]> {
    let shape: Shape = model.input();
    <[usize; 3]>::try_from(&shape[..]).map_err(|_| Error::option("model input", "[C, H, W]", &shape))
}
