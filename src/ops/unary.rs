//! Scalar functions, element by element: one row of [`TABLE`] each.
//!
//! **What**: `y[i] = f(x[i])` · **Shapes**: any, kept · **Gradient**: `dx[i] = dy[i] · f'(x[i])`, from `y` alone where
//! the row says so, so that `x` need not be kept · **Cost**: one pass over memory, or nothing when it ends another
//! operation's kernel.

use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::shader;
use crate::shape::{DType, TensorType};
use crate::tensor::View;

const UNARY: Shader = shader!("unary");
const UNARY_GRAD: Shader = shader!("unary_grad");

/// A scalar function: its meaning and its WGSL, forward and backward.
pub struct Scalar {
    /// The label.
    pub name: &'static str,
    /// The function.
    pub f: fn(f64) -> f64,
    /// The same in WGSL, of `v`.
    pub wgsl: &'static str,
    /// The derivative, of the value named by `from`.
    pub derivative: fn(f64) -> f64,
    /// `dy · derivative` in WGSL, of `v` (the value named by `from`) and `dy`.
    pub wgsl_grad: &'static str,
    /// What the derivative is computed from.
    pub from: From,
}

/// Which value a derivative is a function of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// The function's argument.
    X,
    /// The function's value.
    Y,
}

/// Every scalar function.
pub static TABLE: &[Scalar] = &[
    Scalar {
        name: "relu",
        // Comparisons, not max: NaN stays NaN.
        f: |x| if x <= 0.0 { 0.0 } else { x },
        wgsl: "select(v, 0.0, v <= 0.0)",
        derivative: |y| if y <= 0.0 { 0.0 } else { 1.0 },
        wgsl_grad: "select(dy, 0.0, v <= 0.0)",
        from: From::Y,
    },
    Scalar {
        name: "sigmoid",
        f: |x| 1.0 / (1.0 + (-x).exp()),
        wgsl: "1.0 / (1.0 + exp(-v))",
        derivative: |y| y * (1.0 - y),
        wgsl_grad: "dy * v * (1.0 - v)",
        from: From::Y,
    },
    Scalar {
        name: "tanh",
        f: f64::tanh,
        // Some drivers compute tanh from exp(2v), which overflows; past 15 it is ±1 in f32.
        wgsl: "select(tanh(clamp(v, -15.0, 15.0)), v, is_nan(v))",
        derivative: |y| 1.0 - y * y,
        wgsl_grad: "dy * (1.0 - v * v)",
        from: From::Y,
    },
];

impl Graph {
    /// `max(x, 0)`, element by element; NaN stays NaN.
    pub fn relu(&mut self, x: NodeId) -> Result<NodeId> {
        self.unary("relu", x)
    }

    /// `1 / (1 + exp(−x))`, element by element.
    pub fn sigmoid(&mut self, x: NodeId) -> Result<NodeId> {
        self.unary("sigmoid", x)
    }

    /// Hyperbolic tangent, element by element.
    pub fn tanh(&mut self, x: NodeId) -> Result<NodeId> {
        self.unary("tanh", x)
    }

    /// The scalar function of that name in [`TABLE`], element by element.
    ///
    /// Errors: no row has that name.
    pub fn unary(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        let Some(scalar) = TABLE.iter().find(|row| row.name == name) else {
            let names: Vec<_> = TABLE.iter().map(|row| row.name).collect();
            return Err(crate::Error::option("scalar function", format!("one of {}", names.join(", ")), name));
        };
        self.append(Unary(scalar), &[x])
    }
}

struct Unary(&'static Scalar);

impl std::fmt::Debug for Unary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unary")
    }
}

impl Op for Unary {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x] if x.dtype == DType::F32 => Ok((*x).clone()),
            _ => Err(format!("takes one f32 tensor, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        for (y, &x) in out.iter_mut().zip(inputs[0].f64()) {
            *y = (self.0.f)(x);
        }
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let from = match self.0.from {
            From::X => graph.node(node).inputs()[0],
            From::Y => node,
        };
        Ok(vec![Some(graph.append(UnaryGrad(self.0), &[from, dy])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(UNARY)
            .function("f", self.0.wgsl)
            .reads_inputs(1)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { overwrites: &[0], epilogue: Some(self.0.wgsl), ..Traits::default() }
    }
}

/// Inputs: the value the derivative is computed from, then `dy`.
struct UnaryGrad(&'static Scalar);

impl std::fmt::Debug for UnaryGrad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UnaryGrad {}", self.0.name)
    }
}

impl Op for UnaryGrad {
    fn name(&self) -> &'static str {
        "unary_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [v, dy] if v == dy && v.dtype == DType::F32 => Ok((*dy).clone()),
            _ => Err(format!("takes two f32 tensors of one shape, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        for ((dx, &v), &dy) in out.iter_mut().zip(inputs[0].f64()).zip(inputs[1].f64()) {
            *dx = dy * (self.0.derivative)(v);
        }
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(UNARY_GRAD)
            .function("f", self.0.wgsl_grad)
            .reads_inputs(2)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { overwrites: &[1, 0], ..Traits::default() }
    }
}
