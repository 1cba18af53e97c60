//! Softmax along one axis.
//!
//! - **Formula**: `y = exp(x − max x) / Σ exp(x − max x)` along the axis; positive, sums to 1.
//! - **Shapes**: any, kept. f32.
//! - **Range**: x of any magnitude; ±1e4 neither overflows nor divides by 0.
//! - **Gradient**: `dx = y · (dy − Σ y · dy)`.
//! - **Cost**: three passes over x, by one invocation per line along the axis, or by staged reductions for long lines.

use std::iter::StepBy;
use std::ops::Range;

use rayon::prelude::*;

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::elementwise::binary::elementwise;
use crate::ops::reductions::reduce::{MAX_COMBINED, max_stages, sum_stages};
use crate::shape::{DType, Shape, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

const SOFTMAX: Shader = shader!("losses/softmax");
const STAGED: Shader = shader!("losses/softmax_staged");
const GRAD: Shader = shader!("losses/softmax_grad");
const GRAD_STAGED: Shader = shader!("losses/softmax_grad_staged");

impl Graph {
    /// Softmax along `axis`, `exp(x) / Σ exp(x)`, without overflow for large x.
    ///
    /// Errors: an axis that `x` does not have.
    pub fn softmax(&mut self, x: NodeId, axis: usize) -> Result<NodeId> {
        self.append(Softmax { axis }, &[x])
    }
}

/// `shape` as `[outer, R, inner]` around the axis.
pub(in crate::ops) fn lines(shape: &Shape, axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// How a kernel processes lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::ops) enum LineStrategy {
    /// One invocation per line.
    Line,
    /// Staged reductions first, then one invocation per element.
    Staged,
}

impl LineStrategy {
    /// The strategies to try for `[outer, R, inner]`, in order of preference.
    pub(in crate::ops) fn candidates([outer, r, inner]: [usize; 3]) -> &'static [LineStrategy] {
        // This many invocations keep a large GPU busy.
        let many_lines = outer * inner >= 1 << 14;
        match r {
            _ if r <= MAX_COMBINED => &[LineStrategy::Line],
            // Longer loops block a desktop, and software drivers end them after 65,535 iterations.
            _ if r > 4096 => &[LineStrategy::Staged],
            _ if many_lines => &[LineStrategy::Line, LineStrategy::Staged],
            _ => &[LineStrategy::Staged, LineStrategy::Line],
        }
    }
}

/// Appends the dispatches that compute `max x` and `Σ exp(x − max x)` of each line of `x` `[outer, R, inner]`, and
/// returns the buffers that hold them.
pub(in crate::ops) fn line_stages([outer, r, inner]: [usize; 3], x: Operand, kernel: &mut Kernel) -> [Operand; 2] {
    let (full, lines) = (Shape::from([outer, r, inner]), Shape::from([outer, 1, inner]));
    let first = kernel.scratch.len();
    kernel.scratch.extend([&lines, &lines, &full].map(|shape| TensorType::f32(shape.clone())));
    let [largest, sum, exps] = [0, 1, 2].map(|n| Operand::Scratch(first + n));
    kernel.dispatches.extend(max_stages([outer, r, inner], x, largest, &mut kernel.scratch));
    kernel.dispatches.push(elementwise("exp(a - b)", &full, &lines, &full).reads([x, largest]).writes(exps));
    kernel.dispatches.extend(sum_stages([outer, r, inner], exps, sum, &mut kernel.scratch));
    [largest, sum]
}

/// A kernel with one invocation per line that reads all inputs.
pub(super) fn over_lines(shader: Shader, inputs: usize, [outer, r, inner]: [usize; 3]) -> Kernel {
    let dispatch = Dispatch::new(shader)
        .constants([("LINES", outer * inner), ("R", r), ("INNER", inner)])
        .reads_inputs(inputs)
        .writes(Operand::Output)
        .invocations(outer * inner, 64);
    Kernel::single(dispatch)
}

/// A dispatch with one invocation per element that reads all inputs and then the values per line.
fn over_elements(shader: Shader, inputs: usize, per_line: &[Operand], [outer, r, inner]: [usize; 3]) -> Dispatch {
    Dispatch::new(shader)
        .constants([("R", r), ("INNER", inner)])
        .reads_inputs(inputs)
        .reads(per_line.iter().copied())
        .writes(Operand::Output)
        .invocations(outer * r * inner, 64)
}

/// Minimum number of elements per CPU task.
const ELEMENTS_PER_TASK: usize = 4096;

/// The indices of one line within its block.
pub(in crate::ops) type Line = StepBy<Range<usize>>;

