
// Whether v takes the place of the first maximum of what came before it; the first NaN is one.
fn is_larger(v: f32, best: f32) -> bool {
    return !is_nan(best) & ((v > best) | is_nan(v));
}

// v, but no less than `least`, or no more than `most`; NaN stays. Drivers make max and min of such comparisons, and those
// may give the other operand beside NaN: is_nan looks at the bits.
fn at_least(v: f32, least: f32) -> f32 {
    return select(select(v, least, v <= least), v, is_nan(v));
}

fn at_most(v: f32, most: f32) -> f32 {
    return select(select(v, most, v >= most), v, is_nan(v));
}

// exp(v); NaN of NaN, where the built-in one may be anything.
fn exponential(v: f32) -> f32 {
    return select(exp(v), v, is_nan(v));
}

// exp(v) - 1, to the last digits for small v as well.
fn expm1(v: f32) -> f32 {
    let small = v * (1.0 + v / 2.0 * (1.0 + v / 3.0 * (1.0 + v / 4.0 * (1.0 + v / 5.0 * (1.0 + v / 6.0 *
        (1.0 + v / 7.0 * (1.0 + v / 8.0)))))));
    return select(exponential(v) - 1.0, small, abs(v) < 0.5);
}

// log(1 + u) for u from 0 to 1, as 2 atanh(u / (2 + u)): the built-in log is coarse near 1.
fn log1p(u: f32) -> f32 {
    let s = u / (2.0 + u);
    let q = s * s;
    return 2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q *
        (1.0 / 13.0)))))));
}

// log(v); NaN below 0 and -infinity at 0, where the built-in one may be anything.
fn logarithm(v: f32) -> f32 {
    var edge = 0xff800000u;
    if v < 0.0 || is_nan(v) {
        edge = 0x7fc00000u;
    }
    return select(bitcast<f32>(edge), log(v), v > 0.0);
}

// The square root; NaN below 0, where the built-in one may be anything.
fn root(v: f32) -> f32 {
    var edge = 0x7fc00000u;
    return select(sqrt(v), bitcast<f32>(edge), v < 0.0);
}

// The power of a positive v; NaN stays NaN, of which the built-in one may make anything.
fn power(v: f32, exponent: f32) -> f32 {
    return select(pow(v, exponent), v, is_nan(v));
}

// 1 / (1 + exp(-v)).
fn logistic(v: f32) -> f32 {
    return 1.0 / (1.0 + exponential(-v));
}

// log(1 + exp(v)) without overflow.
fn softplus(v: f32) -> f32 {
    return at_least(v, 0.0) + log1p(exp(-abs(v)));
}

// 1 - erf(z), with a small relative error also where it is small: a Taylor series near 0; elsewhere t exp(-z^2) times a
// polynomial in t = 1 / (1 + |z| / 2), fitted to 2e-8 by Chebyshev's polynomials.
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

// The slope of v times the normal distribution's share below v.
fn gelu_slope(v: f32) -> f32 {
    return 0.5 * erfc(-0.7071067812 * v) + v * (0.3989422804 * exp(-0.5 * v * v));
}

// v times a sigmoid that is close to the normal distribution's share below v.
fn gelu_tanh(v: f32) -> f32 {
    return v * logistic(1.595769122 * v * (1.0 + 0.044715 * v * v));
}

fn gelu_tanh_slope(v: f32) -> f32 {
    let square = v * v;
    let u = 1.595769122 * v * (1.0 + 0.044715 * square);
    let bend = logistic(u) * logistic(-u);
    // Where the bend is 0 its factor may be past the largest float: only beside an infinite v is the product NaN.
    let factor = select(1.595769122 * v * (1.0 + 0.134145 * square), v, bend == 0.0);
    return logistic(u) + bend * factor;
}

fn silu_slope(v: f32) -> f32 {
    return logistic(v) * (1.0 + v * logistic(-v));
}
