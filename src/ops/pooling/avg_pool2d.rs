//! 2-D average pooling.
//!
//! - **Formula**: `y[n,c,p,q] = 1/T · Σ_r,s x[n, c, p·stride + r·dilation − top, q·stride + s·dilation − left]`.
//!   Padding is zeros. T is the number of taps within input and padding (R·S, except for a last window in ceil mode),
//!   or with `count_include_pad` false within the input only; a window without such taps gives 0.
//! - **Shapes**: x `[N, C, H, W]`, y `[N, C, P, Q]` by [`Window::place`]. f32.
//! - **Gradient**: `dy / T` to each tap.
//! - **Errors**: a window larger than the padded input.
//! - **Cost**: R·S loads per output.

use std::ops::Range;

use rayon::prelude::*;

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::pooling::pool::Pool;
use crate::shape::{Placed, Shape, TensorType, Window};
use crate::tensor::View;
use crate::{Result, shader};

const AVG_POOL2D: Shader = shader!("pooling/avg_pool2d");
const AVG_POOL2D_GRAD: Shader = shader!("pooling/avg_pool2d_grad");

impl Graph {
    /// 2-D average pooling of `x` `[N, C, H, W]`. With `count_include_pad` the divisor counts padding; elements beyond
    /// the padding, reached only in [`Window::ceil_mode`], never count.
    ///
    /// Errors: `x` is not f32 `[N, C, H, W]`; a window larger than the padded input.
    pub fn avg_pool2d(&mut self, x: NodeId, window: Window, count_include_pad: bool) -> Result<NodeId> {
        self.append(AvgPool2d { window, count_include_pad }, &[x])
    }
}

#[derive(Clone, Copy, Debug)]
struct AvgPool2d {
    window: Window,
    count_include_pad: bool,
}

impl AvgPool2d {
    /// The rows or columns that the divisor counts, as indices into the padded input.
    fn counted(&self, pool: &Pool, axis: usize) -> Range<usize> {
        let Placed { begin, end, overhang, .. } = pool.placed;
        let inside = begin[axis]..begin[axis] + pool.input[axis];
        if self.count_include_pad { 0..inside.end + end[axis] - overhang[axis] } else { inside }
    }

    /// The divisor of each window, in row-major order.
    fn divisors(&self, pool: &Pool) -> Vec<f64> {
        let [rows, columns] = [0, 1].map(|axis| pool.taps_in(axis, self.counted(pool, axis)));
        rows.iter().flat_map(|r| columns.iter().map(move |s| (r * s).max(1) as f64)).collect()
    }

    /// Adds the constants from which kernels compute the divisors.
    fn with_divisors(&self, pool: &Pool, dispatch: Dispatch) -> Dispatch {
        let [rows, columns] = [0, 1].map(|axis| self.counted(pool, axis));
        let differ = if self.count_include_pad { pool.placed.overhang != [0, 0] } else { pool.padded() };
        dispatch.constant("DIVISORS_DIFFER", differ).constants([
            ("COUNT_TOP", rows.start),
            ("COUNT_BOTTOM", rows.end),
            ("COUNT_LEFT", columns.start),
            ("COUNT_RIGHT", columns.end),
        ])
    }
}

