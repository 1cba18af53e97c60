//! Multiplication by a constant.
//!
//! - **Formula**: `y[i] = factor · x[i]`.
//! - **Shapes**: any, kept. f32.
//! - **Gradient**: `factor · dy`.
//! - **Cost**: one pass over memory.

use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, f32_literal};
use crate::ops::elementwise::unary::UNARY;
use crate::shape::{DType, TensorType};
use crate::tensor::View;

impl Graph {
    /// Product `factor · x`, element by element.
    ///
    /// Errors: a factor that is not finite.
    pub fn scale(&mut self, x: NodeId, factor: f32) -> Result<NodeId> {
        self.append(Scale { factor }, &[x])
    }
}

#[derive(Debug)]
struct Scale {
    factor: f32,
}

impl Op for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            _ if !self.factor.is_finite() => Err(format!("the factor must be finite, is {}", self.factor)),
            [x] if x.dtype == DType::F32 => Ok((*x).clone()),
            _ => Err(format!("takes one f32 tensor, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let factor = f64::from(self.factor);
        out.iter_mut().zip(inputs[0].f64()).for_each(|(y, x)| *y = factor * x);
    }

    fn grad(&self, graph: &mut Graph, _: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(graph.scale(dy, self.factor)?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(UNARY)
            .function("f", format!("v * {}", f32_literal(self.factor)))
            .reads_inputs(1)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { multilinear: true, overwrites: &[0], ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_must_be_finite() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([3])).unwrap();
        assert!(graph.scale(x, -1e-30).is_ok());
        assert!(graph.scale(x, f32::INFINITY).unwrap_err().to_string().contains("must be finite, is inf"));
    }
}
