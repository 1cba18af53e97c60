//! Operations on each element by itself: scalar functions, arithmetic of two values, scaling.

pub(crate) mod binary;
pub(crate) mod clamp;
pub(crate) mod prelu;
pub(crate) mod scalars;
pub(crate) mod scale;
pub(crate) mod unary;
