//! Operations that only training steps and evaluation have: batches, augmentation, dropout, metrics.

pub mod accumulate;
pub mod augment;
pub(crate) mod clip;
pub mod clock;
pub mod dropout;
pub mod gather;
pub(crate) mod random;
pub mod record;
pub mod tally;
pub(crate) mod warp;
