//! Adaptive and global 2-D pooling: the output size is given, the windows follow from it.
//!
//! - **Formula**: along each axis of L elements, output i of M pools the elements `floor(i·L/M)` to `ceil((i+1)·L/M)`.
//!   The axes are pooled one after the other, columns first, which equals pooling rectangles.
//! - **Shapes**: x `[N, C, H, W]`, y `[N, C, P, Q]` for any P and Q, also larger than H and W; global pooling is P = Q
//!   = 1. f32.
//! - **Gradient**: of an average, `dy / n` to each of its n elements; of a maximum, dy to the first maximum in
//!   row-major order, or to the first NaN.
//! - **Errors**: a rank or type that does not match; an output size of 0.
//! - **Cost**: about L/M loads per output and axis; an axis with one output is a reduction.

use std::ops::Range;

use rayon::prelude::*;

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, MOST_ROUNDS, Operand, Shader};
use crate::ops::reductions::reduce::{max_stages, sum_stages};
use crate::shape::{DType, Pair, Shape, TensorType};
use crate::tensor::View;
use crate::{Error, Result, shader};

const ADAPTIVE_POOL: Shader = shader!("pooling/adaptive_pool");
const ADAPTIVE_AVG_POOL_GRAD: Shader = shader!("pooling/adaptive_avg_pool_grad");
const ADAPTIVE_MAX_POOL_GRAD: Shader = shader!("pooling/adaptive_max_pool_grad");
const ADAPTIVE_MAX_POOL_INDICES: Shader = shader!("pooling/adaptive_max_pool_indices");
const ADAPTIVE_MAX_POOL_COMBINE: Shader = shader!("pooling/adaptive_max_pool_combine");

/// Approximate number of elements per invocation if several invocations share an output.
const ELEMENTS_PER_PART: usize = 4096;

impl Graph {
    /// Global max pooling of `x` `[N, C, H, W]` to `[N, C, 1, 1]`.
    ///
    /// Errors: `x` is not f32 `[N, C, H, W]`.
    pub fn global_max_pool2d(&mut self, x: NodeId) -> Result<NodeId> {
        check(self.ty(x)).map_err(refuse("global_max_pool2d"))?;
        self.max(x, &[2, 3], true)
    }

    /// Global average pooling of `x` `[N, C, H, W]` to `[N, C, 1, 1]`.
    ///
    /// Errors: `x` is not f32 `[N, C, H, W]`.
    pub fn global_avg_pool2d(&mut self, x: NodeId) -> Result<NodeId> {
        check(self.ty(x)).map_err(refuse("global_avg_pool2d"))?;
        self.mean(x, &[2, 3], true)
    }

    /// Adaptive max pooling of `x` `[N, C, H, W]` to `size` rows and columns, for any H and W.
    ///
    /// Errors: `x` is not f32 `[N, C, H, W]`; a size of 0.
    pub fn adaptive_max_pool2d(&mut self, x: NodeId, size: impl Into<Pair>) -> Result<NodeId> {
        self.adaptive(Kind::Max, x, size.into().0)
    }

    /// Adaptive average pooling of `x` `[N, C, H, W]` to `size` rows and columns, for any H and W.
    ///
    /// Errors: `x` is not f32 `[N, C, H, W]`; a size of 0.
    pub fn adaptive_avg_pool2d(&mut self, x: NodeId, size: impl Into<Pair>) -> Result<NodeId> {
        self.adaptive(Kind::Average, x, size.into().0)
    }

    fn adaptive(&mut self, kind: Kind, mut x: NodeId, size: [usize; 2]) -> Result<NodeId> {
        check(self.ty(x)).map_err(refuse(kind.name()))?;
        for (axis, out) in [(3, size[1]), (2, size[0])] {
            let extent = self.shape(x)[axis];
            x = match (kind, out) {
                (_, out) if out == extent => x,
                (Kind::Max, 1) => self.max(x, &[axis], true)?,
                (Kind::Average, 1) => self.mean(x, &[axis], true)?,
                _ => self.append(AdaptivePool { kind, axis, out }, &[x])?,
            };
        }
        Ok(x)
    }
}

fn check(x: &TensorType) -> Result<(), String> {
    x.shape.nchw("x")?;
    if x.dtype == DType::F32 { Ok(()) } else { Err(format!("x must be f32, is {x}")) }
}

