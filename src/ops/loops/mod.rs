//! Loops that several operations share: vectorized sums, and strided walks of the f64 reference.

pub(crate) mod reference;
pub(crate) mod simd;
pub(crate) mod strided;
