//! Operations of training steps and evaluation only: mini-batches, augmentation, dropout, gradient clipping, metrics.

pub mod accumulate;
pub mod augment;
pub(crate) mod augment_options;
pub(crate) mod clip;
pub mod clock;
pub mod dropout;
pub mod gather;
pub(crate) mod random;
pub mod record;
pub mod tally;
pub(crate) mod warp;
