// What: d = g + WEIGHT_DECAY*p; v = clock == 0 ? d : MOMENTUM*v + REST*d; p -= rate * v
// Shapes: p, g, v of one length; rates [any length; its last element applies to further steps, a negative rate changes
// nothing]; step, clock [1]. REST = 1 - dampening.

@group(0) @binding(0) var<storage, read_write> p: array<Value>;
@group(0) @binding(1) var<storage, read> g: array<Value>;
@group(0) @binding(2) var<storage, read> rates: array<f32>;
@group(0) @binding(3) var<storage, read> step_number: array<u32>;
@group(0) @binding(4) var<storage, read_write> v: array<Value>;
@group(0) @binding(5) var<storage, read> clock: array<u32>;

// vec4 if all ranges of parameters start and end at multiples of four.
alias Value = f32;

const FIRST: u32 = 0u; // start of the parameter group, in values
const COUNT: u32 = 64u; // length of the parameter group, in values
const RATE_FACTOR: f32 = 1.0;
const MOMENTUM: f32 = 0.9; // 0 to 1
const REST: f32 = 1.0; // 0 to 1
const WEIGHT_DECAY: f32 = 0.0;

@compute @workgroup_size(64)
fn sgd_dampening(
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
    let velocity = select(MOMENTUM * v[i] + REST * d, d, clock[0] == 0u);
    v[i] = velocity;
    p[i] -= rate * velocity;
}
