//! Element-wise operations: scalar functions, arithmetic of two tensors, scaling.

pub(crate) mod binary;
pub(crate) mod clamp;
pub(crate) mod prelu;
pub(crate) mod scalars;
pub(crate) mod scale;
pub(crate) mod unary;
