//! 2-D max pooling.
//!
//! - **Formula**: `y[n,c,p,q] = max_r,s x[n, c, p·stride + r·dilation − top, q·stride + s·dilation − left]`. Padding is
//!   −∞; NaN propagates.
//! - **Shapes**: x `[N, C, H, W]`, y `[N, C, P, Q]` by [`Window::place`]. f32.
//! - **Gradient**: `dy` to the first maximum of its window in row-major order, or to its first NaN. It uses the saved
//!   argmax indices, so x need not be kept.
//! - **Errors**: a window larger than the padded input; a window entirely in padding, which has no maximum.
//! - **Cost**: R·S loads per output.

use std::ops::AddAssign;
use std::sync::Arc;

use rayon::prelude::*;

use crate::graph::{Find, Graph, NodeId, Op, Pooling, Spread, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, MOST_ROUNDS, Operand, Shader, stages};
use crate::ops::convolution::extents::in_turn;
use crate::ops::loops::simd::{NullaryFnOnce, vectorized};
use crate::ops::pooling::pool::Pool;
use crate::shape::{Shape, TensorType, Window};
use crate::tensor::View;
use crate::{Result, shader};

const MAX_POOL2D: Shader = shader!("pooling/max_pool2d");
const MAX_POOL2D_GRAD: Shader = shader!("pooling/max_pool2d_grad");
const MAX_POOL2D_POSITIONS: Shader = shader!("pooling/max_pool2d_positions");
const MAX_POOL2D_POSITIONS_ROWS: Shader = shader!("pooling/max_pool2d_positions_rows");
const MAX_POOL2D_GRAD_DISJOINT: Shader = shader!("pooling/max_pool2d_grad_disjoint");

/// Minimum number of planes per CPU task.
const PLANES_PER_TASK: usize = 16;

impl Graph {
    /// 2-D max pooling of `x` `[N, C, H, W]`. NaN propagates; of equal maxima the first gets the gradient.
    ///
    /// Errors: `x` is not f32 `[N, C, H, W]`; a window larger than the padded input; a window entirely in padding.
    pub fn max_pool2d(&mut self, x: NodeId, window: Window) -> Result<NodeId> {
        self.append(MaxPool2d { window, leaves: false }, &[x])
    }

    /// [`Graph::max_pool2d`] with its argmax indices: `h·W + w` within the plane, u32 `[N, C, P, Q]`, for
    /// [`Graph::max_unpool2d`]. Indices have no gradient.
    ///
    /// Errors: as [`Graph::max_pool2d`].
    pub fn max_pool2d_with_positions(&mut self, x: NodeId, window: Window) -> Result<[NodeId; 2]> {
        let y = self.max_pool2d(x, window)?;
        Ok([y, self.max_pool2d_positions(x, y, window)?])
    }

    /// Where the maxima `y` of [`Graph::max_pool2d`] with this window are in `x`, as
    /// [`Graph::max_pool2d_with_positions`] has them.
    ///
    /// Errors: as [`Graph::max_pool2d`]; a `y` of another shape.
    pub(crate) fn max_pool2d_positions(&mut self, x: NodeId, y: NodeId, window: Window) -> Result<NodeId> {
        self.append(MaxPool2dPositions(window), &[x, y])
    }
}

/// The window over `x`, provided that each output has a maximum.
fn pool(window: Window, x: &TensorType) -> Result<Pool, String> {
    let pool = Pool::new(window, x)?;
    for (axis, name) in ["row", "column"].into_iter().enumerate() {
        if let Some(out) = pool.empty(axis) {
            let (begin, end) = (pool.placed.begin[axis], pool.placed.end[axis]);
            return Err(format!(
                "output {name} {out} has no maximum: its window of {} {name}s (stride {}, dilation {}) has no tap on the \
                 input of {} {name}s, only on padding {begin} + {end}; use less padding or dilation, or a larger window",
                window.size[axis], window.stride[axis], window.dilation[axis], pool.input[axis],
            ));
        }
    }
    Ok(pool)
}

