// What: y[i] = x[i] * SCALE where word u mod 4 of Philox4x32-10 of (u / 4, step, STREAM, 0) under SEED is at least
// THRESHOLD, else 0; u = i / PLANE
// Shapes: x, y of one length; step [1]; one invocation per four elements
// joined with common/random.wgsl

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> step_number: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const PLANE: u32 = 1u;
const THRESHOLD: u32 = 2147483648u;
const SCALE: f32 = 2.0;
const STREAM: u32 = 0u;
const SEED_LOW: u32 = 1u;
const SEED_HIGH: u32 = 0u;

@compute @workgroup_size(64)
fn dropout(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let four = workgroup_index(workgroup, grid) * 64u + lane;
    // Returns before the product, which could exceed 32 bits for surplus workgroups.
    if four > (arrayLength(&y) - 1u) / 4u {
        return;
    }
    let first = four * 4u;
    var drawn = 0xffffffffu;
    var words = vec4<u32>();
    for (var k = 0u; k < min(4u, arrayLength(&y) - first); k++) { // rounds: 4u
        let unit = (first + k) / PLANE;
        if unit / 4u != drawn {
            drawn = unit / 4u;
            words = philox(vec4<u32>(drawn, step_number[0], STREAM, 0u), vec2<u32>(SEED_LOW, SEED_HIGH));
        }
        y[first + k] = select(0.0, x[first + k] * SCALE, words[unit % 4u] >= THRESHOLD);
    }
}
