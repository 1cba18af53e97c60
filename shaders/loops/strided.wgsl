// What: y[i] = x[OFFSET + sum over axes of position(i, axis) * STRIDES[axis]], with positions in row-major order over
// SHAPE
// Shapes: y SHAPE, any rank from 1; a stride of 0 repeats, so this serves broadcasting, transposing and slicing

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

const OFFSET: u32 = 0u;
const RANK: u32 = 3u;
const SHAPE = array<u32, 3>(2u, 3u, 4u);
const STRIDES = array<u32, 3>(0u, 1u, 3u);

@compute @workgroup_size(64)
fn strided(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&y) {
        return;
    }
    var rest = i;
    var source = OFFSET;
    for (var axis = RANK; axis > 0u; axis--) {
        let extent = SHAPE[axis - 1u];
        source += rest % extent * STRIDES[axis - 1u];
        rest /= extent;
    }
    y[i] = x[source];
}
