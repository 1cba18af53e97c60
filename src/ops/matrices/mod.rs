//! Matrix products and dense layers.

pub(crate) mod block;
pub(crate) mod dense;
pub(crate) mod grad_weight;
pub mod matmul;
pub(crate) mod product;
