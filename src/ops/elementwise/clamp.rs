//! Values limited to a range.
//!
//! **What**: `y[i] = min(max(x[i], low), high)`; NaN stays NaN · **Shapes**: any, kept · **Gradient**: `dy[i]` where
//! `low < y[i] < high`, else 0, as of relu6 and PyTorch's `Hardtanh` · **Errors**: bounds that are not finite, or `low`
//! above `high` · **Cost**: one pass over memory, or nothing when it ends another operation's kernel.

use crate::Result;
use crate::graph::{Epilogue, Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, f32_literal};
use crate::ops::elementwise::unary::{UNARY, UNARY_GRAD};
use crate::shape::{DType, TensorType};
use crate::tensor::View;

impl Graph {
    /// `min(max(x, low), high)`, element by element. The gradient is 0 at the bounds and beyond them.
    ///
    /// Errors: bounds that are not finite; `low` above `high`.
    pub fn clamp(&mut self, x: NodeId, low: f32, high: f32) -> Result<NodeId> {
        self.append(Clamp { low, high }, &[x])
    }
}

#[derive(Clone, Copy, Debug)]
struct Clamp {
    low: f32,
    high: f32,
}

impl Clamp {
    fn wgsl(self) -> String {
        format!("at_least(at_most(v, {}), {})", f32_literal(self.high), f32_literal(self.low))
    }

    fn wgsl_grad(self) -> String {
        format!("select(dy, 0.0, v <= {} || v >= {})", f32_literal(self.low), f32_literal(self.high))
    }

    fn passes(self, y: f64) -> bool {
        !(y <= f64::from(self.low) || y >= f64::from(self.high))
    }
}

impl Op for Clamp {
    fn name(&self) -> &'static str {
        "clamp"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let Self { low, high } = self;
        match inputs {
            _ if !(low.is_finite() && high.is_finite() && low <= high) => {
                Err(format!("the bounds must be finite, the lower first, are {low} and {high}"))
            }
            [x] if x.dtype == DType::F32 => Ok((*x).clone()),
            _ => Err(format!("takes one f32 tensor, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        out.iter_mut().zip(inputs[0].f64()).for_each(|(y, x)| *y = x.clamp(low, high));
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(graph.append(ClampGrad(*self), &[node, dy])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(UNARY)
            .function("f", self.wgsl())
            .reads_inputs(1)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        let epilogue = Epilogue { expression: self.wgsl(), of: 0, factor: None, keeps_zeros: false };
        Traits { overwrites: &[0], epilogue: Some(epilogue), ..Traits::default() }
    }
}

/// Inputs: y, then dy.
#[derive(Debug)]
struct ClampGrad(Clamp);

impl Op for ClampGrad {
    fn name(&self) -> &'static str {
        "clamp_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [y, dy] if y == dy && y.dtype == DType::F32 => Ok((*dy).clone()),
            _ => Err(format!("takes two f32 tensors of one shape, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        for ((dx, &y), &dy) in out.iter_mut().zip(inputs[0].f64()).zip(inputs[1].f64()) {
            *dx = if self.0.passes(y) { dy } else { 0.0 };
        }
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(UNARY_GRAD)
            .function("f", self.0.wgsl_grad())
            .reads_inputs(2)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { overwrites: &[1, 0], ..Traits::default() }
    }
}
