//! Gradient clipping, by value or by norm.
//!
//! - **Formula**: by value, `y[i] = min(max(x[i], −v), v)`; by norm, `y = x · min(1, max_norm / (‖x‖₂ + 1e-6))`.
//! - **Shapes**: any, kept. f32.
//! - **Range**: NaN is kept, and by norm spreads to all elements, so that a failed step stays visible.
//! - **Gradient**: none; it is applied to gradients.
//! - **Source**: Pascanu, Mikolov & Bengio 2013 (arXiv:1211.5063), in PyTorch's form.
//! - **Cost**: one pass by value, three by norm.

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader, f32_literal};
use crate::ops::elementwise::unary::UNARY;
use crate::ops::reductions::reduce::sum_stages;
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

const NORM: Shader = shader!("training/clip_norm");

impl Graph {
    /// Clips each element of `x` to `−most` to `most`. Has no gradient.
    ///
    /// Errors: a bound that is not finite and above 0.
    pub fn clip_value(&mut self, x: NodeId, most: f32) -> Result<NodeId> {
        self.append(Clip { by: ClipMode::Value, most }, &[x])
    }

    /// Scales `x` by one factor so that its L2 norm is at most `most`. Has no gradient.
    ///
    /// Errors: a bound that is not finite and above 0.
    pub fn clip_norm(&mut self, x: NodeId, most: f32) -> Result<NodeId> {
        self.append(Clip { by: ClipMode::Norm, most }, &[x])
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ClipMode {
    Value,
    Norm,
}

#[derive(Debug)]
struct Clip {
    by: ClipMode,
    most: f32,
}

impl Op for Clip {
    fn name(&self) -> &'static str {
        match self.by {
            ClipMode::Value => "clip_value",
            ClipMode::Norm => "clip_norm",
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            _ if !(self.most > 0.0 && self.most.is_finite()) => {
                Err(format!("the bound must be finite and above 0, is {}", self.most))
            }
            [x] if x.dtype == DType::F32 => Ok((*x).clone()),
            _ => Err(format!("takes one f32 tensor, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (x, most) = (inputs[0].f64(), f64::from(self.most));
        match self.by {
            ClipMode::Value => out.iter_mut().zip(x).for_each(|(y, x)| *y = x.clamp(-most, most)),
            ClipMode::Norm => {
                let factor = most / (x.iter().map(|x| x * x).sum::<f64>().sqrt() + 1e-6);
                let factor = if factor > 1.0 { 1.0 } else { factor };
                out.iter_mut().zip(x).for_each(|(y, x)| *y = factor * x);
            }
        }
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let n = io.output.shape.elements();
        let (x, squares, sum) = (Operand::Input(0), Operand::Scratch(0), Operand::Scratch(1));
        let unary = |f: String| Dispatch::new(UNARY).function("f", f).reads([x]).invocations(n, 64);
        if self.by == ClipMode::Value {
            let most = self.most;
            let clamp = format!("at_least(at_most(v, {0}), -{0})", f32_literal(most));
            return vec![Kernel::single(unary(clamp).writes(Operand::Output))];
        }
        let mut scratch = vec![TensorType::f32([n]), TensorType::f32([])];
        let mut dispatches = vec![unary("v * v".into()).writes(squares)];
        dispatches.extend(sum_stages([1, n, 1], squares, sum, &mut scratch));
        let scale = Dispatch::new(NORM).constant("MOST", self.most).reads([x, sum]).writes(Operand::Output);
        dispatches.push(scale.invocations(n, 64));
        vec![Kernel { name: NORM.name, dispatches, scratch }]
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let reduction = if self.by == ClipMode::Norm { io.output.shape.elements() } else { 1 };
        Traits { reduction, overwrites: if self.by == ClipMode::Value { &[0] } else { &[] }, ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_above_zero() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([3])).unwrap();
        assert!(graph.clip_norm(x, 1.0).is_ok());
        let error = graph.clip_value(x, 0.0).unwrap_err().to_string();
        assert!(error.contains("clip_value: the bound must be finite and above 0, is 0"), "{error}");
    }
}