fn refuse(op: &'static str) -> impl FnOnce(String) -> Error {
    move |reason| Error::Shape { op, node: String::new(), reason }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Max,
    Average,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Max => "adaptive_max_pool2d",
            Kind::Average => "adaptive_avg_pool2d",
        }
    }
}

/// The input range that output `i` pools, for an axis of `from` inputs and `to` outputs. With `from` and `to` swapped,
/// the outputs that pool input `i`.
fn window(i: usize, from: usize, to: usize) -> Range<usize> {
    i * from / to..((i + 1) * from).div_ceil(to)
}

/// Maximum number of inputs per output.
fn longest(from: usize, to: usize) -> usize {
    from.div_ceil(to) + 1
}

/// Number of invocations that share an element with that many operands.
fn parts(longest: usize) -> usize {
    if longest < MOST_ROUNDS { 1 } else { longest.div_ceil(ELEMENTS_PER_PART) }
}

/// Reduces partial results: [`sum_stages`] or [`max_stages`].
type Combine = fn([usize; 3], Operand, Operand, &mut Vec<TensorType>) -> Vec<Dispatch>;

/// Appends a dispatch that computes each of `elements` in `parts` partial results with a stride of `inner`, and the
/// dispatches that combine them.
fn in_partial_results(
    dispatch: Dispatch,
    elements: usize,
    parts: usize,
    inner: usize,
    combine: Combine,
    kernel: &mut Kernel,
) {
    let dispatch = dispatch.constant("PARTS", parts).invocations(elements * parts, 64);
    if parts == 1 {
        kernel.dispatches.push(dispatch.writes(Operand::Output));
        return;
    }
    let partial = Operand::Scratch(kernel.scratch.len());
    kernel.scratch.push(TensorType::f32([elements * parts]));
    kernel.dispatches.push(dispatch.writes(partial));
    let extents = [elements / inner, parts, inner];
    kernel.dispatches.extend(combine(extents, partial, Operand::Output, &mut kernel.scratch));
}

/// Index of the first maximum of a line with that stride; the first NaN counts as the maximum.
fn first_maximum(x: &[f64], line: Range<usize>, step: usize) -> usize {
    let larger = |best: usize, at: usize| {
        let (v, best_v) = (x[at * step], x[best * step]);
        if v > best_v || v.is_nan() && !best_v.is_nan() { at } else { best }
    };
    line.reduce(larger).expect("a window is not empty")
}

/// Adaptive pooling along one axis, 2 or 3, to `out` elements.
#[derive(Clone, Copy, Debug)]
struct AdaptivePool {
    kind: Kind,
    axis: usize,
    out: usize,
}

impl AdaptivePool {
    /// Stride of the axis in elements.
    fn inner(&self, x: &Shape) -> usize {
        x[self.axis + 1..].iter().product()
    }

    /// The type of the pooled `x`.
    fn output(&self, x: &TensorType) -> Result<TensorType, String> {
        check(x)?;
        let mut shape = x.shape.to_vec();
        let extent = std::mem::replace(&mut shape[self.axis], self.out);
        if self.out == 0 {
            return Err("the output size must be at least one row and column, is 0".into());
        }
        // Shaders multiply an index on one side by the extent of the other, in u32.
        let largest = extent.checked_mul(self.out).and_then(|n| n.checked_add(extent.max(self.out)));
        if largest.is_none_or(|n| n > u32::MAX as usize) {
            let name = ["rows", "columns"][self.axis - 2];
            return Err(format!("cannot pool {extent} {name} to {}: the product must be below 2^32", self.out));
        }
        Ok(TensorType::f32(shape))
    }

    /// A dispatch with the constants that all these kernels share.
    fn dispatch(&self, shader: Shader, x: &Shape) -> Dispatch {
        Dispatch::new(shader).constants([("L", x[self.axis]), ("M", self.out), ("INNER", self.inner(x))])
    }

