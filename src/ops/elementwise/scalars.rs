//! Table of scalar functions: each row has a function's f64 reference and WGSL, forward and backward.
//!
//! At infinities they follow from their formulas, as in PyTorch: gelu, gelu_tanh and silu of −∞, a product of −∞ and 0,
//! are NaN, and so are their derivatives at ±∞.

use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};

/// A scalar function: f64 reference and WGSL, forward and backward. `a` is its parameter, if it has one.
pub struct Scalar {
    /// Name of the operation.
    pub name: &'static str,
    /// The parameter `a`.
    pub parameter: Option<Parameter>,
    /// f64 reference, of the argument and `a`.
    pub f: fn(f64, f64) -> f64,
    /// WGSL expression of `v`; `{a}` stands for the parameter.
    pub wgsl: &'static str,
    /// Derivative, of the value named by `from` and `a`.
    pub derivative: fn(f64, f64) -> f64,
    /// WGSL expression of `dy · derivative`, of `v` (the value named by `from`), `dy` and `{a}`.
    pub wgsl_grad: &'static str,
    /// The value from which the derivative is computed.
    pub from: From,
}

/// The parameter of a scalar function: finite and not negative.
pub struct Parameter {
    /// Name of the parameter.
    pub name: &'static str,
    /// Default value.
    pub default: f32,
}

/// The value from which a derivative is computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// The function's argument.
    X,
    /// The function's value.
    Y,
}

