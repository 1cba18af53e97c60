//! Training: the loop around a step that runs wholly on the device.

pub mod callbacks;
mod checkpoint;
mod class_weights;
mod course;
mod loops;
mod plateau;
mod report;
mod schedule;
mod step;
mod trainer;

pub use checkpoint::Checkpoint;
pub use class_weights::ClassWeights;
pub use course::Snapshot;
pub use loops::frames::{FrameTrainer, Progress};
#[cfg(feature = "bench")]
pub(crate) use loops::submissions::Epoch;
pub use plateau::{Monitor, Plateau};
pub use report::{EpochReport, Event, Fit, Report, Sets, StepReport};
pub use schedule::Schedule;
pub use step::{Accumulation, EpochInputs, StepOptions, TrainingStep};
pub use trainer::Trainer;
