// What: candidates[i] = i where x[i] is the maximum y[o] of its group, else the largest index
// Shapes: x SHAPE, y the groups; o = sum over axes of position(i, axis) * STRIDES[axis], stride 0 on reduced axes

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> candidates: array<u32>;

const RANK: u32 = 2u;
const SHAPE = array<u32, 2>(3u, 4u);
const STRIDES = array<u32, 2>(1u, 0u);

@compute @workgroup_size(64)
fn max_grad_candidates(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&candidates) {
        return;
    }
    var rest = i;
    var o = 0u;
    for (var axis = RANK; axis > 0u; axis--) {
        let extent = SHAPE[axis - 1u];
        o += rest % extent * STRIDES[axis - 1u];
        rest /= extent;
    }
    let largest = x[i] == y[o] || (is_nan(x[i]) && is_nan(y[o]));
    candidates[i] = select(0xffffffffu, i, largest);
}
