//! Broadcasting to a larger shape.
//!
//! - **Formula**: `y[i] = x[i]`; axes are matched from the last, axes of extent 1 and missing axes are repeated.
//! - **Shapes**: x that broadcasts to the shape of y by NumPy's rule. f32.
//! - **Gradient**: the sum over the repeated axes.
//! - **Cost**: one pass over y.

use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Io, Kernel, Limits};
use crate::ops::loops::strided::Strided;
use crate::shape::{DType, Shape, TensorType};
use crate::tensor::View;

impl Graph {
    /// Broadcasting of `x` to `shape`: axes are matched from the last; axes of extent 1 and missing axes are repeated.
    /// Nothing is appended if `x` has that shape, and no data moves if only axes of extent 1 are added.
    ///
    /// Errors: an axis of `x` that is neither 1 nor the new extent; fewer axes than `x` has.
    pub fn broadcast_to(&mut self, x: NodeId, shape: impl Into<Shape>) -> Result<NodeId> {
        let op = BroadcastTo { shape: shape.into() };
        let ends_with_x = op.shape.ends_with(self.shape(x));
        if ends_with_x && op.shape[..op.shape.len() - self.shape(x).len()].iter().all(|&extent| extent == 1) {
            return self.reshape(x, op.shape);
        }
        self.append(op, &[x])
    }

    /// Sum of `x` over the axes that [`Graph::broadcast_to`] would repeat from `shape` to the shape of `x`: its
    /// gradient. Nothing is appended if `x` has that shape.
    ///
    /// Errors: `shape` does not broadcast to the shape of `x`.
    pub fn sum_to(&mut self, x: NodeId, shape: impl Into<Shape>) -> Result<NodeId> {
        let (shape, full) = (shape.into(), self.shape(x).clone());
        if Shape::broadcast(&shape, &full).as_ref() != Ok(&full) {
            return Err(crate::Error::option("shape to sum to", format!("one that broadcasts to {full}"), shape));
        }
        let lead = full.len() - shape.len();
        let axes: Vec<usize> = (0..full.len()).filter(|&i| full[i] > 1 && (i < lead || shape[i - lead] == 1)).collect();
        let sum = if axes.is_empty() { x } else { self.sum(x, &axes, true)? };
        self.reshape(sum, shape)
    }
}

#[derive(Debug)]
struct BroadcastTo {
    shape: Shape,
}

impl Op for BroadcastTo {
    fn name(&self) -> &'static str {
        "broadcast_to"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x] if x.dtype == DType::F32 => match Shape::broadcast(&x.shape, &self.shape)? {
                shape if shape == self.shape => Ok(TensorType::f32(shape)),
                shape => {
                    Err(format!("x {} does not broadcast to {}, which must be at least {shape}", x.shape, self.shape))
                }
            },
            _ => Err(format!("takes one f32 tensor, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        Strided::broadcast([inputs[0].shape], &self.shape).gather(inputs[0].f64(), out);
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let shape = graph.shape(graph.node(node).inputs()[0]).clone();
        Ok(vec![Some(graph.sum_to(dy, shape)?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        vec![Strided::broadcast([&io.inputs[0].shape], &self.shape).gather_kernel(io)]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { multilinear: true, ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ones_and_missing_axes_are_repeated() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([3, 1])).unwrap();
        let y = graph.broadcast_to(x, [2, 3, 4]).unwrap();
        assert_eq!(**graph.shape(y), [2, 3, 4]);
        let back = graph.sum_to(y, [3, 1]).unwrap();
        assert_eq!(**graph.shape(back), [3, 1]);
        let error = graph.broadcast_to(x, [2, 4, 4]).unwrap_err().to_string();
        assert!(error.contains("[3, 1] and [2, 4, 4] do not broadcast"), "{error}");
        let error = graph.broadcast_to(x, [1]).unwrap_err().to_string();
        assert!(error.contains("at least [3, 1]"), "{error}");
        let error = graph.sum_to(x, [2, 3, 1]).unwrap_err().to_string();
        assert!(error.contains("broadcasts to [3, 1]"), "{error}");
    }

    #[test]
    fn reshapes_move_no_data() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([3, 1])).unwrap();
        assert_eq!(graph.broadcast_to(x, [3, 1]).unwrap(), x);
        assert_eq!(graph.sum_to(x, [3, 1]).unwrap(), x);
        let y = graph.broadcast_to(x, [1, 1, 3, 1]).unwrap();
        assert_eq!(graph.node(y).op().unwrap().name(), "reshape");
    }
}
