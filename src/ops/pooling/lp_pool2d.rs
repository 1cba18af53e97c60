//! 2-D power-average (Lp) pooling, between the sum (p = 1) and the maximum (p = ∞) of each window.
//!
//! - **Formula**: `y = (R·S · mean of x^p over the window)^(1/p)`, by PyTorch's definition: without absolute values, so
//!   an odd p may take the root of a negative number, which is NaN. Padding is zeros. In ceil mode the mean is over the
//!   taps within input and padding ([`Graph::avg_pool2d`]), so a smaller last window is scaled up to a full one.
//! - **Shapes**: x `[N, C, H, W]`, y `[N, C, P, Q]` by [`Window::place`]. f32; `x^p` must not exceed the largest f32.
//! - **Gradient**: `dy · y^(1−p) · x^(p−1)` to each tap; 0 where y is 0.
//! - **Errors**: p below 1 or not finite; a window larger than the padded input.
//! - **Cost**: an average pooling and two passes over memory, one over x and one over y.

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, f32_literal};
use crate::ops::elementwise::unary::{UNARY, UNARY_GRAD};
use crate::shape::{DType, TensorType, Window};
use crate::tensor::View;
use crate::{Error, Result};

impl Graph {
    /// 2-D Lp pooling, `(Σ x^p)^(1/p)` of each window of `x` `[N, C, H, W]`. In ceil mode a smaller last window is
    /// scaled up to a full one, as in PyTorch. The gradient is 0 where the sum is 0.
    ///
    /// Errors: p below 1 or not finite; `x` is not f32 `[N, C, H, W]`; a window larger than the padded input.
    pub fn lp_pool2d(&mut self, x: NodeId, window: Window, p: f32) -> Result<NodeId> {
        if !(p.is_finite() && p >= 1.0) {
            let expected = "a finite number of at least 1 (for infinity, max_pool2d)";
            return Err(Error::option("lp_pool2d p", expected, p));
        }
        let p = f64::from(p);
        let powers = if p == 1.0 { x } else { self.append(Power { factor: 1.0, exponent: p }, &[x])? };
        let means = self.avg_pool2d(powers, window, true)?;
        let taps = (window.size[0] * window.size[1]) as f64;
        self.append(Power { factor: taps, exponent: 1.0 / p }, &[means])
    }
}

/// `(factor · x)^exponent`, element by element. The derivative at 0 is defined as 0 where it would be infinite.
#[derive(Clone, Copy, Debug)]
struct Power {
    factor: f64,
    exponent: f64,
}

/// `v^exponent`; NaN for a negative v and an exponent that is not an integer.
fn power(v: f64, exponent: f64) -> f64 {
    if v < 0.0 && exponent.fract() != 0.0 { f64::NAN } else { v.powf(exponent) }
}

/// [`power`] in WGSL, for a scalar named `v`. WGSL's `pow` is defined for positive numbers only.
fn power_wgsl(v: &str, exponent: f64) -> String {
    let not_negative = |root: &str| {
        let nan = format!("bitcast<f32>(bitcast<u32>({v}) | 0x7fc00000u)");
        format!("select({root}, {nan}, {v} < 0.0 || is_nan({v}))")
    };
    if exponent == 0.0 {
        return "1.0".into();
    }
    if (1.0..=4.0).contains(&exponent) && exponent.fract() == 0.0 {
        return format!("({})", vec![v; exponent as usize].join(" * "));
    }
    if exponent == 0.5 {
        return not_negative(&format!("sqrt({v})"));
    }
    let magnitude = format!("exp2({} * log2(abs({v})))", f32_literal(exponent as f32));
    let at_zero = if exponent > 0.0 { format!("0.0 * {v}") } else { format!("1.0 / {v}") };
    let magnitude = format!("select({magnitude}, abs({at_zero}), {v} == 0.0)");
    match exponent.rem_euclid(2.0) {
        0.0 => format!("select({magnitude}, {v}, is_nan({v}))"),
        1.0 => format!("select(select({magnitude}, -{magnitude}, {v} < 0.0), {v}, is_nan({v}))"),
        _ => not_negative(&magnitude),
    }
}

