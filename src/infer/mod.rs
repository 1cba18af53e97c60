//! Inference and evaluation of networks with fixed weights: single images, batches, or data sets streamed from a file.

mod batches;
mod classifier;
mod evaluator;
mod predictor;
mod preview;
pub(crate) mod stream;

pub use batches::{Batches, EvaluationStep, HISTORY_COLUMNS};
pub(crate) use batches::{Forward, Source};
pub use classifier::Classifier;
pub use evaluator::{Evaluation, Evaluator};
pub use predictor::Predictor;
pub use preview::augmented;