/// Index within a plane of the first maximum of a window; the first NaN exact as the maximum.
fn first_maximum<T: Copy + PartialOrd>(plane: &[T], width: usize, rows: &[usize], columns: &[usize]) -> usize {
    let is_nan = |v: T| v.partial_cmp(&v).is_none();
    let mut argmax = rows[0] * width + columns[0];
    let mut best = plane[argmax];
    for h in rows {
        for w in columns {
            let index = h * width + w;
            let v = plane[index];
            // Selects instead of branches, which would be mispredicted.
            let wins = (v > best) | (is_nan(v) & !is_nan(best));
            argmax = if wins { index } else { argmax };
            best = if wins { v } else { best };
        }
    }
    argmax
}

/// For each row of outputs of a 2x2 pool with stride 2, the pairs of both input rows.
#[inline(always)]
fn pairs<'a>(pool: &Pool, x: &'a [f32]) -> impl Iterator<Item = [&'a [[f32; 2]]; 2]> {
    x.chunks_exact(2 * pool.input[1]).map(|rows| {
        let (upper, lower) = rows.split_at(rows.len() / 2);
        [upper.as_chunks().0, lower.as_chunks().0]
    })
}

/// Whether the second of a pair is its first maximum, and the maximum.
#[inline(always)]
fn larger(a: f32, b: f32) -> (bool, f32) {
    let second = (b > a) | (b.is_nan() & !a.is_nan());
    (second, if second { b } else { a })
}

/// 2x2 max pooling of a plane in f32.
struct Pool2x2<'a> {
    pool: &'a Pool,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl NullaryFnOnce for Pool2x2<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (y, [upper, lower]) in self.y.chunks_mut(self.pool.placed.out[1]).zip(pairs(self.pool, self.x)) {
            for (y, (&upper, &lower)) in y.iter_mut().zip(upper.iter().zip(lower)) {
                let (a, b) = (larger(upper[0], upper[1]).1, larger(lower[0], lower[1]).1);
                *y = larger(a, b).1;
            }
        }
    }
}

/// Argmax indices of 2x2 max pooling of a plane.
struct Pool2x2Indices<'a> {
    pool: &'a Pool,
    x: &'a [f32],
    indices: &'a mut [f32],
}

impl NullaryFnOnce for Pool2x2Indices<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let width = self.pool.input[1] as u32;
        let rows = self.indices.chunks_mut(self.pool.placed.out[1]).zip(pairs(self.pool, self.x));
        for (row, (indices, [upper, lower])) in (0..).zip(rows) {
            let first = 2 * row * width;
            for (column, (index, (&[a, b], &[c, d]))) in (0..).zip(indices.iter_mut().zip(upper.iter().zip(lower))) {
                let ((right, above), (lower_right, below)) = (larger(a, b), larger(c, d));
                let (down, _) = larger(above, below);
                let tap = if down { width + u32::from(lower_right) } else { u32::from(right) };
                *index = (first + 2 * column + tap) as f32;
            }
        }
    }
}

/// Appends the dispatches that write the argmax indices of each window of input 0, `[N, C, H, W]`, to `to`.
fn find_indices(pool: &Pool, x: &Shape, to: Operand, kernel: &mut Kernel) {
    let (planes, x) = (x[0] * x[1], Operand::Input(0));
    let windows = planes * pool.output_plane();
    let find = |pool: &Pool, windows| pool.dispatch_windows(MAX_POOL2D_POSITIONS, windows).function("keep", "v");
    let Some([across, down]) = pool.axis_by_axis() else {
        kernel.dispatches.push(find(pool, windows).reads([x]).writes(to));
        return;
    };
    let found = Operand::Scratch(kernel.scratch.len());
    kernel.scratch.push(TensorType::u32([planes * across.output_plane()]));
    let first = find(&across, planes * across.output_plane());
    let rows = Dispatch::new(MAX_POOL2D_POSITIONS_ROWS)
        .constants([("H", pool.input[0]), ("W", pool.input[1]), ("P", pool.placed.out[0]), ("Q", pool.placed.out[1])])
        .constants([("R", down.window.size[0]), ("STRIDE_H", down.window.stride[0])])
        .constants([("DILATION_H", down.window.dilation[0]), ("PAD_TOP", down.placed.begin[0])])
        .invocations(windows, 64);
    kernel.dispatches.extend([first.reads([x]).writes(found), rows.reads([x, found]).writes(to)]);
}

