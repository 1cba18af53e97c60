// What: now = begun + step / EVERY, rounded down, modulo 2^32
// Shapes: all [1]; one invocation

@group(0) @binding(0) var<storage, read> begun: array<u32>;
@group(0) @binding(1) var<storage, read> step_number: array<u32>;
@group(0) @binding(2) var<storage, read_write> now: array<u32>;

const EVERY: u32 = 1u;

@compute @workgroup_size(1)
fn clock() {
    now[0] = begun[0] + step_number[0] / EVERY;
}
