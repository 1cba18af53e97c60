// What: last[n, c, positions[o]] = 1 + the largest o of plane (n, c) with that index. Indices outside the plane are
// ignored. One invocation per value. The maximum of integers does not depend on the order.
// Shapes: positions (argmax indices) [N, C, P, Q], last [N, C, H, W], initially 0.
// Cost: one load and one atomic maximum per value.

// Elements per plane of values and of the output.
const PQ: u32 = 4u;
const HW: u32 = 16u;

@group(0) @binding(0) var<storage, read> positions: array<u32>;
@group(0) @binding(1) var<storage, read_write> last: array<atomic<u32>>;

@compute @workgroup_size(64)
fn max_unpool2d_mark(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let o = workgroup_index(workgroup, grid) * 64u + lane;
    if o >= arrayLength(&positions) {
        return;
    }
    let position = positions[o];
    if position < HW {
        atomicMax(&last[o / PQ * HW + position], o + 1u);
    }
}
