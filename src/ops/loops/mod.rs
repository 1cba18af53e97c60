//! Loops that several operations share: vectorized sums, the reference's walks over strided values.

pub(crate) mod reference;
pub(crate) mod simd;
pub(crate) mod strided;
