//! Upsampling and resizing of images: nearest neighbor and bilinear interpolation.
//!
//! - **Formula**: along an axis of H elements resized to P, output p has the source coordinate
//!   `s = (p + ½) · H / P − ½`, at least 0. Bilinear: `y[p] = (1 − λ) · x[⌊s⌋] + λ · x[⌊s⌋ + 1]` with `λ = s − ⌊s⌋`,
//!   the last element repeated (`align_corners` false). Nearest: `y[p] = x[⌊p · H / P⌋]`.
//! - **Shapes**: x `[N, C, H, W]`, y `[N, C, P, Q]`, P and Q smaller or larger. f32.
//! - **Range**: source coordinates are exact fractions.
//! - **Gradient**: each input gathers the outputs it contributes to, in order.
//! - **Cost**: a pass for the rows, then one for the columns; an axis that keeps its size costs nothing.

use serde::{Deserialize, Serialize};

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::shader;
use crate::shape::{DType, Pair, TensorType};
use crate::tensor::View;
use crate::{Error, Result};

const RESIZE: Shader = shader!("layout/resize");
const RESIZE_GRAD: Shader = shader!("layout/resize_grad");

/// Maximum extent: products of larger ones would overflow the u32 of shaders.
const MAX_EXTENT: usize = (1 << 15) - 1;

/// Interpolation mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// Nearest neighbor: the element at or before the source coordinate.
    #[default]
    Nearest,
    /// Bilinear interpolation along rows and columns.
    Bilinear,
}

impl Graph {
    /// Upsampling (or downsampling) of `x` `[N, C, H, W]` to `size` rows and columns.
    ///
    /// Errors: an `x` that is not `[N, C, H, W]`; a size of 0 or above 32,767.
    pub fn upsample(&mut self, x: NodeId, size: impl Into<Pair>, how: Upsampling) -> Result<NodeId> {
        let Pair(size) = size.into();
        let mut y = x;
        for (axis, to) in [2, 3].into_iter().zip(size) {
            if self.shape(y).get(axis) != Some(&to) {
                y = self.append(Resize { axis, to, how }, &[y])?;
            }
        }
        Ok(y)
    }

    /// Upsampling of `x` `[N, C, H, W]` by a factor along rows and columns.
    ///
    /// Errors: as [`Graph::upsample`].
    pub fn upsample_by(&mut self, x: NodeId, factor: impl Into<Pair>, how: Upsampling) -> Result<NodeId> {
        let Pair([rows, columns]) = factor.into();
        let [_, _, h, w] = self.shape(x).nchw("x").map_err(|e| Error::option("upsampling", "images", e))?;
        self.upsample(x, [h.saturating_mul(rows), w.saturating_mul(columns)], how)
    }
}

/// Resizing along one axis.
#[derive(Clone, Copy, Debug)]
struct Resize {
    axis: usize,
    to: usize,
    how: Upsampling,
}

/// The input and output extents of an axis, and its stride.
#[derive(Clone, Copy)]
struct Extents {
    /// Input extent.
    from: usize,
    /// Output extent.
    to: usize,
    inner: usize,
}

impl Resize {
    fn extents(&self, x: &[usize]) -> Extents {
        Extents { from: x[self.axis], to: self.to, inner: x[self.axis + 1..].iter().product() }
    }

    /// The two inputs of output `p`, and the weight of the second.
    fn taps(&self, from: usize, p: usize) -> ([usize; 2], f64) {
        match self.how {
            Upsampling::Nearest => ([p * from / self.to; 2], 0.0),
            Upsampling::Bilinear => {
                let twice = 2 * self.to;
                let at = ((2 * p + 1) * from).saturating_sub(self.to);
                let first = at / twice;
                ([first, (first + 1).min(from - 1)], (at % twice) as f64 / twice as f64)
            }
        }
    }

    fn dispatch(&self, shader: Shader, e: Extents, invocations: usize) -> Kernel {
        let dispatch = Dispatch::new(shader)
            .constants([("FROM", e.from), ("TO", e.to), ("INNER", e.inner)])
            .constant("LINEAR", self.how == Upsampling::Bilinear)
            .reads_inputs(1)
            .writes(Operand::Output)
            .invocations(invocations, 64);
        Kernel::single(dispatch)
    }
}

