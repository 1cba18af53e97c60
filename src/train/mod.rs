//! Training: the loop around a step that runs wholly on the device.

mod augmented;
pub mod callbacks;
mod checkpoint;
mod class_weights;
mod classifier;
mod course;
mod epoch;
mod evaluator;
mod frames;
mod normalize;
mod order;
mod pace;
mod plateau;
mod predictor;
mod report;
mod run;
mod schedule;
mod step;
mod stream;
mod trainer;

pub use augmented::{augment_of, augmented};
pub use checkpoint::Checkpoint;
pub use class_weights::ClassWeights;
pub use classifier::Classifier;
pub use course::Snapshot;
#[cfg(feature = "bench")]
pub(crate) use epoch::Epoch;
pub use evaluator::{Evaluation, Evaluator};
pub use frames::{FrameTrainer, Progress};
pub use normalize::Normalize;
pub use plateau::{Monitor, Plateau};
pub use predictor::Predictor;
pub use report::{EpochReport, Event, Fit, Report, Sets, StepReport};
pub use run::{Config, Recorder, RunFolder};
pub use schedule::Schedule;
pub use step::{Accumulation, EpochInputs, EvaluationStep, HISTORY_COLUMNS, StepOptions, TrainingStep};
pub use trainer::Trainer;
