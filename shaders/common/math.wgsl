
// Whether v replaces the current maximum; the first NaN counts as the maximum.
fn is_larger(v: f32, best: f32) -> bool {
    return !is_nan(best) & ((v > best) | is_nan(v));
}

// v limited from below or above; NaN is kept. Drivers replace such comparisons by max and min, which may return the
// other operand beside NaN, so is_nan tests the bits.
fn at_least(v: f32, least: f32) -> f32 {
    return select(select(v, least, v <= least), v, is_nan(v));
}

fn at_most(v: f32, most: f32) -> f32 {
    return select(select(v, most, v >= most), v, is_nan(v));
}

// exp(v); NaN for NaN, for which the result of the built-in function is indeterminate.
fn exponential(v: f32) -> f32 {
    return select(exp(v), v, is_nan(v));
}

// exp(v) - 1, accurate for small v.
fn expm1(v: f32) -> f32 {
    let small = v * (1.0 + v / 2.0 * (1.0 + v / 3.0 * (1.0 + v / 4.0 * (1.0 + v / 5.0 * (1.0 + v / 6.0 *
        (1.0 + v / 7.0 * (1.0 + v / 8.0)))))));
    return select(exponential(v) - 1.0, small, abs(v) < 0.5);
}

// log(1 + u) for u from 0 to 1, as 2 atanh(u / (2 + u)): the built-in log is inaccurate near 1.
fn log1p(u: f32) -> f32 {
    let s = u / (2.0 + u);
    let q = s * s;
    return 2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q *
        (1.0 / 13.0)))))));
}

// log(v); NaN below 0 and -infinity at 0, for which the result of the built-in function is indeterminate.
fn logarithm(v: f32) -> f32 {
    var edge = 0xff800000u;
    if v < 0.0 || is_nan(v) {
        edge = 0x7fc00000u;
    }
    return select(bitcast<f32>(edge), log(v), v > 0.0);
}

// sqrt(v); NaN below 0, for which the result of the built-in function is indeterminate.
fn root(v: f32) -> f32 {
    var edge = 0x7fc00000u;
    return select(sqrt(v), bitcast<f32>(edge), v < 0.0);
}

// v to a power, for positive v; NaN for NaN, for which the result of the built-in function is indeterminate.
fn power(v: f32, exponent: f32) -> f32 {
    return select(pow(v, exponent), v, is_nan(v));
}

// Sigmoid: 1 / (1 + exp(-v)).
fn logistic(v: f32) -> f32 {
    return 1.0 / (1.0 + exponential(-v));
}

// Softplus: log(1 + exp(v)), without overflow.
fn softplus(v: f32) -> f32 {
    return at_least(v, 0.0) + log1p(exp(-abs(v)));
}

// 1 - erf(z), with a small relative error also where it is small: a Taylor series near 0; elsewhere t exp(-z^2) times a
// polynomial in t = 1 / (1 + |z| / 2), a Chebyshev fit with an error of 2e-8.
fn erfc(z: f32) -> f32 {
    let a = abs(z);
    let q = z * z;
    let near = z * (1.128379167 + q * (-0.3761263890 + q * (0.1128379167 + q * (-0.02686617064 + q * (0.005223977625 +
        q * (-0.0008548327023 + q * 0.0001205533298))))));
    let t = 1.0 / (1.0 + 0.5 * a);
    let far = t * exp(-q) * (0.282072963 + t * (0.282653634 + t * (0.240721307 + t * (0.213725546 + t * (-0.0569866125 +
        t * (0.328997995 + t * (-0.538271918 + t * (0.3126651 + t * -0.0655786713))))))));
    return select(select(far, 2.0 - far, z < 0.0), 1.0 - near, a < 0.5);
}

// Derivative of gelu: v times the cumulative normal distribution at v.
fn gelu_slope(v: f32) -> f32 {
    return 0.5 * erfc(-0.7071067812 * v) + v * (0.3989422804 * exp(-0.5 * v * v));
}

// The tanh approximation of gelu: v times a sigmoid close to the cumulative normal distribution at v.
fn gelu_tanh(v: f32) -> f32 {
    return v * logistic(1.595769122 * v * (1.0 + 0.044715 * v * v));
}

fn gelu_tanh_slope(v: f32) -> f32 {
    let square = v * v;
    let u = 1.595769122 * v * (1.0 + 0.044715 * square);
    let bend = logistic(u) * logistic(-u);
    // Where the second factor is 0 the first may overflow; the product is NaN only for an infinite v.
    let factor = select(1.595769122 * v * (1.0 + 0.134145 * square), v, bend == 0.0);
    return logistic(u) + bend * factor;
}

fn silu_slope(v: f32) -> f32 {
    return logistic(v) * (1.0 + v * logistic(-v));
}
