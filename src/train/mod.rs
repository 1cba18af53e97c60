//! Training: the loop around a step that runs wholly on the device.

mod epoch;
mod evaluator;
mod frames;
mod order;
mod pace;
mod plateau;
mod predictor;
mod run;
mod schedule;
mod step;
mod trainer;

#[cfg(feature = "bench")]
pub(crate) use epoch::Epoch;
pub use evaluator::{Evaluation, Evaluator};
pub use frames::{FrameTrainer, Progress, Snapshot};
pub use plateau::{Monitor, Plateau};
pub use predictor::Predictor;
pub use run::{Config, LogLine, RunFolder};
pub use schedule::Schedule;
pub use step::{EvaluationStep, HISTORY_COLUMNS, StepOptions, TrainingStep};
pub use trainer::{EpochReport, Event, Fit, Report, StepReport, Trainer};
