// What: x[i] = v[o] for the last value o with index i, 0 if there is none. One invocation per output.
// Shapes: v [N, C, P, Q], last [N, C, H, W] from max_unpool2d_mark, x [N, C, H, W].
// Cost: up to two loads per output.

@group(0) @binding(0) var<storage, read> v: array<f32>;
@group(0) @binding(1) var<storage, read> last: array<u32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn max_unpool2d(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&x) {
        return;
    }
    let o = last[i];
    var value = 0.0;
    if o > 0u {
        value = v[o - 1u];
    }
    x[i] = value;
}
