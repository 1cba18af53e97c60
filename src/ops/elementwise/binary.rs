//! Element-wise arithmetic of two tensors with broadcasting: one row of [`TABLE`] per function.
//!
//! - **Formula**: `y[i] = f(a[i], b[i])`.
//! - **Shapes**: a and b broadcast as in NumPy: axes are matched from the last, axes of extent 1 and missing axes are
//!   repeated. f32.
//! - **Gradient**: by the row's rule, then summed over the axes along which an operand was repeated.
//! - **Cost**: one pass over memory.

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::loops::strided::Strided;
use crate::shape::{DType, Shape, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

const BINARY: Shader = shader!("elementwise/binary");
const BROADCAST: Shader = shader!("elementwise/binary_broadcast");

/// A binary function: f64 reference, WGSL and gradient.
pub struct Arithmetic {
    /// Name of the operation.
    pub name: &'static str,
    /// f64 reference.
    pub f: fn(f64, f64) -> f64,
    /// WGSL expression of `a` and `b`.
    pub wgsl: &'static str,
    /// Whether it is linear in each operand.
    pub multilinear: bool,
    /// Appends the gradients to a and b, before the sums over repeated axes.
    pub(in crate::ops) grad: fn(&mut Graph, Terms) -> Result<[NodeId; 2]>,
}

/// Nodes that a gradient may use.
pub(in crate::ops) struct Terms {
    pub(in crate::ops) a: NodeId,
    pub(in crate::ops) b: NodeId,
    pub(in crate::ops) y: NodeId,
    pub(in crate::ops) dy: NodeId,
}

/// Table of all binary functions.
pub static TABLE: &[Arithmetic] = &[
    Arithmetic { name: "add", f: |a, b| a + b, wgsl: "a + b", multilinear: false, grad: |_, t| Ok([t.dy, t.dy]) },
    Arithmetic {
        name: "sub",
        f: |a, b| a - b,
        wgsl: "a - b",
        multilinear: false,
        grad: |graph, t| Ok([t.dy, graph.scale(t.dy, -1.0)?]),
    },
    Arithmetic {
        name: "mul",
        f: |a, b| a * b,
        wgsl: "a * b",
        multilinear: true,
        grad: |graph, t| Ok([graph.mul(t.dy, t.b)?, graph.mul(t.dy, t.a)?]),
    },
    Arithmetic {
        name: "div",
        f: |a, b| a / b,
        wgsl: "a / b",
        multilinear: false,
        grad: |graph, t| {
            let da = graph.div(t.dy, t.b)?;
            let db = graph.mul(da, t.y)?;
            Ok([da, graph.scale(db, -1.0)?])
        },
    },
];

impl Graph {
    /// Sum `a + b`, element by element, with broadcasting.
    ///
    /// Errors: shapes that do not broadcast.
    pub fn add(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary("add", a, b)
    }

    /// Difference `a − b`, element by element, with broadcasting.
    ///
    /// Errors: shapes that do not broadcast.
    pub fn sub(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary("sub", a, b)
    }

    /// Product `a · b`, element by element, with broadcasting.
    ///
    /// Errors: shapes that do not broadcast.
    pub fn mul(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary("mul", a, b)
    }

    /// Quotient `a / b`, element by element, with broadcasting.
    ///
    /// Errors: shapes that do not broadcast.
    pub fn div(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary("div", a, b)
    }

    /// The binary function `name` of [`TABLE`], element by element, with broadcasting.
    ///
    /// Errors: no row has that name; shapes that do not broadcast.
    pub fn binary(&mut self, name: &str, a: NodeId, b: NodeId) -> Result<NodeId> {
        let Some(row) = TABLE.iter().find(|row| row.name == name) else {
            let names: Vec<_> = TABLE.iter().map(|row| row.name).collect();
            return Err(crate::Error::option("arithmetic", format!("one of {}", names.join(", ")), name));
        };
        self.append(Binary(row), &[a, b])
    }
}

/// A dispatch of a WGSL expression of `a` and `b` over two operands that broadcast to `y`; the caller binds them.
pub(in crate::ops) fn elementwise(expression: &'static str, a: &Shape, b: &Shape, y: &Shape) -> Dispatch {
    let dispatch = if a.elements() == y.elements() && b.elements() == y.elements() {
        Dispatch::new(BINARY)
    } else {
        let walk = Strided::broadcast([a, b], y);
        walk.dispatch(BROADCAST)
            .constant("STRIDES_A", walk.strides[0].as_slice())
            .constant("STRIDES_B", walk.strides[1].as_slice())
    };
    dispatch.function("f", expression).invocations(y.elements(), 64)
}

pub(in crate::ops) struct Binary(pub(in crate::ops) &'static Arithmetic);

impl std::fmt::Debug for Binary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Binary")
    }
}

