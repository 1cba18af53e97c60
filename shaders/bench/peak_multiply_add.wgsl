// What: y[i] = the sum of eight values v, each initially x[i] + its index, after ROUNDS iterations of v = v * 0.75 +
// x[i]
// Shapes: x, y [L], as vec4
// Eight independent chains of vec4 hide the latency of multiply-adds, to reach the peak arithmetic rate.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

const ROUNDS: u32 = 512u;

@compute @workgroup_size(64)
fn peak_multiply_add(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&y) {
        return;
    }
    let b = x[i];
    let a = vec4<f32>(0.75);
    var v0 = b;
    var v1 = b + 1.0;
    var v2 = b + 2.0;
    var v3 = b + 3.0;
    var v4 = b + 4.0;
    var v5 = b + 5.0;
    var v6 = b + 6.0;
    var v7 = b + 7.0;
    for (var round = 0u; round < ROUNDS; round++) {
        v0 = v0 * a + b;
        v1 = v1 * a + b;
        v2 = v2 * a + b;
        v3 = v3 * a + b;
        v4 = v4 * a + b;
        v5 = v5 * a + b;
        v6 = v6 * a + b;
        v7 = v7 * a + b;
    }
    y[i] = ((v0 + v1) + (v2 + v3)) + ((v4 + v5) + (v6 + v7));
}
