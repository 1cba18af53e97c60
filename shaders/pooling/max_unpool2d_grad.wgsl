// What: dv[o] = dx[n, c, positions[o]] if o is the last value with its index, else 0. One invocation per value.
// Shapes: dx [N, C, H, W], positions (argmax indices) [N, C, P, Q], last [N, C, H, W] from max_unpool2d_mark, dv [N, C,
// P, Q].
// Cost: up to three loads per value.

// Elements per plane of values and of dx.
const PQ: u32 = 4u;
const HW: u32 = 16u;

@group(0) @binding(0) var<storage, read> dx: array<f32>;
@group(0) @binding(1) var<storage, read> positions: array<u32>;
@group(0) @binding(2) var<storage, read> last: array<u32>;
@group(0) @binding(3) var<storage, read_write> dv: array<f32>;

@compute @workgroup_size(64)
fn max_unpool2d_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let o = workgroup_index(workgroup, grid) * 64u + lane;
    if o >= arrayLength(&dv) {
        return;
    }
    let position = positions[o];
    var value = 0.0;
    if position < HW {
        let i = o / PQ * HW + position;
        if last[i] == o + 1u {
            value = dx[i];
        }
    }
    dv[o] = value;
}
