//! Batch, layer, group, instance, RMS and local response normalization.

pub(crate) mod apply_moments;
pub(crate) mod local_response_norm;
pub(crate) mod moments;
pub(crate) mod norm;
pub(crate) mod normalize;
