// What: y = x at the indices START + i * STEP of each axis, and the float with the bits VALUE elsewhere
// Shapes: y SHAPE, x EXTENTS with STRIDES, any rank from 1; one invocation per element of y

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

const RANK: u32 = 2u;
const SHAPE = array<u32, 2>(6u, 12u);
const START = array<u32, 2>(0u, 2u);
const STEP = array<u32, 2>(1u, 1u);
const EXTENTS = array<u32, 2>(5u, 7u);
const STRIDES = array<u32, 2>(7u, 1u);
const VALUE: u32 = 0u;

@compute @workgroup_size(64)
fn place(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&y) {
        return;
    }
    var rest = i;
    var source = 0u;
    var inside = true;
    for (var axis = RANK; axis > 0u; axis--) {
        let extent = SHAPE[axis - 1u];
        let position = rest % extent;
        rest /= extent;
        let start = START[axis - 1u];
        let step = STEP[axis - 1u];
        let at = (position - start) / step;
        inside = inside && position >= start && (position - start) % step == 0u && at < EXTENTS[axis - 1u];
        source += at * STRIDES[axis - 1u];
    }
    // A variable, because constants may not be infinite.
    var bits = VALUE;
    var value = bitcast<f32>(bits);
    if inside {
        value = x[source];
    }
    y[i] = value;
}