/// Calls `f` for each line of `[outer, R, inner]` with the blocks of the inputs and of the output, and its indices in
/// them.
pub(super) fn each_line<const N: usize>(
    [_, r, inner]: [usize; 3],
    inputs: [&[f64]; N],
    out: &mut [f64],
    f: impl Fn([&[f64]; N], &mut [f64], Line) + Sync,
) {
    let block = r * inner;
    let blocks = out.par_chunks_mut(block).enumerate();
    blocks.with_min_len(ELEMENTS_PER_TASK.div_ceil(block)).for_each(|(number, out)| {
        let inputs = inputs.map(|values| &values[number * block..][..block]);
        (0..inner).for_each(|first| f(inputs, out, (first..block).step_by(inner)));
    });
}

/// Maximum of a line.
pub(in crate::ops) fn largest(x: &[f64], line: Line) -> f64 {
    line.map(|k| x[k]).reduce(|largest, v| if v > largest { v } else { largest }).expect("an axis has an element")
}

/// Shape rule of one tensor that has the axis; its type is kept.
pub(super) fn shape_rule(inputs: &[&TensorType], axis: usize) -> Result<TensorType, String> {
    match inputs {
        [x] if x.dtype == DType::F32 && axis < x.shape.len() => Ok((*x).clone()),
        [x] if x.dtype == DType::F32 => {
            let axes = x.shape.len();
            Err(format!("axis {axis} is not one of the {axes} axes of x {}, counted from 0", x.shape))
        }
        _ => Err(format!("takes one f32 tensor, found {inputs:?}")),
    }
}

/// Shape rule of a value and its gradient, of one shape that has the axis.
pub(super) fn grad_shape_rule(inputs: &[&TensorType], axis: usize) -> Result<TensorType, String> {
    match inputs {
        [y, dy] if y == dy => shape_rule(&[dy], axis),
        _ => Err(format!("takes two f32 tensors of one shape, found {inputs:?}")),
    }
}

#[derive(Debug)]
struct Softmax {
    axis: usize,
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        shape_rule(inputs, self.axis)
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        each_line(lines(inputs[0].shape, self.axis), [inputs[0].f64()], out, |[x], y, line| {
            let largest = largest(x, line.clone());
            let mut sum = 0.0;
            for k in line.clone() {
                y[k] = (x[k] - largest).exp();
                sum += y[k];
            }
            line.for_each(|k| y[k] /= sum);
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(graph.append(SoftmaxGrad { axis: self.axis }, &[node, dy])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let extents = lines(&io.output.shape, self.axis);
        let kernel = |way: &LineStrategy| match way {
            LineStrategy::Line => over_lines(SOFTMAX, 1, extents),
            LineStrategy::Staged => {
                let mut kernel = Kernel { name: STAGED.name, dispatches: vec![], scratch: vec![] };
                let per_line = line_stages(extents, Operand::Input(0), &mut kernel);
                kernel.dispatches.push(over_elements(STAGED, 1, &per_line, extents));
                kernel
            }
        };
        LineStrategy::candidates(extents).iter().map(kernel).collect()
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        Traits { reduction: io.output.shape[self.axis], ..Traits::default() }
    }
}

/// Gradient `dx = y · (dy − Σ y · dy)` along the axis. Inputs y, dy.
#[derive(Debug)]
struct SoftmaxGrad {
    axis: usize,
}

impl Op for SoftmaxGrad {
    fn name(&self) -> &'static str {
        "softmax_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        grad_shape_rule(inputs, self.axis)
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let operands = [inputs[0].f64(), inputs[1].f64()];
        each_line(lines(inputs[0].shape, self.axis), operands, out, |[y, dy], dx, line| {
            let sum: f64 = line.clone().map(|k| y[k] * dy[k]).sum();
            line.for_each(|k| dx[k] = y[k] * (dy[k] - sum));
        });
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let extents = lines(&io.output.shape, self.axis);
        let [outer, r, inner] = extents;
        let kernel = |way: &LineStrategy| match way {
            LineStrategy::Line => over_lines(GRAD, 2, extents),
            LineStrategy::Staged => {
                let y = &io.output.shape;
                let (products, sum) = (Operand::Scratch(0), Operand::Scratch(1));
                let mut scratch = vec![TensorType::f32(y.clone()), TensorType::f32([outer, inner])];
                let mut dispatches = vec![elementwise("a * b", y, y, y).reads_inputs(2).writes(products)];
                dispatches.extend(sum_stages([outer, r, inner], products, sum, &mut scratch));
                dispatches.push(over_elements(GRAD_STAGED, 2, &[sum], extents));
                Kernel { name: GRAD_STAGED.name, dispatches, scratch }
            }
        };
        LineStrategy::candidates(extents).iter().map(kernel).collect()
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        inputs[0].magnitude() * inputs[1].magnitude()
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
        assert!(graph.softmax(x, 1).is_ok());
        let error = graph.softmax(x, 2).unwrap_err().to_string();
        assert!(error.contains("axis 2 is not one of the 2 axes of x [2, 3]"), "{error}");
    }
}