impl Power {
    /// The derivative at `x`.
    fn slope(&self, x: f64) -> f64 {
        let flat = x == 0.0 && self.exponent < 1.0;
        if flat { 0.0 } else { self.factor * self.exponent * power(self.factor * x, self.exponent - 1.0) }
    }

    fn scaled(&self) -> String {
        format!("({} * v)", f32_literal(self.factor as f32))
    }

    /// Factor by which a power amplifies rounding errors: it is computed as `exp2` of a logarithm, whose absolute error
    /// grows with its magnitude.
    fn error_growth(&self, x: f64, exponent: f64) -> f64 {
        let log = (self.factor * x).abs().ln() * exponent;
        if log.is_finite() { 1.0 + log.abs() } else { 1.0 }
    }
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.filter(|v| v.is_finite()).fold(0.0, f64::max)
}

impl Op for Power {
    fn name(&self) -> &'static str {
        "lp_pool2d_power"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x] if x.dtype == DType::F32 => Ok((*x).clone()),
            _ => Err(format!("takes one f32 tensor, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        for (y, x) in out.iter_mut().zip(inputs[0].f64()) {
            *y = power(self.factor * x, self.exponent);
        }
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let x = graph.node(node).inputs()[0];
        Ok(vec![Some(graph.append(PowerGrad(*self), &[x, dy])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(UNARY)
            .function("f", power_wgsl(&self.scaled(), self.exponent))
            .reads_inputs(1)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        let scale = |&x: &f64| power(self.factor * x, self.exponent).abs() * self.error_growth(x, self.exponent);
        largest(inputs[0].f64().iter().map(scale))
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { overwrites: &[0], ..Traits::default() }
    }
}

/// Gradient of [`Power`]. Inputs x, dy.
#[derive(Debug)]
struct PowerGrad(Power);

impl Op for PowerGrad {
    fn name(&self) -> &'static str {
        "lp_pool2d_power_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x, dy] if x == dy && x.dtype == DType::F32 => Ok((*dy).clone()),
            _ => Err(format!("takes two f32 tensors of one shape, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        for ((dx, &x), dy) in out.iter_mut().zip(inputs[0].f64()).zip(inputs[1].f64()) {
            *dx = dy * self.0.slope(x);
        }
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let Power { factor, exponent } = self.0;
        let power = power_wgsl(&self.0.scaled(), exponent - 1.0);
        let slope = format!("{} * {power}", f32_literal((factor * exponent) as f32));
        let slope = if exponent < 1.0 { format!("select({slope}, 0.0, v == 0.0)") } else { slope };
        let dispatch = Dispatch::new(UNARY_GRAD)
            .function("f", format!("dy * ({slope})"))
            .reads_inputs(2)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        let scale =
            |(&x, &dy): (&f64, &f64)| (dy * self.0.slope(x)).abs() * self.0.error_growth(x, self.0.exponent - 1.0);
        largest(inputs[0].f64().iter().zip(inputs[1].f64()).map(scale))
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { overwrites: &[1, 0], ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_below_one_is_rejected() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([1, 2, 4, 5])).unwrap();
        let y = graph.lp_pool2d(x, Window::new(2), 2.0).unwrap();
        assert_eq!(graph.shape(y).to_vec(), [1, 2, 3, 4]);
        for p in [0.5, f32::INFINITY, f32::NAN] {
            assert!(graph.lp_pool2d(x, Window::new(2), p).unwrap_err().to_string().contains("at least 1"));
        }
        assert!(graph.lp_pool2d(x, Window::new(6), 2.0).is_err());
    }

    #[test]
    fn roots_of_negative_numbers_are_nan_and_the_slope_at_zero_is_zero() {
        assert!(power(-8.0, 1.0 / 3.0).is_nan() && power(f64::NEG_INFINITY, 0.5).is_nan());
        assert_eq!((power(-2.0, 3.0), power(-2.0, 2.0), power(0.0, 0.5)), (-8.0, 4.0, 0.0));
        assert_eq!(Power { factor: 4.0, exponent: 0.5 }.slope(0.0), 0.0);
    }
}
