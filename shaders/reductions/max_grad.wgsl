// What: dx[i] = dy[o] where i is the first index of its group's maximum, else 0
// Shapes: dx SHAPE, first and dy the groups; o = sum over axes of position(i, axis) * STRIDES[axis]

@group(0) @binding(0) var<storage, read> first: array<u32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

const RANK: u32 = 2u;
const SHAPE = array<u32, 2>(3u, 4u);
const STRIDES = array<u32, 2>(1u, 0u);

@compute @workgroup_size(64)
fn max_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&dx) {
        return;
    }
    var rest = i;
    var o = 0u;
    for (var axis = RANK; axis > 0u; axis--) {
        let extent = SHAPE[axis - 1u];
        o += rest % extent * STRIDES[axis - 1u];
        rest /= extent;
    }
    dx[i] = select(0.0, dy[o], i == first[o]);
}
