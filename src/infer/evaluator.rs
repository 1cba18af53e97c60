//! Evaluation: loss, accuracy and confusion matrix over a data set, counted on the device.

use serde::{Deserialize, Serialize};

use crate::data::Dataset;
use crate::data::order::whole_batches;
use crate::device::{Device, Session};
use crate::gpu::block_on;
use crate::infer::batches::{EvaluationStep, HISTORY_COLUMNS};
use crate::infer::stream;
use crate::infer::stream::Stream;
use crate::nn::{Layout, Model};
use crate::{Error, Result};

/// Metrics of a network on a data set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean cross-entropy, without class weights.
    #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
    pub loss: f64,
    /// Fraction of images whose most likely class is the true one.
    pub accuracy: f64,
    /// Fraction of images whose true class is among the five most likely ones.
    #[serde(default)]
    pub top5: f64,
    /// Confusion matrix: `confusion[t][p]` is the number of images of class `t` predicted as `p`. Not in checkpoints.
    #[serde(skip)]
    pub confusion: Vec<Vec<usize>>,
    /// Number of images of each class without a prediction, as their logits contain NaN; they count as wrong. Not in
    /// checkpoints.
    #[serde(skip)]
    pub undecided: Vec<usize>,
}

impl Evaluation {
    /// The metrics of a mean loss and a [tally](crate::ops::training::tally), one row per class.
    fn new(loss: f64, tally: &[Vec<usize>]) -> Self {
        let classes = tally.len();
        let fraction = |count: usize, all: usize| count as f64 / all as f64;
        let images = tally.iter().flat_map(|row| &row[..=classes]).sum();
        let right = (0..classes).map(|class| tally[class][class]).sum();
        Self {
            loss,
            accuracy: fraction(right, images),
            top5: fraction(tally.iter().map(|row| row[classes + 1]).sum(), images),
            confusion: tally.iter().map(|row| row[..classes].to_vec()).collect(),
            undecided: tally.iter().map(|row| row[classes]).collect(),
        }
    }

    /// Number of images of a class.
    pub fn images(&self, class: usize) -> usize {
        self.confusion[class].iter().sum::<usize>() + self.undecided[class]
    }

    /// Precision of a class: the fraction of images predicted as this class that belong to it; `None` if there are none.
    pub fn precision(&self, class: usize) -> Option<f64> {
        self.correct_of(class, self.predicted(class))
    }

    /// Recall of a class: the fraction of its images that are predicted as this class; `None` if there are none.
    pub fn recall(&self, class: usize) -> Option<f64> {
        self.correct_of(class, self.images(class))
    }

    /// F1 score of a class, the harmonic mean of precision and recall; `None` if no image belongs to the class or is
    /// predicted as it.
    pub fn f1(&self, class: usize) -> Option<f64> {
        self.correct_of(class, self.predicted(class) + self.images(class)).map(|half| 2.0 * half)
    }

    /// Number of images predicted as a class.
    fn predicted(&self, class: usize) -> usize {
        self.confusion.iter().map(|row| row[class]).sum()
    }

    /// Correct predictions of a class as a fraction of `of`.
    fn correct_of(&self, class: usize, of: usize) -> Option<f64> {
        (of > 0).then(|| self.confusion[class][class] as f64 / of as f64)
    }
}

/// A network compiled for evaluation on one data set and one device, with parameters given to each evaluation.
pub struct Evaluator {
    session: Session,
    step: EvaluationStep,
    classes: usize,
    order: Vec<u32>,
    batch: usize,
    /// The data set, if it is streamed.
    stream: Option<Stream>,
}

/// Steps per submission: enough to hide its cost, few enough to stay far below the time after which desktops reset a GPU.
const STEPS_PER_SUBMISSION: usize = 8;

impl Evaluator {
    /// Compiles `model` for `data` and writes the images to the device.
    ///
    /// Errors: a batch of 0; data that does not fit the model; a device too small.
    pub fn new(device: &Device, model: &dyn Model, layout: &Layout, data: &Dataset, batch: usize) -> Result<Self> {
        block_on(Self::new_async(device, model, layout, data, batch))
    }

    /// The `async` form of [`Evaluator::new`].
    ///
    /// Errors: see [`Evaluator::new`].
    pub async fn new_async(
        device: &Device,
        model: &dyn Model,
        layout: &Layout,
        data: &Dataset,
        batch: usize,
    ) -> Result<Self> {
        Self::within(device, model, layout, data, batch, None).await
    }

    /// As [`Evaluator::new_async`], with at most `most` bytes of images on the device.
    pub(crate) async fn within(
        device: &Device,
        model: &dyn Model,
        layout: &Layout,
        data: &Dataset,
        batch: usize,
        most: Option<u64>,
    ) -> Result<Self> {
        if batch == 0 {
            return Err(Error::option("batch size", "at least 1", batch));
        }
        let batch = batch.min(data.len());
        let spec = stream::spec(device, data, batch, most);
        let step = EvaluationStep::within(model, layout, spec, data.len().div_ceil(batch), batch)?;
        let mut session = Session::new_async(device, &step.graph).await?;
        let stream = Stream::of(&mut session, &step.batches, data, spec.len)?;
        let order = whole_batches((0..data.len() as u32).collect(), batch);
        let places = stream.as_ref().map(|stream| stream.places(&order));
        session.write(step.batches.order, places.as_deref().unwrap_or(&order))?;
        Ok(Self { session, step, classes: data.classes, order, batch, stream })
    }

    /// Evaluates the network with these parameters, flat.
    ///
    /// Errors: parameters of another layout; images cannot be read; the device is lost.
    pub fn run(&mut self, parameters: &[f32]) -> Result<Evaluation> {
        block_on(self.run_async(parameters))
    }

    /// The `async` form of [`Evaluator::run`].
    ///
    /// Errors: see [`Evaluator::run`].
    pub async fn run_async(&mut self, parameters: &[f32]) -> Result<Evaluation> {
        let (batches, columns) = (self.step.batches, self.classes + 2);
        self.session.write(self.step.parameters, parameters)?;
        self.session.write(batches.step, [0u32].as_slice())?;
        self.session.write(self.step.tally, vec![0u32; self.classes * columns].as_slice())?;
        let steps = self.order.len() / self.batch;
        let mut windows =
            self.stream.as_ref().map(|stream| stream.begin(self.order.clone(), self.batch, 0..steps)).transpose()?;
        let (mut done, mut previous) = (0, None);
        while done < steps {
            let mut count = STEPS_PER_SUBMISSION.min(steps - done);
            if let Some(windows) = &mut windows {
                count = count.min(windows.follow(&mut self.session, &batches, done).await?);
                // The queue holds windows that are not written yet: two at most.
                let reading = self.session.run_and_read(count, batches.history)?;
                if let Some(previous) = previous.replace(reading) {
                    self.session.finish_reading_async(previous).await?;
                }
            } else {
                self.session.run(count);
            }
            done += count;
        }
        let history = self.session.read_async(batches.history).await?;
        let tally = self.session.read_f64_async(self.step.tally).await?;
        // Each row holds the mean over its images.
        let (mut loss, mut counted) = (0.0, 0.0);
        for row in history.chunks(HISTORY_COLUMNS) {
            loss += f64::from(row[0]) * f64::from(row[2]);
            counted += f64::from(row[2]);
        }
        let tally: Vec<Vec<usize>> =
            tally.chunks(columns).map(|row| row.iter().map(|&count| count as usize).collect()).collect();
        Ok(Evaluation::new(loss / counted, &tally))
    }
}
