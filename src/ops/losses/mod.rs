//! Softmax, cross-entropy and the losses composed of other operations.

pub(crate) mod class_targets;
pub(crate) mod classes;
pub(crate) mod composed;
pub(crate) mod cross_entropy;
pub(crate) mod log_softmax;
pub(crate) mod softmax;
