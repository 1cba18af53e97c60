//! Batched matrix product, with either operand transposed without a copy, and an optional bias.
//!
//! - **Formula**: `c[…,m,n] = bias[n] + Σ_k a[…,m,k] · b[…,k,n]`; an operand marked transposed is stored with its last
//!   two axes swapped.
//! - **Shapes**: a `[…,M,K]` (`[…,K,M]` transposed), b `[…,K,N]` (`[…,N,K]` transposed), bias `[N]`, c `[…,M,N]`, f32.
//!   The leading axes broadcast by NumPy's rule, without copies.
//! - **Gradient**: `da = dc·bᵀ`, `db = aᵀ·dc`, each summed over the broadcast axes; `dbias` is the sum of dc over all
//!   axes but the last.
//! - **Cost**: M·N·K multiply-adds per matrix.
//! - **Source**: Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication", for the register tile.

use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Io, Kernel, Limits};
use crate::ops::matrices::grad_weight::DenseGradWeight;
use crate::ops::matrices::product::{Extents, Product};
use crate::shape::TensorType;
use crate::tensor::View;

impl Graph {
    /// Matrix product, or a batch of them whose leading axes broadcast. An operand marked transposed is stored
    /// `[…,K,M]` or `[…,N,K]`.
    ///
    /// Errors: an operand of fewer than two axes; inner extents that differ; leading axes that do not broadcast.
    pub fn matmul(&mut self, a: NodeId, b: NodeId, transpose_a: bool, transpose_b: bool) -> Result<NodeId> {
        self.append(Matmul { name: "matmul", product: Product { transpose_a, transpose_b } }, &[a, b])
    }
}

/// A matrix product under the name of the operation that it computes.
pub(super) struct Matmul {
    pub name: &'static str,
    pub product: Product,
}

impl std::fmt::Debug for Matmul {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match (self.product.transpose_a, self.product.transpose_b) {
            (false, false) => "Matmul",
            (true, false) => "Matmul aᵀ·b",
            (false, true) => "Matmul a·bᵀ",
            (true, true) => "Matmul aᵀ·bᵀ",
        })
    }
}

impl Matmul {
    fn extents(&self, io: &Io<'_>) -> Extents {
        self.product.extents(&io.inputs).expect("inferred when built")
    }
}

impl Op for Matmul {
    fn name(&self) -> &'static str {
        self.name
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(TensorType::f32(self.product.extents(inputs)?.output))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        self.product.eval(inputs, out);
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        self.product.eval_f32(inputs, out)
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dc: NodeId) -> Result<Vec<Option<NodeId>>> {
        let Product { transpose_a, transpose_b } = self.product;
        let inputs = graph.node(node).inputs().to_vec();
        let (a, b) = (inputs[0], inputs[1]);
        let (shape_a, shape_b) = (graph.shape(a).clone(), graph.shape(b).clone());
        let (mut rows_a, mut rows_dc) = (a, dc);
        let is_single = self.product.flattens(&shape_b[..shape_b.len() - 2]);
        if is_single {
            // One sum over all rows instead of a sum of products.
            rows_a = flat_rows(graph, a)?;
            rows_dc = flat_rows(graph, dc)?;
        }
        let (db, dbias) = if is_single && inputs.len() == 3 {
            let [db, dbias] = DenseGradWeight::of(graph, rows_a, rows_dc, shape_b)?;
            (db, Some(dbias))
        } else {
            let db = match transpose_b {
                false => graph.matmul(rows_a, rows_dc, !transpose_a, false)?,
                true => graph.matmul(rows_dc, rows_a, true, transpose_a)?,
            };
            // For a batch of one, no sum is needed.
            let is_summed = graph.shape(db).elements() == shape_b.elements();
            let db = if is_summed { graph.reshape(db, shape_b)? } else { graph.sum_to(db, shape_b)? };
            let axes: Vec<usize> = (0..graph.shape(dc).len() - 1).collect();
            (db, inputs.get(2).map(|_| graph.sum(dc, &axes, false)).transpose()?)
        };
        let da = match transpose_a {
            false => graph.matmul(dc, b, false, !transpose_b)?,
            true => graph.matmul(b, dc, transpose_b, true)?,
        };
        let da = graph.sum_to(da, shape_a)?;
        Ok([Some(da), Some(db)].into_iter().chain(dbias.map(Some)).collect())
    }

    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        self.product.candidates(&self.extents(io), limits)
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let e = self.extents(io);
        Traits {
            reduction: e.k + 1,
            multilinear: true,
            takes_epilogue: true,
            multiply_adds: e.multiply_adds(),
            ..Traits::default()
        }
    }
}

/// A batch of matrices as one matrix of all their rows.
fn flat_rows(graph: &mut Graph, x: NodeId) -> Result<NodeId> {
    let shape = graph.shape(x);
    let columns = shape[shape.len() - 1];
    let rows = shape.elements() / columns;
    graph.reshape(x, [rows, columns])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mismatched_extents_are_rejected() {
        let mut graph = Graph::new();
        let a = graph.input("a", TensorType::f32([3, 5])).unwrap();
        let b = graph.input("b", TensorType::f32([7, 5])).unwrap();
        let c = graph.matmul(a, b, false, true).unwrap();
        assert_eq!(**graph.shape(c), [3, 7]);
        let error = graph.matmul(a, b, false, false).unwrap_err().to_string();
        assert!(error.contains("5 of [3, 5] and 7 of [7, 5]"), "{error}");
        let many = graph.input("many", TensorType::f32([4, 1, 3, 5])).unwrap();
        let more = graph.input("more", TensorType::f32([6, 7, 5])).unwrap();
        let c = graph.matmul(many, more, false, true).unwrap();
        assert_eq!(**graph.shape(c), [4, 6, 3, 7]);
        let other = graph.input("other", TensorType::f32([2, 3, 5])).unwrap();
        let error = graph.matmul(more, other, false, true).unwrap_err().to_string();
        assert!(error.contains("[6, 7, 5] and [2, 3, 5]") && error.contains("do not broadcast"), "{error}");
        let row = graph.input("row", TensorType::f32([5])).unwrap();
        let error = graph.matmul(row, a, false, true).unwrap_err().to_string();
        assert!(error.contains("the left operand") && error.contains("[5]"), "{error}");
        let error = graph.dense(a, b, Some(b)).unwrap_err().to_string();
        assert!(error.contains("inner extents"), "{error}");
    }
}
