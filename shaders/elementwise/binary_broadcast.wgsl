// What: y[i] = f(a[..], b[..]), indexed by each operand's strides, 0 along repeated axes
// Shapes: y SHAPE, any rank from 1; an operand of y's size is read at the index that is written

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const RANK: u32 = 3u;
const SHAPE = array<u32, 3>(2u, 3u, 4u);
const STRIDES_A = array<u32, 3>(12u, 4u, 1u);
const STRIDES_B = array<u32, 3>(0u, 1u, 0u);

fn f(a: f32, b: f32) -> f32 { return a + b; }

@compute @workgroup_size(64)
fn binary_broadcast(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&y) {
        return;
    }
    var rest = i;
    var from_a = 0u;
    var from_b = 0u;
    for (var axis = RANK; axis > 0u; axis--) {
        let extent = SHAPE[axis - 1u];
        let position = rest % extent;
        from_a += position * STRIDES_A[axis - 1u];
        from_b += position * STRIDES_B[axis - 1u];
        rest /= extent;
    }
    y[i] = f(a[from_a], b[from_b]);
}