impl Op for AvgPool2d {
    fn name(&self) -> &'static str {
        "avg_pool2d"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x] => Ok(Pool::new(self.window, x)?.output(x)),
            _ => Err(format!("takes one tensor, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let pool = Pool::placed(self.window, inputs[0].shape);
        let (taps, divisors) = (pool.taps(), self.divisors(&pool));
        let planes = inputs[0].f64().par_chunks(pool.input_plane());
        out.par_chunks_mut(pool.output_plane()).zip(planes).for_each(|(y, x)| {
            for ((y, (rows, columns)), divisor) in y.iter_mut().zip(taps.windows()).zip(&divisors) {
                let row = |h: &usize| columns.iter().map(|w| x[h * pool.input[1] + w]).sum::<f64>();
                *y = rows.iter().map(row).sum::<f64>() / divisor;
            }
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let x = graph.node(node).inputs()[0];
        let op = AvgPool2dGrad { pool: *self, x: graph.shape(x).clone() };
        Ok(vec![Some(graph.append(op, &[dy])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let pool = Pool::placed(self.window, &io.inputs[0].shape);
        vec![pool.forward_kernel(AVG_POOL2D, &io.inputs[0].shape, |pool, dispatch| self.with_divisors(pool, dispatch))]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { reduction: self.window.size.iter().product(), multilinear: true, ..Traits::default() }
    }
}

/// Gradient of average pooling. Input dy. It is linear, so its own gradient is the pooling.
#[derive(Debug)]
struct AvgPool2dGrad {
    pool: AvgPool2d,
    x: Shape,
}

impl Op for AvgPool2dGrad {
    fn name(&self) -> &'static str {
        "avg_pool2d_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [dy] = inputs else { return Err(format!("takes one tensor, found {inputs:?}")) };
        let x = TensorType::f32(self.x.clone());
        let y = Pool::new(self.pool.window, &x)?.output(&x);
        if **dy == y { Ok(x) } else { Err(format!("dy must be {y}, is {dy} (x {x})")) }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let pool = Pool::placed(self.pool.window, &self.x);
        let (taps, divisors) = (pool.taps(), self.pool.divisors(&pool));
        let planes = inputs[0].f64().par_chunks(pool.output_plane());
        out.par_chunks_mut(pool.input_plane()).zip(planes).for_each(|(dx, dy)| {
            for ((dy, (rows, columns)), divisor) in dy.iter().zip(taps.windows()).zip(&divisors) {
                let share = dy / divisor;
                for h in rows {
                    columns.iter().for_each(|w| dx[h * pool.input[1] + w] += share);
                }
            }
        });
    }

    fn grad(&self, graph: &mut Graph, _: NodeId, ddx: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(graph.append(self.pool, &[ddx])?)])
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let pool = Pool::placed(self.pool.window, &self.x);
        let planes = self.x[0] * self.x[1];
        let dispatch = |pool: &Pool, from, to| {
            let dispatch = pool.dispatch_gather(AVG_POOL2D_GRAD, planes);
            self.pool.with_divisors(pool, dispatch).reads([from]).writes(to)
        };
        let (dy, dx) = (Operand::Input(0), Operand::Output);
        let Some([across, down]) = pool.gather_axis_by_axis() else {
            return vec![Kernel::single(dispatch(&pool, dy, dx))];
        };
        let rows = Operand::Scratch(0);
        let scratch = vec![TensorType::f32([planes * down.input_plane()])];
        let dispatches = vec![dispatch(&down, dy, rows), dispatch(&across, rows, dx)];
        vec![Kernel { name: AVG_POOL2D_GRAD.name, dispatches, scratch }]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        let pool = Pool::placed(self.pool.window, &self.x);
        Traits { reduction: pool.overlap(), multilinear: true, ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Padding;

    #[test]
    fn output_shape_follows_the_window() {
        let op = AvgPool2d { window: Window::new(3).stride(2).padding(1), count_include_pad: true };
        assert_eq!(op.infer(&[&TensorType::f32([2, 3, 9, 8])]).unwrap(), TensorType::f32([2, 3, 5, 4]));
        assert!(op.infer(&[&TensorType::f32([3, 9, 8])]).unwrap_err().contains("[N, C, H, W]"));
    }

    #[test]
    fn gradient_checks_the_shape_of_dy() {
        let pool = AvgPool2d { window: Window::new(2).stride(2), count_include_pad: true };
        let grad = AvgPool2dGrad { pool, x: [1, 1, 5, 4].into() };
        assert_eq!(grad.infer(&[&TensorType::f32([1, 1, 2, 2])]).unwrap(), TensorType::f32([1, 1, 5, 4]));
        assert!(grad.infer(&[&TensorType::f32([1, 1, 3, 2])]).unwrap_err().contains("[1, 1, 2, 2]"));
    }

    #[test]
    fn count_include_pad_counts_padding() {
        let padding = Padding::Explicit { top: 0, bottom: 0, left: 2, right: 1 };
        let window = Window::new([1, 2]).padding(padding);
        let y = |count_include_pad| {
            let mut y = [0.0; 4];
            AvgPool2d { window, count_include_pad }.eval(&[View::new(&[1, 1, 1, 2].into(), &[6.0, 8.0])], &mut y);
            y
        };
        assert_eq!(y(true), [0.0, 3.0, 7.0, 4.0]);
        assert_eq!(y(false), [0.0, 6.0, 7.0, 8.0]);
    }

    #[test]
    fn ceil_mode_overhang_never_counts() {
        let window = Window::new([1, 3]).stride(2).padding(Padding::Explicit { top: 0, bottom: 0, left: 0, right: 1 });
        let y = |count_include_pad| {
            let mut y = [0.0; 3];
            let op = AvgPool2d { window: window.ceil_mode(true), count_include_pad };
            op.eval(&[View::new(&[1, 1, 1, 5].into(), &[1.0, 2.0, 3.0, 4.0, 8.0])], &mut y);
            y
        };
        assert_eq!(y(true), [2.0, 5.0, 4.0]);
        assert_eq!(y(false), [2.0, 5.0, 8.0]);
    }
}
