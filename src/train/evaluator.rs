//! Loss, accuracy and confusion over a whole set.

use super::order::whole_batches;
use super::step::{EvaluationStep, HISTORY_COLUMNS};
use crate::data::Dataset;
use crate::device::{Device, Session};
use crate::gpu::block_on;
use crate::nn::{Layout, Model};
use crate::{Error, Result};

/// How well a network does on a set.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of pictures whose most likely class is the right one.
    pub accuracy: f64,
    /// `confusion[right][given]`: how many pictures.
    pub confusion: Vec<Vec<usize>>,
}

/// A network compiled for one set on one device; each evaluation takes other parameters.
pub struct Evaluator {
    session: Session,
    step: EvaluationStep,
    labels: Vec<u8>,
    classes: usize,
    steps: usize,
}

/// Steps of one submission: enough to hide its cost, few enough to stay far below a desktop's watchdog.
const STEPS_A_SUBMISSION: usize = 8;

impl Evaluator {
    /// Compiles `model` for `data` and puts the pictures on the device.
    ///
    /// Errors: a batch of 0; data that does not fit the model; a device too small.
    pub fn new(device: &Device, model: &dyn Model, layout: &Layout, data: &Dataset, batch: usize) -> Result<Self> {
        block_on(Self::new_async(device, model, layout, data, batch))
    }

    /// The `async` form of [`Evaluator::new`].
    pub async fn new_async(
        device: &Device,
        model: &dyn Model,
        layout: &Layout,
        data: &Dataset,
        batch: usize,
    ) -> Result<Self> {
        if batch == 0 {
            return Err(Error::option("batch size", "at least 1", batch));
        }
        let batch = batch.min(data.len());
        let step = EvaluationStep::new(model, layout, data.spec(), batch)?;
        let mut session = Session::new_async(device, &step.graph).await?;
        session.write(step.batches.pictures, &*data.bytes()?)?;
        session.write(step.batches.labels, data.labels.as_slice())?;
        let order = whole_batches((0..data.len() as u32).collect(), batch);
        session.write(step.batches.order, order.as_slice())?;
        let steps = order.len() / batch;
        Ok(Self { session, step, labels: data.labels.clone(), classes: data.classes, steps })
    }

    /// Evaluates the network with these parameters.
    pub fn run(&mut self, parameters: &[f32]) -> Result<Evaluation> {
        block_on(self.run_async(parameters))
    }

    /// The `async` form of [`Evaluator::run`].
    pub async fn run_async(&mut self, parameters: &[f32]) -> Result<Evaluation> {
        let batches = self.step.batches;
        self.session.write(self.step.parameters, parameters)?;
        self.session.write(batches.step, [0u32].as_slice())?;
        let mut done = 0;
        while done < self.steps {
            let steps = STEPS_A_SUBMISSION.min(self.steps - done);
            self.session.run(steps);
            done += steps;
        }
        let history = self.session.read_async(batches.history).await?;
        let classes = self.session.read_async(self.step.classes).await?;
        // Each row holds the mean over its own pictures.
        let (mut loss, mut correct, mut counted) = (0.0, 0.0, 0.0);
        for row in history.chunks(HISTORY_COLUMNS) {
            loss += f64::from(row[0]) * f64::from(row[2]);
            correct += f64::from(row[1]);
            counted += f64::from(row[2]);
        }
        let mut confusion = vec![vec![0; self.classes]; self.classes];
        for (&right, &given) in self.labels.iter().zip(&classes) {
            confusion[usize::from(right)][given as usize] += 1;
        }
        Ok(Evaluation { loss: loss / counted, accuracy: correct / counted, confusion })
    }
}