    /// Calls `f(x or dx from its first element, y or dy from its first element)` for each line along the axis, in
    /// parallel.
    fn lines(
        &self,
        x: &Shape,
        read: &[f64],
        written: &mut [f64],
        forward: bool,
        f: impl Fn(&[f64], &mut [f64]) + Sync,
    ) {
        let inner = self.inner(x);
        let (long, short) = (x[self.axis] * inner, self.out * inner);
        let (reads, writes) = if forward { (long, short) } else { (short, long) };
        written.par_chunks_mut(writes).zip(read.par_chunks(reads)).for_each(|(written, read)| {
            for i in 0..inner {
                f(&read[i..], &mut written[i..]);
            }
        });
    }
}

impl Op for AdaptivePool {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x] => self.output(x),
            _ => Err(format!("takes one tensor, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let shape = inputs[0].shape;
        let (extent, step) = (shape[self.axis], self.inner(shape));
        self.lines(shape, inputs[0].f64(), out, true, |x, y| {
            for i in 0..self.out {
                let line = window(i, extent, self.out);
                y[i * step] = match self.kind {
                    Kind::Max => x[first_maximum(x, line, step) * step],
                    Kind::Average => line.clone().map(|l| x[l * step]).sum::<f64>() / line.len() as f64,
                };
            }
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let x = graph.node(node).inputs()[0];
        let dx = match self.kind {
            Kind::Max => graph.append(AdaptiveMaxPoolGrad(*self), &[x, dy])?,
            Kind::Average => graph.append(AdaptiveAvgPoolGrad { pool: *self, x: graph.shape(x).clone() }, &[dy])?,
        };
        Ok(vec![Some(dx)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let (combine, finish, stages): (_, _, Combine) = match self.kind {
            Kind::Max => ("select(a, b, !is_nan(a) & ((b > a) | is_nan(b)))", "v", max_stages),
            Kind::Average => ("a + b", "v / n", sum_stages),
        };
        let x = &io.inputs[0].shape;
        let dispatch = self.dispatch(ADAPTIVE_POOL, x).function("combine", combine).function("finish", finish);
        let parts = parts(longest(x[self.axis], self.out));
        let mut kernel = Kernel::of(ADAPTIVE_POOL, vec![]);
        let elements = io.output.shape.elements();
        in_partial_results(dispatch.reads_inputs(1), elements, parts, self.inner(x), stages, &mut kernel);
        vec![kernel]
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        match self.kind {
            Kind::Max => Traits::default(),
            Kind::Average => {
                let reduction = longest(io.inputs[0].shape[self.axis], self.out);
                Traits { reduction, multilinear: true, ..Traits::default() }
            }
        }
    }
}

/// Gradient of average pooling. Input dy. It is linear, so its own gradient is the pooling.
#[derive(Debug)]
struct AdaptiveAvgPoolGrad {
    pool: AdaptivePool,
    x: Shape,
}

impl Op for AdaptiveAvgPoolGrad {
    fn name(&self) -> &'static str {
        "adaptive_avg_pool2d_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [dy] = inputs else { return Err(format!("takes one tensor, found {inputs:?}")) };
        let x = TensorType::f32(self.x.clone());
        let y = self.pool.output(&x)?;
        if **dy == y { Ok(x) } else { Err(format!("dy must be {y}, is {dy} (x {x})")) }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (extent, step) = (self.x[self.pool.axis], self.pool.inner(&self.x));
        self.pool.lines(&self.x, inputs[0].f64(), out, false, |dy, dx| {
            for i in 0..self.pool.out {
                let line = window(i, extent, self.pool.out);
                let share = dy[i * step] / line.len() as f64;
                line.for_each(|l| dx[l * step] += share);
            }
        });
    }

    fn grad(&self, graph: &mut Graph, _: NodeId, ddx: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(graph.append(self.pool, &[ddx])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = self.pool.dispatch(ADAPTIVE_AVG_POOL_GRAD, &self.x).reads_inputs(1);
        let parts = parts(longest(self.pool.out, self.x[self.pool.axis]));
        let mut kernel = Kernel::of(ADAPTIVE_AVG_POOL_GRAD, vec![]);
        in_partial_results(
            dispatch,
            io.output.shape.elements(),
            parts,
            self.pool.inner(&self.x),
            sum_stages,
            &mut kernel,
        );
        vec![kernel]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        let reduction = longest(self.pool.out, self.x[self.pool.axis]);
        Traits { reduction, multilinear: true, ..Traits::default() }
    }
}

/// Gradient of max pooling. Inputs x, dy.
#[derive(Debug)]
struct AdaptiveMaxPoolGrad(AdaptivePool);

impl Op for AdaptiveMaxPoolGrad {
    fn name(&self) -> &'static str {
        "adaptive_max_pool2d_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x, dy] = inputs else { return Err(format!("takes two tensors, found {inputs:?}")) };
        let y = self.0.output(x)?;
        if **dy == y { Ok((*x).clone()) } else { Err(format!("dy must be {y}, is {dy} (x {x})")) }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let shape = inputs[0].shape;
        let (extent, step) = (shape[self.0.axis], self.0.inner(shape));
        let planes = (extent * step, self.0.out * step);
        let operands = inputs[0].f64().par_chunks(planes.0).zip(inputs[1].f64().par_chunks(planes.1));
        out.par_chunks_mut(planes.0).zip(operands).for_each(|(dx, (x, dy))| {
            for inner in 0..step {
                for i in 0..self.0.out {
                    let first = first_maximum(&x[inner..], window(i, extent, self.0.out), step);
                    dx[inner + first * step] += dy[inner + i * step];
                }
            }
        });
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let (x, y) = (&io.inputs[0].shape, &io.inputs[1].shape);
        let (extent, inner) = (x[self.0.axis], self.0.inner(x));
        let [find_parts, gather_parts] =
            [(extent, self.0.out), (self.0.out, extent)].map(|(a, b)| parts(longest(a, b)));
        let positions = Operand::Scratch(0);
        let gather = self.0.dispatch(ADAPTIVE_MAX_POOL_GRAD, x).reads([positions, Operand::Input(1)]);
        let mut kernel = Kernel::of(ADAPTIVE_MAX_POOL_GRAD, vec![]);
        kernel.scratch.push(TensorType::u32(y.clone()));
        let mut found = positions;
        if find_parts > 1 {
            found = Operand::Scratch(1);
            kernel.scratch.push(TensorType::u32([y.elements() * find_parts]));
        }
        let constants = |shader| self.0.dispatch(shader, x).constant("PARTS", find_parts);
        let find = constants(ADAPTIVE_MAX_POOL_INDICES).reads([Operand::Input(0)]).writes(found);
        kernel.dispatches.push(find.invocations(y.elements() * find_parts, 64));
        if find_parts > 1 {
            let combine = constants(ADAPTIVE_MAX_POOL_COMBINE).reads([Operand::Input(0), found]).writes(positions);
            kernel.dispatches.push(combine.invocations(y.elements(), 64));
        }
        in_partial_results(gather, x.elements(), gather_parts, inner, sum_stages, &mut kernel);
        vec![kernel]
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        inputs[1].magnitude()
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        Traits { reduction: longest(self.0.out, io.output.shape[self.0.axis]), ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_and_output_ranges_are_inverse() {
        for (from, to) in (1..12).flat_map(|from| (1..12).map(move |to| (from, to))) {
            for (l, i) in (0..from).flat_map(|l| (0..to).map(move |i| (l, i))) {
                assert_eq!(window(i, from, to).contains(&l), window(l, to, from).contains(&i), "{from} {to}");
                assert!((1..=longest(from, to)).contains(&window(i, from, to).len()));
            }
        }
    }

    #[test]
    fn the_size_is_the_output() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 3, 7, 5])).unwrap();
        for size in [[1, 1], [3, 2], [7, 5], [9, 11], [1, 4]] {
            for y in [graph.adaptive_max_pool2d(x, size).unwrap(), graph.adaptive_avg_pool2d(x, size).unwrap()] {
                assert_eq!(graph.shape(y).to_vec(), [2, 3, size[0], size[1]]);
            }
        }
        let error = graph.adaptive_avg_pool2d(x, [0, 2]).unwrap_err().to_string();
        assert!(error.contains("adaptive_avg_pool2d") && error.contains("at least one"), "{error}");
        assert!(graph.adaptive_max_pool2d(x, 1 << 31).unwrap_err().to_string().contains("2^32"));
        let flat = graph.input("flat", TensorType::f32([6, 4])).unwrap();
        assert!(graph.global_avg_pool2d(flat).unwrap_err().to_string().contains("[N, C, H, W]"));
    }
}