/// Table of all scalar functions.
pub static TABLE: &[Scalar] = &[
    Scalar {
        name: "relu",
        parameter: None,
        // Comparisons instead of max, so that NaN is kept.
        f: |x, _| if x <= 0.0 { 0.0 } else { x },
        wgsl: "at_least(v, 0.0)",
        derivative: |y, _| if y <= 0.0 { 0.0 } else { 1.0 },
        wgsl_grad: "select(dy, 0.0, v <= 0.0)",
        from: From::Y,
    },
    Scalar {
        name: "relu6",
        parameter: None,
        f: |x, _| x.clamp(0.0, 6.0),
        wgsl: "at_least(at_most(v, 6.0), 0.0)",
        derivative: |y, _| if y <= 0.0 || y >= 6.0 { 0.0 } else { 1.0 },
        wgsl_grad: "select(dy, 0.0, v <= 0.0 || v >= 6.0)",
        from: From::Y,
    },
    Scalar {
        name: "leaky_relu",
        parameter: Some(Parameter { name: "slope", default: 0.01 }),
        f: |x, a| if x > 0.0 { x } else { a * x },
        wgsl: "select({a} * v, v, v > 0.0)",
        derivative: |y, a| if y > 0.0 { 1.0 } else { a },
        wgsl_grad: "dy * select({a}, 1.0, v > 0.0)",
        from: From::Y,
    },
    Scalar {
        name: "elu",
        parameter: Some(Parameter { name: "alpha", default: 1.0 }),
        f: |x, a| if x > 0.0 { x } else { a * x.exp_m1() },
        wgsl: "select({a} * expm1(v), v, v > 0.0)",
        derivative: |y, a| if y > 0.0 { 1.0 } else { y + a },
        wgsl_grad: "dy * select(v + {a}, 1.0, v > 0.0)",
        from: From::Y,
    },
    Scalar {
        name: "selu",
        parameter: None,
        f: |x, _| SELU[0] * if x > 0.0 { x } else { SELU[1] * x.exp_m1() },
        wgsl: "1.050700987 * select(1.673263242 * expm1(v), v, v > 0.0)",
        derivative: |y, _| if y > 0.0 { SELU[0] } else { y + SELU[0] * SELU[1] },
        wgsl_grad: "dy * select(v + 1.758099341, 1.050700987, v > 0.0)",
        from: From::Y,
    },
    Scalar {
        name: "gelu",
        parameter: None,
        f: |x, _| 0.5 * x * libm::erfc(-x * FRAC_1_SQRT_2),
        wgsl: "0.5 * v * erfc(-0.7071067812 * v)",
        derivative: |x, _| 0.5 * libm::erfc(-x * FRAC_1_SQRT_2) + x * (-0.5 * x * x).exp() / TAU.sqrt(),
        wgsl_grad: "dy * gelu_slope(v)",
        from: From::X,
    },
    Scalar {
        name: "gelu_tanh",
        parameter: None,
        f: |x, _| x * logistic(gelu_tanh(x)),
        wgsl: "gelu_tanh(v)",
        derivative: |x, _| {
            let (p, q) = (logistic(gelu_tanh(x)), logistic(-gelu_tanh(x)));
            p + p * q * (8.0 / PI).sqrt() * x * (1.0 + 3.0 * 0.044715 * x * x)
        },
        wgsl_grad: "dy * gelu_tanh_slope(v)",
        from: From::X,
    },
    Scalar {
        name: "silu",
        parameter: None,
        f: |x, _| x * logistic(x),
        wgsl: "v * logistic(v)",
        derivative: |x, _| logistic(x) * (1.0 + x * logistic(-x)),
        wgsl_grad: "dy * silu_slope(v)",
        from: From::X,
    },
    Scalar {
        name: "hard_swish",
        parameter: None,
        f: |x, _| match x {
            x if x <= -3.0 => 0.0,
            x if x >= 3.0 => x,
            x => x * (x + 3.0) / 6.0,
        },
        wgsl: "select(select(v * (v + 3.0) / 6.0, v, v >= 3.0), 0.0, v <= -3.0)",
        derivative: |x, _| match x {
            x if x <= -3.0 => 0.0,
            x if x >= 3.0 => 1.0,
            x => x / 3.0 + 0.5,
        },
        wgsl_grad: "dy * select(select(v / 3.0 + 0.5, 1.0, v >= 3.0), 0.0, v <= -3.0)",
        from: From::X,
    },
    Scalar {
        name: "softplus",
        parameter: None,
        f: |x, _| if x <= 0.0 { x.exp().ln_1p() } else { x + (-x).exp().ln_1p() },
        wgsl: "softplus(v)",
        derivative: |y, _| -(-y).exp_m1(),
        wgsl_grad: "dy * -expm1(-v)",
        from: From::Y,
    },
    Scalar {
        name: "sigmoid",
        parameter: None,
        f: |x, _| logistic(x),
        wgsl: "logistic(v)",
        derivative: |y, _| y * (1.0 - y),
        wgsl_grad: "dy * v * (1.0 - v)",
        from: From::Y,
    },
    Scalar {
        name: "tanh",
        parameter: None,
        // Some drivers compute tanh from exp(2v), which overflows; beyond 15 it is ±1 in f32.
        f: |x, _| x.tanh(),
        wgsl: "select(tanh(at_least(at_most(v, 15.0), -15.0)), v, is_nan(v))",
        derivative: |y, _| 1.0 - y * y,
        wgsl_grad: "dy * (1.0 - v * v)",
        from: From::Y,
    },
    Scalar {
        name: "exp",
        parameter: None,
        f: |x, _| x.exp(),
        wgsl: "exponential(v)",
        derivative: |y, _| y,
        wgsl_grad: "dy * v",
        from: From::Y,
    },
    Scalar {
        name: "log",
        parameter: None,
        f: |x, _| x.ln(),
        wgsl: "logarithm(v)",
        derivative: |x, _| 1.0 / x,
        wgsl_grad: "dy / v",
        from: From::X,
    },
    Scalar {
        name: "sqrt",
        parameter: None,
        f: |x, _| x.sqrt(),
        wgsl: "root(v)",
        derivative: |y, _| 0.5 / y,
        wgsl_grad: "0.5 * dy / v",
        from: From::Y,
    },
    Scalar {
        name: "square",
        parameter: None,
        f: |x, _| x * x,
        wgsl: "v * v",
        derivative: |x, _| 2.0 * x,
        wgsl_grad: "2.0 * v * dy",
        from: From::X,
    },
    Scalar {
        name: "abs",
        parameter: None,
        f: |x, _| x.abs(),
        wgsl: "abs(v)",
        derivative: |x, _| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        },
        wgsl_grad: "dy * select(select(0.0, -1.0, v < 0.0), 1.0, v > 0.0)",
        from: From::X,
    },
    Scalar {
        name: "neg",
        parameter: None,
        f: |x, _| -x,
        wgsl: "-v",
        derivative: |_, _| -1.0,
        wgsl_grad: "-dy",
        from: From::X,
    },
    Scalar {
        name: "huber",
        parameter: Some(Parameter { name: "delta", default: 1.0 }),
        f: |x, a| if x.abs() <= a { 0.5 * x * x } else { a * (x.abs() - 0.5 * a) },
        wgsl: "select({a} * (abs(v) - 0.5 * {a}), 0.5 * v * v, abs(v) <= {a})",
        derivative: |x, a| if x.abs() <= a { x } else { a * x.signum() },
        wgsl_grad: "dy * select(select({a}, -{a}, v < 0.0), v, abs(v) <= {a} || is_nan(v))",
        from: From::X,
    },
];

/// Scale and alpha of Klambauer et al. 2017 (arXiv:1706.02515), which keep mean 0 and variance 1.
const SELU: [f64; 2] = [1.050_700_987_355_480_5, 1.673_263_242_354_377_2];

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The argument of the sigmoid in `gelu_tanh`: `(1 + tanh u) / 2` is the sigmoid of `2u`.
fn gelu_tanh(x: f64) -> f64 {
    (8.0 / PI).sqrt() * (x + 0.044715 * x * x * x)
}
