//! Transposition: a permutation of the axes.
//!
//! - **Formula**: `y[i_axes[0], i_axes[1], …] = x[i_0, i_1, …]`.
//! - **Shapes**: axis `k` of y is axis `axes[k]` of x. f32.
//! - **Gradient**: the inverse permutation of dy.
//! - **Cost**: one pass over memory.

use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Io, Kernel, Limits};
use crate::ops::loops::strided::Strided;
use crate::shape::{DType, Shape, TensorType};
use crate::tensor::View;

impl Graph {
    /// Permutation of the axes: axis `k` of the result is axis `axes[k]` of `x`.
    ///
    /// Errors: `axes` that do not name each axis of `x` once.
    pub fn transpose(&mut self, x: NodeId, axes: &[usize]) -> Result<NodeId> {
        self.append(Transpose { axes: axes.to_vec() }, &[x])
    }
}

#[derive(Debug)]
struct Transpose {
    axes: Vec<usize>,
}

impl Transpose {
    fn walk(&self, x: &Shape) -> Strided<1> {
        let strides = x.strides();
        let shape: Vec<usize> = self.axes.iter().map(|&axis| x[axis]).collect();
        Strided::new(&shape, [self.axes.iter().map(|&axis| strides[axis]).collect()])
    }
}

impl Op for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let x = match inputs {
            [x] if x.dtype == DType::F32 => &x.shape,
            _ => return Err(format!("takes one f32 tensor, found {inputs:?}")),
        };
        let mut sorted = self.axes.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..x.len()) {
            let all: Vec<usize> = (0..x.len()).collect();
            return Err(format!("axes must be {all:?} in some order for x {x}, are {:?}", self.axes));
        }
        Ok(TensorType::f32(self.axes.iter().map(|&axis| x[axis]).collect::<Vec<_>>()))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        self.walk(inputs[0].shape).gather(inputs[0].f64(), out);
    }

    fn grad(&self, graph: &mut Graph, _: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let mut inverse = vec![0; self.axes.len()];
        self.axes.iter().enumerate().for_each(|(k, &axis)| inverse[axis] = k);
        Ok(vec![Some(graph.transpose(dy, &inverse)?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        vec![self.walk(&io.inputs[0].shape).gather_kernel(io)]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { multilinear: true, ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_must_be_a_permutation() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 3, 5])).unwrap();
        let y = graph.transpose(x, &[2, 0, 1]).unwrap();
        assert_eq!(**graph.shape(y), [5, 2, 3]);
        for axes in [&[0, 1][..], &[0, 1, 1], &[1, 2, 3], &[0, 1, 2, 3]] {
            let error = graph.transpose(x, axes).unwrap_err().to_string();
            assert!(error.contains("[0, 1, 2] in some order") && error.contains(&format!("{axes:?}")), "{error}");
        }
    }
}
