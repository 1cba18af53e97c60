// What: d = g + WEIGHT_DECAY*p; s = ALPHA*s + (1-ALPHA)*d*d; v = MOMENTUM*v + d / denominator(s); p -= rate * v
// Shapes: p, g, s, v of one length; rates [any length; its last element applies to further steps, a negative rate
// changes nothing]; step [1]

@group(0) @binding(0) var<storage, read_write> p: array<Value>;
@group(0) @binding(1) var<storage, read> g: array<Value>;
@group(0) @binding(2) var<storage, read> rates: array<f32>;
@group(0) @binding(3) var<storage, read> step_number: array<u32>;
@group(0) @binding(4) var<storage, read_write> s: array<Value>;
@group(0) @binding(5) var<storage, read_write> v: array<Value>;

// vec4 if all ranges of parameters start and end at multiples of four.
alias Value = f32;

const FIRST: u32 = 0u; // start of the parameter group, in values
const COUNT: u32 = 64u; // length of the parameter group, in values
const RATE_FACTOR: f32 = 1.0;
const ALPHA: f32 = 0.9; // 0 to 1
const EPSILON: f32 = 1e-7;
const MOMENTUM: f32 = 0.0; // 0 to 1
const WEIGHT_DECAY: f32 = 0.0;

fn denominator(variance: Value) -> Value { return sqrt(variance) + EPSILON; }

@compute @workgroup_size(64)
fn rmsprop(
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
    let velocity = MOMENTUM * v[i] + d / denominator(square_mean);
    s[i] = square_mean;
    v[i] = velocity;
    p[i] -= rate * velocity;
}
