//! Scalar functions, element by element: one row of [`TABLE`] each.
//!
//! - **Formula**: `y[i] = f(x[i])`.
//! - **Shapes**: any, kept. f32.
//! - **Gradient**: `dx[i] = dy[i] · f'(x[i])`, computed from `y` alone where the row allows it, so that `x` need not be
//!   kept.
//! - **Cost**: one pass over memory, or none when fused into another operation's kernel.

use rayon::prelude::*;

use crate::graph::{Epilogue, Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader, f32_literal, replace_word};
use crate::ops::elementwise::scalars::{From, Parameter, Scalar, TABLE};
use crate::ops::loops::simd::vectorized;
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

/// `y = f(x)` for any WGSL expression.
pub(in crate::ops) const UNARY: Shader = shader!("elementwise/unary");
pub(in crate::ops) const UNARY_GRAD: Shader = shader!("elementwise/unary_grad");

/// The most common function, which has vectorized f32 loops.
const RELU: &str = "relu";
/// Elements per CPU task.
const ELEMENTS_PER_TASK: usize = 1 << 14;

impl Graph {
    /// ReLU, `max(x, 0)`, element by element; NaN is kept.
    pub fn relu(&mut self, x: NodeId) -> Result<NodeId> {
        self.unary("relu", x)
    }

    /// Sigmoid, `1 / (1 + exp(−x))`, element by element.
    pub fn sigmoid(&mut self, x: NodeId) -> Result<NodeId> {
        self.unary("sigmoid", x)
    }

    /// Hyperbolic tangent, element by element.
    pub fn tanh(&mut self, x: NodeId) -> Result<NodeId> {
        self.unary("tanh", x)
    }

    /// Leaky ReLU: `x` where it is positive, else `slope · x`, element by element.
    ///
    /// Errors: a slope that is negative or not finite.
    pub fn leaky_relu(&mut self, x: NodeId, slope: f32) -> Result<NodeId> {
        self.unary_with("leaky_relu", slope, x)
    }

    /// ELU: `x` where it is positive, else `alpha · (exp(x) − 1)`, element by element.
    ///
    /// Errors: an alpha that is negative or not finite.
    pub fn elu(&mut self, x: NodeId, alpha: f32) -> Result<NodeId> {
        self.unary_with("elu", alpha, x)
    }

    /// The scalar function `name` of [`TABLE`], element by element, with the default of its parameter.
    ///
    /// Errors: no row has that name.
    pub fn unary(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        let row = row(name)?;
        let a = row.parameter.as_ref().map_or(0.0, |parameter| parameter.default);
        self.append(Unary { row, a }, &[x])
    }

    /// The scalar function `name` of [`TABLE`] with this parameter, element by element.
    ///
    /// Errors: no row has that name; it has no parameter; the parameter is negative or not finite.
    pub fn unary_with(&mut self, name: &str, parameter: f32, x: NodeId) -> Result<NodeId> {
        let row = row(name)?;
        let Some(Parameter { name: what, .. }) = row.parameter else {
            return Err(crate::Error::option(name, "no parameter", parameter));
        };
        if !(parameter.is_finite() && parameter >= 0.0) {
            return Err(crate::Error::option(format!("{what} of {name}"), "a finite number from 0", parameter));
        }
        self.append(Unary { row, a: parameter }, &[x])
    }
}

fn row(name: &str) -> Result<&'static Scalar> {
    TABLE.iter().find(|row| row.name == name).ok_or_else(|| {
        let names: Vec<_> = TABLE.iter().map(|row| row.name).collect();
        crate::Error::option("scalar function", format!("one of {}", names.join(", ")), name)
    })
}

/// A WGSL expression with its parameter substituted.
fn with_parameter(wgsl: &str, a: f32) -> String {
    wgsl.replace("{a}", &f32_literal(a))
}

struct Unary {
    row: &'static Scalar,
    a: f32,
}

impl std::fmt::Debug for Unary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.row.parameter {
            Some(parameter) => write!(f, "Unary {{ {}: {} }}", parameter.name, self.a),
            None => f.write_str("Unary"),
        }
    }
}

