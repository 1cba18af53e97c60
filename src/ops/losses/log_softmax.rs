//! Log-softmax along one axis.
//!
//! - **Formula**: `y = x − max x − log Σ exp(x − max x)` along the axis; at most 0.
//! - **Shapes**: any, kept. f32.
//! - **Range**: x of any magnitude; accurate even where the softmax itself would underflow to 0.
//! - **Gradient**: `dx = dy − exp(y) · Σ dy`.
//! - **Cost**: three passes over x, by one invocation per line along the axis, or by staged reductions for long lines.

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Io, Kernel, Limits, Operand, Shader};
use crate::ops::elementwise::binary::elementwise;
use crate::ops::losses::softmax::{
    LineStrategy, each_line, grad_shape_rule, largest, line_stages, lines, over_lines, shape_rule,
};
use crate::ops::reductions::reduce::sum_stages;
use crate::shape::{Shape, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

const LOG_SOFTMAX: Shader = shader!("losses/log_softmax");
const GRAD: Shader = shader!("losses/log_softmax_grad");

impl Graph {
    /// Log-softmax along `axis`, `x − log Σ exp(x)`, without overflow for large x.
    ///
    /// Errors: an axis that `x` does not have.
    pub fn log_softmax(&mut self, x: NodeId, axis: usize) -> Result<NodeId> {
        self.append(LogSoftmax { axis }, &[x])
    }
}

#[derive(Debug)]
struct LogSoftmax {
    axis: usize,
}

impl Op for LogSoftmax {
    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        shape_rule(inputs, self.axis)
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        each_line(lines(inputs[0].shape, self.axis), [inputs[0].f64()], out, |[x], y, line| {
            let largest = largest(x, line.clone());
            let share = line.clone().map(|k| (x[k] - largest).exp()).sum::<f64>().ln();
            line.for_each(|k| y[k] = (x[k] - largest) - share);
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(graph.append(LogSoftmaxGrad { axis: self.axis }, &[node, dy])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let extents = lines(&io.output.shape, self.axis);
        let kernel = |way: &LineStrategy| match way {
            LineStrategy::Line => over_lines(LOG_SOFTMAX, 1, extents),
            LineStrategy::Staged => {
                let (full, of_lines) = shapes(extents);
                let mut kernel = Kernel { name: "log_softmax_staged", dispatches: vec![], scratch: vec![] };
                let [largest, sum] = line_stages(extents, Operand::Input(0), &mut kernel);
                let below = Operand::Scratch(kernel.scratch.len());
                kernel.scratch.push(TensorType::f32(full.clone()));
                let part = |expression| elementwise(expression, &full, &of_lines, &full);
                kernel.dispatches.push(part("a - b").reads([Operand::Input(0), largest]).writes(below));
                kernel.dispatches.push(part("a - log(b)").reads([below, sum]).writes(Operand::Output));
                kernel
            }
        };
        LineStrategy::candidates(extents).iter().map(kernel).collect()
    }

    // The logarithm of a sum near 1 has a bounded absolute error, not a bounded relative one.
    fn error_scale(&self, _: &[View<'_>]) -> f64 {
        1.0
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        Traits { reduction: io.output.shape[self.axis], ..Traits::default() }
    }
}

/// The shape of a full tensor, and of one value per line.
fn shapes([outer, r, inner]: [usize; 3]) -> (Shape, Shape) {
    (Shape::from([outer, r, inner]), Shape::from([outer, 1, inner]))
}

/// Gradient `dx = dy − exp(y) · Σ dy` along the axis. Inputs y, dy.
#[derive(Debug)]
struct LogSoftmaxGrad {
    axis: usize,
}

impl Op for LogSoftmaxGrad {
    fn name(&self) -> &'static str {
        "log_softmax_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        grad_shape_rule(inputs, self.axis)
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let operands = [inputs[0].f64(), inputs[1].f64()];
        each_line(lines(inputs[0].shape, self.axis), operands, out, |[y, dy], dx, line| {
            let sum: f64 = line.clone().map(|k| dy[k]).sum();
            line.for_each(|k| dx[k] = dy[k] - y[k].exp() * sum);
        });
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let extents = lines(&io.output.shape, self.axis);
        let kernel = |way: &LineStrategy| match way {
            LineStrategy::Line => over_lines(GRAD, 2, extents),
            LineStrategy::Staged => {
                let (full, of_lines) = shapes(extents);
                let [y, dy] = [0, 1].map(Operand::Input);
                let [share, sum] = [0, 1].map(Operand::Scratch);
                let mut scratch = [&full, &of_lines].map(|shape| TensorType::f32(shape.clone())).to_vec();
                let mut dispatches = sum_stages(extents, dy, sum, &mut scratch);
                let product = elementwise("exp(a) * b", &full, &of_lines, &full);
                dispatches.push(product.reads([y, sum]).writes(share));
                let rest = elementwise("a - b", &full, &full, &full);
                dispatches.push(rest.reads([dy, share]).writes(Operand::Output));
                Kernel { name: "log_softmax_grad_staged", dispatches, scratch }
            }
        };
        LineStrategy::candidates(extents).iter().map(kernel).collect()
    }

    // The sum of dy, which the other term may cancel.
    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        inputs[1].magnitude() * (inputs[0].shape[self.axis] as f64).sqrt()
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        Traits { reduction: io.output.shape[self.axis], ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_must_exist() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 3])).unwrap();
        assert!(graph.log_softmax(x, 1).is_ok());
        let error = graph.log_softmax(x, 2).unwrap_err().to_string();
        assert!(error.contains("axis 2 is not one of the 2 axes of x [2, 3]"), "{error}");
    }
}
