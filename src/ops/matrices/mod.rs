//! Matrix products and dense layers.

pub(crate) mod block;
pub(crate) mod dense;
pub mod matmul;