/// Max pooling; with `leaves` its kernel also writes the argmax indices to scratch 0.
#[derive(Debug)]
struct MaxPool2d {
    window: Window,
    leaves: bool,
}

impl Op for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x] => Ok(pool(self.window, x)?.output(x)),
            _ => Err(format!("takes one tensor, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let pool = Pool::placed(self.window, inputs[0].shape);
        let taps = pool.taps();
        let planes = inputs[0].f64().par_chunks(pool.input_plane());
        out.par_chunks_mut(pool.output_plane()).zip(planes).for_each(|(y, x)| {
            for (y, (rows, columns)) in y.iter_mut().zip(taps.windows()) {
                *y = x[first_maximum(x, pool.input[1], rows, columns)];
            }
        });
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let pool = Pool::placed(self.window, inputs[0].shape);
        let taps = pool.taps();
        let planes = inputs[0].f32().par_chunks(pool.input_plane());
        out.par_chunks_mut(pool.output_plane()).zip(planes).with_min_len(PLANES_PER_TASK).for_each(|(y, x)| match pool
            .is_2x2()
        {
            true => vectorized(Pool2x2 { pool: &pool, x, y }),
            false => y.iter_mut().zip(taps.windows()).for_each(|(y, (rows, columns))| {
                *y = x[first_maximum(x, pool.input[1], rows, columns)];
            }),
        });
        true
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let x = graph.node(node).inputs()[0];
        let indices = graph.append(MaxPool2dPositions(self.window), &[x, node])?;
        let grad = MaxPool2dGrad { window: self.window, x: graph.ty(x).clone() };
        Ok(vec![Some(graph.append(grad, &[indices, dy])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let pool = Pool::placed(self.window, &io.inputs[0].shape);
        if !self.leaves {
            return vec![pool.forward_kernel(MAX_POOL2D, &io.inputs[0].shape, |_, dispatch| dispatch)];
        }
        let find = pool.dispatch_windows(MAX_POOL2D_POSITIONS, io.output.shape.elements());
        let find = find.reads_inputs(1).writes(Operand::Scratch(0)).writes(Operand::Output);
        let indices = TensorType::u32(io.output.shape.clone());
        vec![Kernel { scratch: vec![indices], ..Kernel::single(find) }]
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let pool = Pool::placed(self.window, &io.inputs[0].shape);
        let pooling = Pooling { size: pool.window.size, leaves: self.leaves };
        Traits { pools: pool.tiles_plane().then_some(pooling), ..Traits::default() }
    }
}

/// Argmax indices. Inputs x and its max pooling y.
#[derive(Debug)]
struct MaxPool2dPositions(Window);

impl Op for MaxPool2dPositions {
    fn name(&self) -> &'static str {
        "max_pool2d_positions"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x, y] = inputs else { return Err(format!("takes two tensors, found {inputs:?}")) };
        let maxima = pool(self.0, x)?.output(x);
        if **y == maxima {
            Ok(TensorType::u32(maxima.shape))
        } else {
            Err(format!("y must be {maxima}, is {y} (x {x})"))
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let pool = Pool::placed(self.0, inputs[0].shape);
        let taps = pool.taps();
        let planes = inputs[0].f64().par_chunks(pool.input_plane());
        out.par_chunks_mut(pool.output_plane()).zip(planes).for_each(|(indices, x)| {
            for (index, (rows, columns)) in indices.iter_mut().zip(taps.windows()) {
                *index = first_maximum(x, pool.input[1], rows, columns) as f64;
            }
        });
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let pool = Pool::placed(self.0, inputs[0].shape);
        let taps = pool.taps();
        let planes = inputs[0].f32().par_chunks(pool.input_plane());
        let planes = out.par_chunks_mut(pool.output_plane()).zip(planes).with_min_len(PLANES_PER_TASK);
        // Larger indices are not exact in f32.
        let exact = pool.input_plane() <= 1 << f32::MANTISSA_DIGITS;
        planes.filter(|_| exact).for_each(|(indices, x)| match pool.is_2x2() {
            true => vectorized(Pool2x2Indices { pool: &pool, x, indices }),
            false => indices.iter_mut().zip(taps.windows()).for_each(|(index, (rows, columns))| {
                *index = first_maximum(x, pool.input[1], rows, columns) as f32;
            }),
        });
        exact
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let pool = Pool::placed(self.0, &io.inputs[0].shape);
        let mut kernel = Kernel::of(MAX_POOL2D_POSITIONS, vec![]);
        find_indices(&pool, &io.inputs[0].shape, Operand::Output, &mut kernel);
        vec![kernel]
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let in_one = Pool::placed(self.0, &io.inputs[0].shape).axis_by_axis().is_none();
        let by = in_one.then(|| Arc::new(MaxPool2d { window: self.0, leaves: true }) as Arc<dyn Op>);
        Traits { finds: Some(Find { of: 1, within: 0, by }), ..Traits::default() }
    }
}

/// Gradient of max pooling to an `x` of this type. Inputs indices, dy. Indices outside the plane are skipped.
#[derive(Debug)]
struct MaxPool2dGrad {
    window: Window,
    x: TensorType,
}

impl MaxPool2dGrad {
    /// Each input element reads the outputs of the windows that cover it.
    fn gather(pool: &Pool, planes: usize) -> Kernel {
        let gather = pool.dispatch_gather(MAX_POOL2D_GRAD, planes).reads_inputs(2).writes(Operand::Output);
        let [rows, columns] = pool.covering();
        let turn = |[begin, end]: [usize; 2]| vec![("A_BEGIN", begin), ("A_END", end)];
        let turns = stages(rows, MOST_ROUNDS / (1 + columns)).map(turn).collect();
        in_turn(MAX_POOL2D_GRAD, gather, turns)
    }

    /// Without overlap, each window writes the input elements of its own.
    fn disjoint(pool: &Pool, planes: usize) -> Option<Kernel> {
        let dispatch = pool.dispatch_disjoint(MAX_POOL2D_GRAD_DISJOINT, planes)?;
        Some(Kernel::single(dispatch.reads_inputs(2).writes(Operand::Output)))
    }
}

impl Op for MaxPool2dGrad {
    fn name(&self) -> &'static str {
        "max_pool2d_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [indices, dy] = inputs else { return Err(format!("takes two tensors, found {inputs:?}")) };
        let y = pool(self.window, &self.x)?.output(&self.x);
        let saved = TensorType::u32(y.shape.clone());
        match [*indices, *dy] == [&saved, &y] {
            true => Ok(self.x.clone()),
            false => Err(format!("indices and dy must be {saved} and {y}, are {indices} and {dy} (x {})", self.x)),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let pool = Pool::placed(self.window, &self.x.shape);
        let planes = [0, 1].map(|input| inputs[input].f64().par_chunks(pool.output_plane()));
        let [indices, dy] = planes;
        out.par_chunks_mut(pool.input_plane()).zip(indices.zip(dy)).for_each(|(dx, (indices, dy))| {
            scatter_add(indices, dy, dx);
        });
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let pool = Pool::placed(self.window, &self.x.shape);
        let indices = inputs[0].f64().par_chunks(pool.output_plane());
        let planes = indices.zip(inputs[1].f32().par_chunks(pool.output_plane()));
        let dx = out.par_chunks_mut(pool.input_plane());
        dx.zip(planes).with_min_len(PLANES_PER_TASK).for_each(|(dx, (indices, dy))| {
            dx.fill(0.0);
            scatter_add(indices, dy, dx);
        });
        true
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let (pool, planes) = (Pool::placed(self.window, &self.x.shape), self.x.shape[0] * self.x.shape[1]);
        Self::disjoint(&pool, planes).into_iter().chain([Self::gather(&pool, planes)]).collect()
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        inputs[1].magnitude()
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        let reduction = Pool::placed(self.window, &self.x.shape).overlap();
        Traits { reduction, takes_epilogue: true, spreads: Some(Spread { of: 1, to: 0 }), ..Traits::default() }
    }
}

/// Adds each `dy` of a plane to the element at its index (scatter-add).
fn scatter_add<T: Copy + AddAssign>(indices: &[f64], dy: &[T], dx: &mut [T]) {
    for (&index, &dy) in indices.iter().zip(dy) {
        if let Some(dx) = dx.get_mut(index as usize) {
            *dx += dy;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Padding;

    fn infer(window: Window, x: impl Into<crate::Shape>) -> Result<TensorType, String> {
        MaxPool2d { window, leaves: false }.infer(&[&TensorType::f32(x)])
    }

    #[test]
    fn output_shape_follows_the_window() {
        let halved = infer(Window::new(2).stride(2), [64, 6, 28, 28]).unwrap();
        assert_eq!(halved, TensorType::f32([64, 6, 14, 14]));
        let uneven = Window::new([2, 3]).stride([3, 2]).dilation([1, 2]).padding(Padding::Same);
        assert_eq!(infer(uneven, [1, 2, 7, 9]).unwrap(), TensorType::f32([1, 2, 3, 5]));
    }

    #[test]
    fn a_window_entirely_in_padding_is_rejected() {
        let deep = Padding::Explicit { top: 0, bottom: 0, left: 0, right: 4 };
        assert!(infer(Window::new(2).padding(Padding::all(1)), [1, 1, 3, 3]).is_ok());
        let error = infer(Window::new(3).padding(deep), [1, 1, 5, 5]).unwrap_err();
        assert!(error.contains("column 5") && error.contains("0 + 4"), "{error}");
        // Dilated taps may step over an input that the window spans.
        let error = infer(Window::new(2).dilation(3).padding(3), [1, 1, 1, 1]).unwrap_err();
        assert!(error.contains("row 1") && error.contains("dilation 3"), "{error}");
    }

    #[test]
    fn inputs_other_than_f32_nchw_are_rejected() {
        assert!(infer(Window::new(2), [4, 4]).unwrap_err().contains("[N, C, H, W]"));
        assert!(infer(Window::new(2).padding(1 << 40), [1, 1, 4, 4]).unwrap_err().contains("too large"));
        let bytes = TensorType::u8([1, 1, 4, 4]);
        assert!(MaxPool2d { window: Window::new(2), leaves: false }.infer(&[&bytes]).unwrap_err().contains("f32"));
    }

    #[test]
    fn gradient_checks_the_shapes_of_its_inputs() {
        let x = TensorType::f32([2, 3, 9, 9]);
        let grad = MaxPool2dGrad { window: Window::new(3).stride(2), x: x.clone() };
        let indices = TensorType::u32([2, 3, 4, 4]);
        assert_eq!(grad.infer(&[&indices, &TensorType::f32([2, 3, 4, 4])]).unwrap(), x);
        assert!(grad.infer(&[&indices, &TensorType::f32([2, 3, 5, 4])]).unwrap_err().contains("[2, 3, 4, 4]"));
    }
}
