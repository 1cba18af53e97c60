//! LeNet-5 trained on MNIST in a web page, between its frames. `index.html` fetches the data and shows the results.

use std::time::Duration;

use lenslet::data::Dataset;
use lenslet::optim::Sgd;
use lenslet::infer::Evaluator;
use lenslet::{Device, FrameTrainer, Gpu, Trainer, models};
use wasm_bindgen::prelude::*;

type Result<T> = std::result::Result<T, JsError>;

/// A training run.
#[wasm_bindgen]
pub struct Training {
    frames: FrameTrainer,
    evaluator: Evaluator,
}

/// The results of one frame's training.
#[wasm_bindgen]
#[derive(Clone, Copy)]
pub struct Frame {
    /// Completed steps so far.
    pub steps: u32,
    /// Number of images whose losses arrived in this frame.
    pub images: f64,
    /// The sum of their losses.
    pub loss: f64,
    /// The number of them that were classified correctly.
    pub correct: f64,
    /// Whether all epochs are complete.
    pub is_finished: bool,
}

#[wasm_bindgen]
impl Training {
    /// Uploads network and images to the GPU. The data are MNIST's IDX files, uncompressed.
    pub async fn begin(
        images: &[u8],
        labels: &[u8],
        test_images: &[u8],
        test_labels: &[u8],
        epochs: u32,
    ) -> Result<Training> {
        let (train, test) = (part(images, labels)?, part(test_images, test_labels)?);
        let gpu = Gpu::new_async().await?;
        let model = models::lenet5();
        let trainer = Trainer::new(&gpu, &model, Sgd::new(0.05).momentum(0.9))?.batch_size(64);
        let frames = trainer.in_frames_async(&train, epochs).await?;
        let evaluator = Evaluator::new_async(&Device::from(&gpu), &model, trainer.layout(), &test, 250).await?;
        Ok(Training { frames, evaluator })
    }

    /// Trains for about `milliseconds`; a step may be interrupted and continue in the next call.
    pub async fn train_for(&mut self, milliseconds: f64) -> Result<Frame> {
        let progress = self.frames.train_for_async(Duration::from_secs_f64(milliseconds / 1e3)).await?;
        let sum = |of: fn(&lenslet::train::StepReport) -> f32| progress.steps.iter().map(|s| f64::from(of(s))).sum();
        Ok(Frame {
            steps: self.frames.steps() as u32,
            images: sum(|step| step.counted),
            loss: sum(|step| step.loss * step.counted),
            correct: sum(|step| step.correct),
            is_finished: progress.is_finished,
        })
    }

    /// The accuracy of the current network on the test images.
    pub async fn accuracy(&mut self) -> Result<f64> {
        let snapshot = self.frames.snapshot_async().await?;
        Ok(self.evaluator.run_async(&snapshot.parameters).await?.accuracy)
    }
}

/// The data after the headers of an image file and a label file.
fn part(images: &[u8], labels: &[u8]) -> lenslet::Result<Dataset> {
    let after = |file: &[u8], header: usize| file.get(header..).unwrap_or_default().to_vec();
    Dataset::new(after(images, 16), after(labels, 8), [1, 28, 28], 10)
}