impl Op for Unary {
    fn name(&self) -> &'static str {
        self.row.name
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x] if x.dtype == DType::F32 => Ok((*x).clone()),
            _ => Err(format!("takes one f32 tensor, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let a = f64::from(self.a);
        for (y, &x) in out.iter_mut().zip(inputs[0].f64()) {
            *y = (self.row.f)(x, a);
        }
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let a = f64::from(self.a);
        let is_relu = self.row.name == RELU;
        out.par_chunks_mut(ELEMENTS_PER_TASK).zip(inputs[0].f32().par_chunks(ELEMENTS_PER_TASK)).for_each(|(y, x)| {
            match is_relu {
                true => vectorized(|| y.iter_mut().zip(x).for_each(|(y, &x)| *y = if x <= 0.0 { 0.0 } else { x })),
                false => y.iter_mut().zip(x).for_each(|(y, &x)| *y = (self.row.f)(f64::from(x), a) as f32),
            }
        });
        true
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let from = match self.row.from {
            From::X => graph.node(node).inputs()[0],
            From::Y => node,
        };
        Ok(vec![Some(graph.append(UnaryGrad { row: self.row, a: self.a }, &[from, dy])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(UNARY)
            .function("f", with_parameter(self.row.wgsl, self.a))
            .reads_inputs(1)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }

    // The effect of a rounded argument on the value: `|x · f'(x)|`.
    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        let a = f64::from(self.a);
        let slope = |x: f64| match self.row.from {
            From::X => (self.row.derivative)(x, a),
            From::Y => (self.row.derivative)((self.row.f)(x, a), a),
        };
        inputs[0].f64().iter().map(|&x| (x * slope(x)).abs()).filter(|v| v.is_finite()).fold(0.0, f64::max)
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        let expression = with_parameter(self.row.wgsl, self.a);
        let epilogue = Epilogue { expression, of: 0, factor: None, keeps_zeros: false };
        Traits { overwrites: &[0], epilogue: Some(epilogue), ..Traits::default() }
    }
}

/// Gradient of a scalar function. Inputs: the value from which the derivative is computed, then dy.
struct UnaryGrad {
    row: &'static Scalar,
    a: f32,
}

impl std::fmt::Debug for UnaryGrad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.row.parameter {
            Some(parameter) => write!(f, "UnaryGrad {} {{ {}: {} }}", self.row.name, parameter.name, self.a),
            None => write!(f, "UnaryGrad {}", self.row.name),
        }
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
        let a = f64::from(self.a);
        for ((dx, &v), &dy) in out.iter_mut().zip(inputs[0].f64()).zip(inputs[1].f64()) {
            *dx = dy * (self.row.derivative)(v, a);
        }
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let a = f64::from(self.a);
        let is_relu = self.row.name == RELU;
        let operands = inputs[0].f32().par_chunks(ELEMENTS_PER_TASK).zip(inputs[1].f32().par_chunks(ELEMENTS_PER_TASK));
        out.par_chunks_mut(ELEMENTS_PER_TASK).zip(operands).for_each(|(dx, (v, dy))| {
            let each = dx.iter_mut().zip(v).zip(dy);
            match is_relu {
                true => vectorized(|| each.for_each(|((dx, &v), &dy)| *dx = if v <= 0.0 { 0.0 } else { dy })),
                false => each.for_each(|((dx, &v), &dy)| {
                    *dx = (f64::from(dy) * (self.row.derivative)(f64::from(v), a)) as f32;
                }),
            }
        });
        true
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(UNARY_GRAD)
            .function("f", with_parameter(self.row.wgsl_grad, self.a))
            .reads_inputs(2)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }

    // Derivatives are sums of terms up to about 1 that may cancel.
    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        inputs[1].magnitude() * f64::from(self.a.max(1.0))
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        // In an epilogue `dy` is named `v`.
        let grad = with_parameter(self.row.wgsl_grad, self.a);
        let expression = replace_word(&replace_word(&grad, "v", "factor[i]"), "dy", "v");
        // A constant derivative reads no second operand, and a kernel binds only operands that it reads.
        let reads = expression.contains("factor");
        // A derivative that is finite even at these is finite everywhere, and 0 times it is 0.
        let slope = |v: f64| (self.row.derivative)(v, f64::from(self.a));
        let keeps_zeros = [0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN].into_iter().all(|v| slope(v).is_finite());
        let epilogue = reads.then_some(Epilogue { expression, of: 1, factor: Some(0), keeps_zeros });
        Traits { overwrites: &[1, 0], epilogue, ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([3])).unwrap();
        assert!(graph.leaky_relu(x, 0.2).is_ok() && graph.unary("elu", x).is_ok());
        let error = graph.leaky_relu(x, -1.0).unwrap_err().to_string();
        assert!(error.contains("slope of leaky_relu: expected a finite number from 0, found -1"), "{error}");
        assert!(graph.elu(x, f32::NAN).is_err());
        assert!(graph.unary_with("gelu", 1.0, x).unwrap_err().to_string().contains("no parameter"));
        assert!(graph.unary("gelou", x).unwrap_err().to_string().contains("gelu_tanh"));
    }
}
