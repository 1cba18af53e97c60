//! Average pooling.
//!
//! **What**: `y[n,c,p,q] = 1/T · Σ over r,s of x[n, c, p·stride + r·dilation − top, q·stride + s·dilation − left]`;
//! padding counts as 0, T is R·S or, without `count_include_pad`, the number of taps inside the input (a window without
//! any gives 0) · **Shapes**: x `[N, C, H, W]`, y `[N, C, P, Q]` as [`Window::place`] says · **Gradient**: each tap gets
//! `dy / T` · **Errors**: the window does not fit · **Cost**: R·S loads per output.

use rayon::prelude::*;

use super::pool::Pool;
use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Io, Kernel, Limits, Operand, Shader};
use crate::shader;
use crate::shape::{Shape, TensorType, Window};
use crate::tensor::View;

const AVG_POOL2D: Shader = shader!("avg_pool2d");
const AVG_POOL2D_GRAD: Shader = shader!("avg_pool2d_grad");

impl Graph {
    /// The mean of each window of `x` `[N, C, H, W]`; `count_include_pad` says whether padding counts as zeros or not
    /// at all.
    ///
    /// Errors: `x` is no f32 `[N, C, H, W]`; the window does not fit.
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
    /// What the sum over a window is divided by.
    fn divisor(&self, rows: &[usize], columns: &[usize]) -> f64 {
        let [r, s] = if self.count_include_pad { self.window.size } else { [rows.len(), columns.len()] };
        (r * s).max(1) as f64
    }

    /// Whether windows may have different divisors.
    fn excludes_pad(&self, pool: &Pool) -> bool {
        !self.count_include_pad && pool.padded()
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
        let taps = pool.taps();
        let planes = inputs[0].f64().par_chunks(pool.input_plane());
        out.par_chunks_mut(pool.output_plane()).zip(planes).for_each(|(y, x)| {
            for (y, (rows, columns)) in y.iter_mut().zip(taps.windows()) {
                let row = |h: &usize| columns.iter().map(|w| x[h * pool.input[1] + w]).sum::<f64>();
                *y = rows.iter().map(row).sum::<f64>() / self.divisor(rows, columns);
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
        let dispatch = pool
            .dispatch(AVG_POOL2D)
            .constant("PADDED", pool.padded())
            .constant("EXCLUDE_PAD", self.excludes_pad(&pool))
            .reads_inputs(1)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { reduction: self.window.size.iter().product(), multilinear: true, ..Traits::default() }
    }
}

/// Input: `dy`. Its own gradient is the pooling again: both are linear.
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
        let taps = pool.taps();
        let planes = inputs[0].f64().par_chunks(pool.output_plane());
        out.par_chunks_mut(pool.input_plane()).zip(planes).for_each(|(dx, dy)| {
            for (dy, (rows, columns)) in dy.iter().zip(taps.windows()) {
                let share = dy / self.pool.divisor(rows, columns);
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
        let dispatch = pool
            .dispatch_gather(AVG_POOL2D_GRAD, self.x[0] * self.x[1])
            .constant("EXCLUDE_PAD", self.pool.excludes_pad(&pool))
            .reads_inputs(1)
            .writes(Operand::Output);
        vec![Kernel::single(dispatch)]
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
    fn windows_set_the_output() {
        let op = AvgPool2d { window: Window::new(3).stride(2).padding(1), count_include_pad: true };
        assert_eq!(op.infer(&[&TensorType::f32([2, 3, 9, 8])]).unwrap(), TensorType::f32([2, 3, 5, 4]));
        assert!(op.infer(&[&TensorType::f32([3, 9, 8])]).unwrap_err().contains("[N, C, H, W]"));
    }

    #[test]
    fn the_gradient_wants_the_pooled_shape() {
        let pool = AvgPool2d { window: Window::new(2).stride(2), count_include_pad: true };
        let grad = AvgPool2dGrad { pool, x: [1, 1, 5, 4].into() };
        assert_eq!(grad.infer(&[&TensorType::f32([1, 1, 2, 2])]).unwrap(), TensorType::f32([1, 1, 5, 4]));
        assert!(grad.infer(&[&TensorType::f32([1, 1, 3, 2])]).unwrap_err().contains("[1, 1, 2, 2]"));
    }

    #[test]
    fn padding_counts_if_asked() {
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
}
