//! Sum, mean and maximum over axes.
//!
//! - **Formula**: `y[o] = Σ x`, `Σ x / n` or `max x` over the n elements of x that differ from o in the reduced axes
//!   only.
//! - **Shapes**: the reduced axes are dropped, or kept with extent 1. f32.
//! - **Gradient**: of a sum, dy repeated; of a mean, dy / n repeated; of a maximum, dy at its first occurrence in
//!   row-major order and 0 elsewhere.
//! - **Range**: NaN propagates, through `max` too.
//! - **Cost**: one pass over x and passes over ever fewer partial results: an invocation combines at most 64 values, so
//!   that dependency chains are short and rounding errors small. The order of every sum is fixed.

use rayon::prelude::*;

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader, f32_literal};
use crate::ops::loops::strided::Strided;
use crate::shape::{DType, Shape, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

const REDUCE: Shader = shader!("reductions/reduce");
const FIRST: Shader = shader!("reductions/reduce_first");
const CANDIDATES: Shader = shader!("reductions/max_grad_candidates");
const MAX_GRAD: Shader = shader!("reductions/max_grad");

/// Maximum number of values that one invocation combines.
pub(in crate::ops) const MAX_COMBINED: usize = 64;

/// Rows of the first axis per partial sum.
const ROWS_PER_PART: usize = 8;

/// Sum of floats, as interleaved partial sums.
pub(in crate::ops) fn sum(x: &[f32]) -> f64 {
    let (runs, rest) = x.as_chunks::<16>();
    let mut sums = [0.0; 16];
    runs.iter().for_each(|run| sums.iter_mut().zip(run).for_each(|(sum, x)| *sum += x));
    sums.iter().chain(rest).map(|x| f64::from(*x)).sum()
}

impl Graph {
    /// Sum of `x` over `axes`, all if empty; with `keep` they stay with extent 1.
    ///
    /// Errors: an axis that `x` does not have, or one named twice.
    pub fn sum(&mut self, x: NodeId, axes: &[usize], keep: bool) -> Result<NodeId> {
        self.reduce(Kind::Sum, x, axes, keep)
    }

    /// Mean of `x` over `axes`, all if empty; with `keep` they stay with extent 1.
    ///
    /// Errors: an axis that `x` does not have, or one named twice.
    pub fn mean(&mut self, x: NodeId, axes: &[usize], keep: bool) -> Result<NodeId> {
        self.reduce(Kind::Mean, x, axes, keep)
    }

    /// Maximum of `x` over `axes`, all if empty; with `keep` they stay with extent 1. NaN if any element is.
    ///
    /// Errors: an axis that `x` does not have, or one named twice.
    pub fn max(&mut self, x: NodeId, axes: &[usize], keep: bool) -> Result<NodeId> {
        self.reduce(Kind::Max, x, axes, keep)
    }

    fn reduce(&mut self, kind: Kind, x: NodeId, axes: &[usize], keep: bool) -> Result<NodeId> {
        let mut axes = if axes.is_empty() { (0..self.shape(x).len()).collect() } else { axes.to_vec() };
        axes.sort_unstable();
        self.append(Reduce { kind, axes, keep }, &[x])
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Sum,
    Mean,
    Max,
}

#[derive(Clone, Debug)]
struct Reduce {
    kind: Kind,
    /// In increasing order.
    axes: Vec<usize>,
    keep: bool,
}

impl Reduce {
    /// The shape of the output with the reduced axes kept.
    fn kept(&self, x: &[usize]) -> Shape {
        let extent = |(axis, &extent)| if self.axes.contains(&axis) { 1 } else { extent };
        x.iter().enumerate().map(extent).collect::<Vec<_>>().into()
    }

    fn reduced(&self, x: &Shape) -> usize {
        self.axes.iter().map(|&axis| x[axis]).product()
    }

    /// The walk over x with the output element of each of its elements.
    fn walk(&self, x: &Shape) -> Strided<1> {
        Strided::broadcast([&self.kept(x)], x)
    }
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Sum => "sum",
            Kind::Mean => "mean",
            Kind::Max => "max",
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let x = match inputs {
            [x] if x.dtype == DType::F32 => &x.shape,
            _ => return Err(format!("takes one f32 tensor, found {inputs:?}")),
        };
        if let Some(axis) = self.axes.iter().find(|axis| **axis >= x.len()) {
            return Err(format!("axis {axis} is not one of the {} axes of x {x}, counted from 0", x.len()));
        }
        if let Some(pair) = self.axes.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("axis {} is named twice in {:?}", pair[0], self.axes));
        }
        if self.keep {
            return Ok(TensorType::f32(self.kept(x)));
        }
        let left = (0..x.len()).filter(|axis| !self.axes.contains(axis)).map(|axis| x[axis]);
        Ok(TensorType::f32(left.collect::<Vec<_>>()))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let x = inputs[0].f64();
        let walk = self.walk(inputs[0].shape);
        let [step] = walk.steps();
        let larger = |best: f64, v: f64| if v > best || v.is_nan() { v } else { best };
        if self.kind == Kind::Max {
            out.fill(f64::NEG_INFINITY);
        }
        walk.runs(|range, [first]| match (self.kind, step) {
            (Kind::Max, 0) => out[first] = x[range].iter().copied().fold(out[first], larger),
            (Kind::Max, _) => {
                out[first..].iter_mut().step_by(step).zip(&x[range]).for_each(|(y, &v)| *y = larger(*y, v))
            }
            (_, 0) => out[first] += x[range].iter().sum::<f64>(),
            (_, _) => out[first..].iter_mut().step_by(step).zip(&x[range]).for_each(|(y, v)| *y += v),
        });
        if self.kind == Kind::Mean {
            let n = self.reduced(inputs[0].shape) as f64;
            out.iter_mut().for_each(|y| *y /= n);
        }
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        if self.kind == Kind::Max {
            return false;
        }
        let (x, shape) = (inputs[0].f32(), inputs[0].shape);
        // Parts of the first axis, whose sums are added in order.
        let (first, rest) = shape.split_first().map_or((1, &[][..]), |(first, rest)| (*first, rest));
        let sum_part = |x: &[f32]| {
            let shape: Shape =
                [x.len() / (shape.elements() / first)].iter().chain(rest).copied().collect::<Vec<_>>().into();
            let walk = self.walk(&shape);
            let [step] = walk.steps();
            let mut sums = vec![0.0; self.kept(&shape).elements()];
            walk.runs(|range, [first]| match step {
                0 => sums[first] += sum(&x[range]),
                _ => sums[first..].iter_mut().step_by(step).zip(&x[range]).for_each(|(y, v)| *y += f64::from(*v)),
            });
            sums
        };
        let parts: Vec<Vec<f64>> = x.par_chunks(ROWS_PER_PART * (shape.elements() / first)).map(sum_part).collect();
        let n = if self.kind == Kind::Mean { self.reduced(shape) as f64 } else { 1.0 };
        if self.axes.first() == Some(&0) {
            out.iter_mut()
                .enumerate()
                .for_each(|(i, y)| *y = (parts.iter().map(|part| part[i]).sum::<f64>() / n) as f32);
        } else {
            out.iter_mut().zip(parts.iter().flatten()).for_each(|(y, sum)| *y = (sum / n) as f32);
        }
        true
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let x = graph.node(node).inputs()[0];
        let shape = graph.shape(x).clone();
        let dx = match self.kind {
            Kind::Max => graph.append(MaxGrad(Reduce { keep: false, ..self.clone() }), &[x, node, dy])?,
            Kind::Sum | Kind::Mean => {
                let share = 1.0 / self.reduced(&shape) as f32;
                let dy = if self.kind == Kind::Mean { graph.scale(dy, share)? } else { dy };
                let kept = graph.reshape(dy, self.kept(&shape))?;
                graph.broadcast_to(kept, shape)?
            }
        };
        Ok(vec![Some(dx)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let x = &io.inputs[0].shape;
        let stage = match self.kind {
            Kind::Sum => Stage::sum(),
            Kind::Mean => {
                Stage { finish: Some(format!("v / {}", f32_literal(self.reduced(x) as f32))), ..Stage::sum() }
            }
            Kind::Max => Stage::max(),
        };
        let mut scratch = vec![];
        let dispatches = stage.all(x, &self.axes, Operand::Input(0), Operand::Output, &mut scratch);
        vec![Kernel { name: REDUCE.name, dispatches, scratch }]
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let linear = self.kind != Kind::Max;
        let reduction = if linear { self.reduced(&io.inputs[0].shape) } else { 1 };
        Traits { reduction, multilinear: linear, ..Traits::default() }
    }
}

/// Gradient of the maximum: `dx[i] = dy[o]` where `x[i]` is the first of its group to equal `y[o]`, else 0. Inputs x,
/// y, dy.
#[derive(Debug)]
struct MaxGrad(Reduce);

impl Op for MaxGrad {
    fn name(&self) -> &'static str {
        "max_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x, y, dy] = inputs else { return Err(format!("takes x, y and dy, found {} inputs", inputs.len())) };
        let expected = self.0.infer(&[x])?.shape.elements();
        match [y, dy].into_iter().find(|ty| ty.dtype != DType::F32 || ty.shape.elements() != expected) {
            Some(ty) => Err(format!("y and dy must be f32 with {expected} elements, found {ty}")),
            None => Ok((*x).clone()),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (x, y, dy) = (inputs[0].f64(), inputs[1].f64(), inputs[2].f64());
        let walk = self.0.walk(inputs[0].shape);
        let [step] = walk.steps();
        let mut found = vec![false; y.len()];
        walk.runs(|range, [first]| {
            for (k, i) in range.enumerate() {
                let o = first + k * step;
                if !found[o] && (x[i] == y[o] || x[i].is_nan() && y[o].is_nan()) {
                    found[o] = true;
                    out[i] = dy[o];
                }
            }
        });
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let (x, y) = (&io.inputs[0].shape, &io.inputs[1].shape);
        let (candidates, first) = (Operand::Scratch(0), Operand::Scratch(1));
        let walk = self.0.walk(x);
        let strided = |shader| {
            walk.dispatch(shader).constant("STRIDES", walk.strides[0].as_slice()).invocations(x.elements(), 64)
        };
        let mut scratch = vec![TensorType::u32(x.clone()), TensorType::u32(y.clone())];
        let stage = Stage { shader: FIRST, dtype: DType::U32, combine: "min(a, b)", finish: None };
        let mut dispatches = vec![strided(CANDIDATES).reads_inputs(2).writes(candidates)];
        dispatches.extend(stage.all(x, &self.0.axes, candidates, first, &mut scratch));
        dispatches.push(strided(MAX_GRAD).reads([first, Operand::Input(2)]).writes(Operand::Output));
        vec![Kernel { name: MAX_GRAD.name, dispatches, scratch }]
    }
}

/// The operation that sums the rows of a matrix.
pub(in crate::ops) fn sum_rows() -> impl Op {
    Reduce { kind: Kind::Sum, axes: vec![0], keep: false }
}

/// Dispatches that sum the middle axis of `input` `[outer, R, inner]` into `output`; buffers for partial results are
/// added to `scratch`.
pub(in crate::ops) fn sum_stages(
    extents: [usize; 3],
    input: Operand,
    output: Operand,
    scratch: &mut Vec<TensorType>,
) -> Vec<Dispatch> {
    Stage::sum().all(&extents, &[1], input, output, scratch)
}

/// [`sum_stages`] for the maximum.
pub(in crate::ops) fn max_stages(
    extents: [usize; 3],
    input: Operand,
    output: Operand,
    scratch: &mut Vec<TensorType>,
) -> Vec<Dispatch> {
    Stage::max().all(&extents, &[1], input, output, scratch)
}

/// Appends the stages of [`sum_stages`] to a kernel until at most [`MAX_COMBINED`] partial sums are left; returns their buffer
/// and number.
pub(in crate::ops) fn sum_to_few(extents: [usize; 3], input: Operand, kernel: &mut Kernel) -> (Operand, usize) {
    Stage::sum().shrink(extents, input, &mut kernel.scratch, &mut kernel.dispatches)
}

/// Attributes shared by the dispatches of one reduction.
struct Stage {
    shader: Shader,
    dtype: DType,
    /// WGSL expression that combines `a`, the result so far, and `b`, the next value.
    combine: &'static str,
    /// WGSL expression of the result `v`, in the last stage only.
    finish: Option<String>,
}

impl Stage {
    fn sum() -> Self {
        Self { shader: REDUCE, dtype: DType::F32, combine: "a + b", finish: None }
    }

    fn max() -> Self {
        Self { combine: "select(a, b, b > a || is_nan(b))", ..Self::sum() }
    }

    /// Reduces `input` of this shape over `axes`, in increasing order.
    fn all(
        &self,
        shape: &[usize],
        axes: &[usize],
        input: Operand,
        output: Operand,
        scratch: &mut Vec<TensorType>,
    ) -> Vec<Dispatch> {
        let mut dispatches = vec![];
        let mut from = input;
        let groups = groups(shape, axes);
        for (number, &[outer, r, inner]) in groups.iter().enumerate() {
            let (partial, left) = self.shrink([outer, r, inner], from, scratch, &mut dispatches);
            let last = number + 1 == groups.len();
            let to = if last { output } else { self.scratch([outer, 1, inner], scratch) };
            let dispatch = self.dispatch([outer, left, inner], 1, partial, to);
            dispatches.push(match &self.finish {
                Some(finish) if last => dispatch.function("finish", finish),
                _ => dispatch,
            });
            from = to;
        }
        dispatches
    }

    fn shrink(
        &self,
        [outer, mut r, inner]: [usize; 3],
        mut from: Operand,
        scratch: &mut Vec<TensorType>,
        dispatches: &mut Vec<Dispatch>,
    ) -> (Operand, usize) {
        while r > MAX_COMBINED {
            let parts = r.div_ceil(MAX_COMBINED);
            let to = self.scratch([outer, parts, inner], scratch);
            dispatches.push(self.dispatch([outer, r, inner], parts, from, to));
            (from, r) = (to, parts);
        }
        (from, r)
    }

    fn scratch(&self, shape: [usize; 3], scratch: &mut Vec<TensorType>) -> Operand {
        scratch.push(TensorType { dtype: self.dtype, shape: shape.into() });
        Operand::Scratch(scratch.len() - 1)
    }

    fn dispatch(&self, [outer, r, inner]: [usize; 3], parts: usize, from: Operand, to: Operand) -> Dispatch {
        Dispatch::new(self.shader)
            .constants([("R", r), ("PARTS", parts), ("INNER", inner)])
            .function("combine", self.combine)
            .reads([from])
            .writes(to)
            .invocations(outer * parts * inner, 64)
    }
}

/// A reduction over any axes as reductions of the middle of three axes, innermost first; adjacent axes are merged.
/// There is at least one, so that a stage writes the output.
fn groups(shape: &[usize], axes: &[usize]) -> Vec<[usize; 3]> {
    let mut groups = vec![];
    let mut inner: usize = 1;
    let mut axis = shape.len();
    while axis > 0 {
        let is_reduced = |axis: usize| axes.contains(&axis) || shape[axis] == 1;
        let mut r = 1;
        while axis > 0 && is_reduced(axis - 1) {
            axis -= 1;
            r *= shape[axis];
        }
        let outer = shape[..axis].iter().product();
        if r > 1 {
            groups.push([outer, r, inner]);
        }
        while axis > 0 && !is_reduced(axis - 1) {
            axis -= 1;
            inner *= shape[axis];
        }
    }
    if groups.is_empty() { vec![[inner, 1, 1]] } else { groups }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduced_axes_are_dropped_or_kept() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 3, 5, 7])).unwrap();
        let mut shape = |axes: &[usize], keep| {
            let y = graph.sum(x, axes, keep).unwrap();
            graph.shape(y).to_vec()
        };
        assert_eq!(shape(&[2, 0], false), [3, 7]);
        assert_eq!(shape(&[0, 2], true), [1, 3, 1, 7]);
        assert!(shape(&[], false).is_empty());
        assert_eq!(shape(&[], true), [1, 1, 1, 1]);
    }

    #[test]
    fn invalid_axes_are_rejected() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 3])).unwrap();
        let error = graph.mean(x, &[2], false).unwrap_err().to_string();
        assert!(error.contains("mean: axis 2 is not one of the 2 axes of x [2, 3]"), "{error}");
        let error = graph.max(x, &[1, 1], false).unwrap_err().to_string();
        assert!(error.contains("axis 1 is named twice"), "{error}");
    }

    #[test]
    fn adjacent_axes_are_merged() {
        assert_eq!(groups(&[2, 3, 5, 7], &[0, 2, 3]), [[6, 35, 1], [1, 2, 3]]);
        assert_eq!(groups(&[2, 3, 5, 7], &[1, 2]), [[2, 15, 7]]);
        assert_eq!(groups(&[2, 1, 5], &[0, 2]), [[1, 10, 1]]);
        assert_eq!(groups(&[2, 1, 5], &[1]), [[10, 1, 1]]);
        assert_eq!(groups(&[], &[]), [[1, 1, 1]]);
    }
}
