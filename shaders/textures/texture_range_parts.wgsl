// What: y[g,p] = the minimum and the maximum of the finite x[OFFSET + (g, p + j * PARTS)] over j; without any, the
// largest and the smallest float
// Shapes: x[OFFSET..] [GROUPS, LENGTH], y [GROUPS, PARTS]; one invocation per part

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<vec2<f32>>;

const OFFSET: u32 = 0u;
const GROUPS: u32 = 2u;
const LENGTH: u32 = 100u;
const PARTS: u32 = 10u;

@compute @workgroup_size(64)
fn texture_range_parts(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = workgroup_index(workgroup, grid) * 64u + lane;
    if k >= GROUPS * PARTS {
        return;
    }
    var least = 3.4028234663852886e38f;
    var largest = -least;
    let begin = OFFSET + k / PARTS * LENGTH;
    for (var i = k % PARTS; i < LENGTH; i += PARTS) { // rounds: (LENGTH - 1u) / PARTS + 1u
        let v = x[begin + i];
        if (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u {
            least = at_most(least, v);
            largest = at_least(largest, v);
        }
    }
    y[k] = vec2(least, largest);
}
