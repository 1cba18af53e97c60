// What: d = g + WEIGHT_DECAY*p; s = ALPHA*s + (1-ALPHA)*d*d; m = ALPHA*m + (1-ALPHA)*d;
//       v = MOMENTUM*v + d / denominator(max(s - m*m, 0)); p -= rate * v
// Shapes: p, g, s, v, m of one length; rates [any length; its last element applies to further steps, a negative rate
// changes nothing]; step [1]

@group(0) @binding(0) var<storage, read_write> p: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> rates: array<f32>;
@group(0) @binding(3) var<storage, read> step_number: array<u32>;
@group(0) @binding(4) var<storage, read_write> s: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;
@group(0) @binding(6) var<storage, read_write> m: array<f32>;

const FIRST: u32 = 0u; // start of the parameter group
const COUNT: u32 = 64u; // length of the parameter group
const RATE_FACTOR: f32 = 1.0;
const ALPHA: f32 = 0.9; // 0 to 1
const EPSILON: f32 = 1e-7;
const MOMENTUM: f32 = 0.0; // 0 to 1
const WEIGHT_DECAY: f32 = 0.0;

fn denominator(variance: f32) -> f32 { return sqrt(variance) + EPSILON; }

@compute @workgroup_size(64)
fn rmsprop_centered(
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
    let d = g[i] + WEIGHT_DECAY * p[i];
    let square_mean = ALPHA * s[i] + (1.0 - ALPHA) * d * d;
    let mean = ALPHA * m[i] + (1.0 - ALPHA) * d;
    // Negative only by rounding.
    let variance = square_mean - mean * mean;
    let velocity = MOMENTUM * v[i] + d / denominator(at_least(variance, 0.0));
    s[i] = square_mean;
    m[i] = mean;
    v[i] = velocity;
    p[i] -= rate * velocity;
}
