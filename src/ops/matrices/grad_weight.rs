//! The gradients of a dense layer to its weights and bias, by one operation.

use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Io, Kernel, Limits};
use crate::ops::matrices::product::{Extents, Product};
use crate::ops::reductions::reduce::sum_rows;
use crate::shape::{Shape, TensorType};
use crate::tensor::View;

/// Gradient to weight and bias: `dw = xᵀ·dy` and, from the next multiple of 64 elements, `db = Σ dy` over the rows.
/// Inputs x `[rows,in]`, dy `[rows,out]`; the output is flat.
#[derive(Debug)]
pub(super) struct DenseGradWeight;

impl DenseGradWeight {
    const PRODUCT: Product = Product { transpose_a: true, transpose_b: false };

    /// The gradients to a weight of this shape and to the bias.
    pub fn of(graph: &mut Graph, x: NodeId, dy: NodeId, w: Shape) -> Result<[NodeId; 2]> {
        let out = graph.shape(dy)[1];
        let both = graph.append(Self, &[x, dy])?;
        let start = graph.shape(both).elements() - out;
        Ok([graph.slice_flat(both, 0, w)?, graph.slice_flat(both, start, [out])?])
    }

    fn extents(inputs: &[&TensorType]) -> Result<Extents, String> {
        match inputs {
            [x, dy] if x.shape.len() == 2 && dy.shape.len() == 2 => Ok(Self::PRODUCT.extents(inputs)?.with_sums()),
            _ => Err(format!("takes matrices x and dy, found {inputs:?}")),
        }
    }
}

impl Op for DenseGradWeight {
    fn name(&self) -> &'static str {
        "dense_grad_weight"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(TensorType::f32([Self::extents(inputs)?.total()]))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let [x, dy] = [0, 1].map(|i| inputs[i].shape);
        let (dw, behind) = out.split_at_mut(x[1] * dy[1]);
        let gap = behind.len() - dy[1];
        Self::PRODUCT.eval(inputs, dw);
        sum_rows().eval(&inputs[1..], &mut behind[gap..]);
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let [x, dy] = [0, 1].map(|i| inputs[i].shape);
        let (dw, behind) = out.split_at_mut(x[1] * dy[1]);
        let (gap, db) = behind.split_at_mut(behind.len() - dy[1]);
        gap.fill(0.0);
        Self::PRODUCT.eval_f32(inputs, dw) && sum_rows().eval_f32(&inputs[1..], db)
    }

    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        let e = Self::extents(&io.inputs).expect("inferred when built");
        Self::PRODUCT.candidates(&e, limits)
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let e = Self::extents(&io.inputs).expect("inferred when built");
        Traits { reduction: e.k, multilinear: true, multiply_adds: e.multiply_adds(), ..Traits::default() }
    }
}