impl Op for Resize {
    fn name(&self) -> &'static str {
        "resize"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let mut shape = match inputs {
            [x] if x.dtype == DType::F32 => x.shape.nchw("x")?,
            _ => return Err(format!("takes one f32 tensor, found {inputs:?}")),
        };
        let (from, name) = (shape[self.axis], ["rows", "columns"][self.axis - 2]);
        if !(1..=MAX_EXTENT).contains(&self.to) || from > MAX_EXTENT {
            return Err(format!("{name} must be 1 to {MAX_EXTENT} before and after, are {from} and {}", self.to));
        }
        shape[self.axis] = self.to;
        Ok(TensorType::f32(shape))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let e = self.extents(inputs[0].shape);
        let planes = out.chunks_mut(e.to * e.inner).zip(inputs[0].f64().chunks(e.from * e.inner));
        for (y, x) in planes {
            for (p, y) in y.chunks_mut(e.inner).enumerate() {
                let ([first, second], share) = self.taps(e.from, p);
                let (a, b) = (&x[first * e.inner..][..e.inner], &x[second * e.inner..][..e.inner]);
                match self.how {
                    Upsampling::Nearest => y.copy_from_slice(a),
                    Upsampling::Bilinear => {
                        y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = (1.0 - share) * a + share * b);
                    }
                }
            }
        }
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let from = graph.shape(graph.node(node).inputs()[0])[self.axis];
        Ok(vec![Some(graph.append(ResizeGrad { forward: *self, from }, &[dy])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        vec![self.dispatch(RESIZE, self.extents(&io.inputs[0].shape), io.output.shape.elements())]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { reduction: 2, multilinear: true, ..Traits::default() }
    }
}

/// Gradient to an axis of `from` elements. Input dy.
#[derive(Debug)]
struct ResizeGrad {
    forward: Resize,
    from: usize,
}

impl Op for ResizeGrad {
    fn name(&self) -> &'static str {
        "resize_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [dy] if dy.dtype == DType::F32 && dy.shape.get(self.forward.axis) == Some(&self.forward.to) => {
                let mut shape = dy.shape.to_vec();
                shape[self.forward.axis] = self.from;
                Ok(TensorType::f32(shape))
            }
            _ => Err(format!("takes dy with {} positions along axis {}", self.forward.to, self.forward.axis)),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let e = Extents { from: self.from, ..self.forward.extents(inputs[0].shape) };
        let planes = out.chunks_mut(e.from * e.inner).zip(inputs[0].f64().chunks(e.to * e.inner));
        for (dx, dy) in planes {
            for (p, dy) in dy.chunks(e.inner).enumerate() {
                let (taps, share) = self.forward.taps(e.from, p);
                for (tap, weight) in taps.into_iter().zip([1.0 - share, share]).filter(|(_, weight)| *weight > 0.0) {
                    dx[tap * e.inner..][..e.inner].iter_mut().zip(dy).for_each(|(dx, dy)| *dx += weight * dy);
                }
            }
        }
    }

    fn grad(&self, graph: &mut Graph, _: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(graph.append(self.forward, &[dy])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let e = self.forward.extents(&io.output.shape);
        vec![self.forward.dispatch(RESIZE_GRAD, e, io.output.shape.elements())]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        // An output contributes to at most two inputs.
        Traits { reduction: 2 * self.forward.to.div_ceil(self.from) + 2, multilinear: true, ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_factors_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 3, 4, 5])).unwrap();
        let y = graph.upsample_by(x, [2, 3], Upsampling::Bilinear).unwrap();
        assert_eq!(**graph.shape(y), [2, 3, 8, 15]);
        assert_eq!(graph.upsample(x, [4, 5], Upsampling::Nearest).unwrap(), x);
        let error = graph.upsample(x, [0, 5], Upsampling::Nearest).unwrap_err().to_string();
        assert!(error.contains("rows must be 1 to 32767 before and after, are 4 and 0"), "{error}");
        assert!(graph.upsample_by(x, usize::MAX, Upsampling::Nearest).is_err());
        let row = graph.input("row", TensorType::f32([5])).unwrap();
        assert!(graph.upsample(row, 2, Upsampling::Nearest).unwrap_err().to_string().contains("[N, C, H, W]"));
    }

    #[test]
    fn coordinates_match_pytorch() {
        let taps = |how, from, to: usize| {
            let resize = Resize { axis: 2, to, how };
            (0..to).map(|p| resize.taps(from, p)).map(|([a, _], share)| a as f64 + share).collect::<Vec<_>>()
        };
        assert_eq!(taps(Upsampling::Nearest, 3, 5), [0.0, 0.0, 1.0, 1.0, 2.0]);
        assert_eq!(taps(Upsampling::Bilinear, 2, 4), [0.0, 0.25, 0.75, 1.25]);
        assert_eq!(taps(Upsampling::Bilinear, 4, 2), [0.5, 2.5]);
    }
}
