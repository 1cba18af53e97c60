// What: d = g + WEIGHT_DECAY*p; s += d*d; p -= rate / (1 + clock*RATE_DECAY) * d / (sqrt(INITIAL + s) + EPSILON)
// Shapes: p, g, s of one length; rates [any length; its last element applies to further steps, a negative rate changes
// nothing]; step, clock [1]

@group(0) @binding(0) var<storage, read_write> p: array<Value>;
@group(0) @binding(1) var<storage, read> g: array<Value>;
@group(0) @binding(2) var<storage, read> rates: array<f32>;
@group(0) @binding(3) var<storage, read> step_number: array<u32>;
@group(0) @binding(4) var<storage, read_write> s: array<Value>;
@group(0) @binding(5) var<storage, read> clock: array<u32>;

// vec4 if all ranges of parameters start and end at multiples of four.
alias Value = f32;

const FIRST: u32 = 0u; // start of the parameter group, in values
const COUNT: u32 = 64u; // length of the parameter group, in values
const RATE_FACTOR: f32 = 1.0;
const RATE_DECAY: f32 = 0.0;
const INITIAL: f32 = 0.0;
const EPSILON: f32 = 1e-10;
const WEIGHT_DECAY: f32 = 0.0;

@compute @workgroup_size(64)
fn adagrad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_index(workgroup, grid) * 64u + lane;
    if number >= COUNT {
        return;
    }
    let i = FIRST + number;
    let given = rates[min(step_number[0], arrayLength(&rates) - 1u)];
    // A step without an update.
    if given < 0.0 {
        return;
    }
    let rate = RATE_FACTOR * given / (1.0 + f32(clock[0]) * RATE_DECAY);
    let d = g[i] + WEIGHT_DECAY * p[i];
    let square_sum = s[i] + d * d;
    s[i] = square_sum;
    p[i] -= rate * d / (sqrt(INITIAL + square_sum) + EPSILON);
}
