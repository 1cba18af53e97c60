// What: t = clock + 1; d = g + WEIGHT_DECAY*p (DECOUPLED: d = g, p -= rate*WEIGHT_DECAY*p);
//       m = BETA1*m + REST1*d; v = BETA2*v + REST2*d*d;
//       p -= rate / (1 - BETA1^t) * m / (sqrt(v) / sqrt(1 - BETA2^t) + EPSILON)
// Shapes: p, g, m, v of one length; rates [any length; its last element applies to further steps, a negative rate
// changes nothing]; step, clock [1]. REST = 1 - BETA.

@group(0) @binding(0) var<storage, read_write> p: array<Value>;
@group(0) @binding(1) var<storage, read> g: array<Value>;
@group(0) @binding(2) var<storage, read> rates: array<f32>;
@group(0) @binding(3) var<storage, read> step_number: array<u32>;
@group(0) @binding(4) var<storage, read_write> m: array<Value>;
@group(0) @binding(5) var<storage, read_write> v: array<Value>;
@group(0) @binding(6) var<storage, read> clock: array<u32>;

// vec4 if all ranges of parameters start and end at multiples of four.
alias Value = f32;

const FIRST: u32 = 0u; // start of the parameter group, in values
const COUNT: u32 = 64u; // length of the parameter group, in values
const RATE_FACTOR: f32 = 1.0;
const BETA1: f32 = 0.9; // 0 to 1
const BETA2: f32 = 0.999; // 0 to 1
const REST1: f32 = 0.1;
const REST2: f32 = 0.001;
const LN_BETA1: f32 = -0.10536052;
const LN_BETA2: f32 = -0.0010005003;
const EPSILON: f32 = 1e-8;
const WEIGHT_DECAY: f32 = 0.0;
const DECOUPLED: u32 = 0u; // 0 or 1

// 1 - exp(u) for u <= 0, accurate near 0, where a series avoids cancellation.
fn one_minus_exp(u: f32) -> f32 {
    if u < -0.5 {
        return 1.0 - exp(u);
    }
    var series = 1.0;
    for (var n = 9u; n > 1u; n--) {
        series = 1.0 + series * u / f32(n);
    }
    return -u * series;
}

@compute @workgroup_size(64)
fn adam(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_index(workgroup, grid) * 64u + lane;
    if number >= COUNT {
        return;
    }
    let i = FIRST + number;
    let rate = RATE_FACTOR * rates[min(step_number[0], arrayLength(&rates) - 1u)];
    // A step without an update.
    if rate < 0.0 {
        return;
    }
    let t = f32(clock[0]) + 1.0;
    let share1 = one_minus_exp(t * LN_BETA1);
    let share2 = one_minus_exp(t * LN_BETA2);
    let parameter = p[i];
    let d = g[i] + select(WEIGHT_DECAY * parameter, Value(), DECOUPLED == 1u);
    let mean = BETA1 * m[i] + REST1 * d;
    let square_mean = BETA2 * v[i] + REST2 * d * d;
    m[i] = mean;
    v[i] = square_mean;
    let shrunk = parameter - select(Value(), rate * WEIGHT_DECAY * parameter, DECOUPLED == 1u);
    p[i] = shrunk - rate / share1 * mean / (sqrt(square_mean) / sqrt(share2) + EPSILON);
}
