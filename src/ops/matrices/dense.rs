//! Dense (fully connected) layer: a matrix product and a bias.
//!
//! - **Formula**: `y = x·w + b` for every row of x.
//! - **Shapes**: x `[…,in]`, w `[in,out]`, b `[out]`, y `[…,out]`. f32.
//! - **Gradient**: `dx = dy·wᵀ`; `dw = xᵀ·dy` and `db = Σ dy` over all rows, by one operation.
//! - **Cost**: that of the matrix product, see [`crate::ops::matrices::matmul`]; the bias needs no pass of its own,
//!   forward or backward.

use crate::Result;
use crate::graph::{Graph, NodeId};
use crate::ops::matrices::matmul::Matmul;
use crate::ops::matrices::product::Product;

impl Graph {
    /// Dense layer `x·w + b`: x `[…,in]` of at least two axes, w `[in,out]`, b `[out]` or none; y is `[…,out]`.
    ///
    /// Errors: as [`Graph::matmul`]; a bias whose length is not `out`.
    pub fn dense(&mut self, x: NodeId, w: NodeId, b: Option<NodeId>) -> Result<NodeId> {
        let inputs: Vec<NodeId> = [x, w].into_iter().chain(b).collect();
        self.append(Matmul { name: "dense", product: Product { transpose_a: false, transpose_b: false } }, &inputs)
    }
}
