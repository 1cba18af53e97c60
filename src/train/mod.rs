//! Training: the step that runs wholly on the device, the course of a run, and the loops that run it.

pub mod callbacks;
mod checkpoint;
mod class_weights;
mod course;
mod event;
mod fit;
mod loops;
mod plateau;
mod report;
mod schedule;
mod snapshot;
mod step;
mod trainer;

pub use checkpoint::Checkpoint;
pub use class_weights::ClassWeights;
pub use event::Event;
pub use fit::{Fit, Sets};
pub use loops::frames::{FrameTrainer, Progress};
#[cfg(feature = "bench")]
pub(crate) use loops::submissions::Epoch;
pub use plateau::{Monitor, Plateau};
pub use report::{EpochReport, Report, StepReport};
pub use schedule::Schedule;
pub use snapshot::Snapshot;
pub use step::{Accumulation, EpochInputs, StepOptions, TrainingStep};
pub use trainer::Trainer;