impl Op for Binary {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [a, b] if a.dtype == DType::F32 && b.dtype == DType::F32 => {
                Shape::broadcast(&a.shape, &b.shape).map(TensorType::f32)
            }
            _ => Err(format!("takes two f32 tensors, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let shape = Shape::broadcast(inputs[0].shape, inputs[1].shape).expect("inferred when built");
        let (a, b) = (inputs[0].f64(), inputs[1].f64());
        let walk = Strided::broadcast([inputs[0].shape, inputs[1].shape], &shape);
        let steps = walk.steps();
        walk.runs(|range, [first_a, first_b]| {
            let (a, b, y) = (&a[first_a..], &b[first_b..], &mut out[range]);
            match steps {
                [1, 1] => y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = (self.0.f)(a, b)),
                [step_a, step_b] => {
                    y.iter_mut().enumerate().for_each(|(i, y)| *y = (self.0.f)(a[i * step_a], b[i * step_b]));
                }
            }
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let (a, b) = (graph.node(node).inputs()[0], graph.node(node).inputs()[1]);
        let [da, db] = (self.0.grad)(graph, Terms { a, b, y: node, dy })?;
        let (shape_a, shape_b) = (graph.shape(a).clone(), graph.shape(b).clone());
        Ok(vec![Some(graph.sum_to(da, shape_a)?), Some(graph.sum_to(db, shape_b)?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = elementwise(self.0.wgsl, &io.inputs[0].shape, &io.inputs[1].shape, &io.output.shape);
        vec![Kernel::single(dispatch.reads_inputs(2).writes(Operand::Output))]
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        // Sums may cancel; products and quotients do not.
        if matches!(self.0.name, "add" | "sub") { inputs[0].magnitude().max(inputs[1].magnitude()) } else { 0.0 }
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let whole = |n: usize| io.inputs[n].shape.elements() == io.output.shape.elements();
        let overwrites: &[usize] = match (whole(0), whole(1)) {
            (true, true) => &[0, 1],
            (true, false) => &[0],
            (false, true) => &[1],
            (false, false) => &[],
        };
        Traits { multilinear: self.0.multilinear, overwrites, ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_or_are_rejected() {
        let mut graph = Graph::new();
        let a = graph.input("a", TensorType::f32([8, 1, 6])).unwrap();
        let b = graph.input("b", TensorType::f32([7, 1])).unwrap();
        let y = graph.mul(a, b).unwrap();
        assert_eq!(**graph.shape(y), [8, 7, 6]);
        assert!(graph.traits(y).overwrites.is_empty());
        let z = graph.sub(b, y).unwrap();
        assert_eq!(graph.traits(z).overwrites, [1]);
        let c = graph.input("c", TensorType::f32([2, 6])).unwrap();
        let error = graph.add(y, c).unwrap_err().to_string();
        assert!(error.contains("add: [8, 7, 6] and [2, 6] do not broadcast"), "{error}");
        let labels = graph.input("labels", TensorType::u32([6])).unwrap();
        assert!(graph.div(a, labels).unwrap_err().to_string().contains("takes two f32 tensors"));
        assert!(graph.binary("pow", a, b).unwrap_err().to_string().contains("one of add, sub, mul, div"));
    }
}
