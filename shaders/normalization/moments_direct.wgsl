// What: the mean (0 unless CENTERED) and the mean of (x - mean)^2 of each group
// Shapes: x [OUTER, GROUPS, INNER], moments [2, GROUPS]; one invocation per group

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> moments: array<f32>;

const OUTER: u32 = 4u;
const GROUPS: u32 = 3u;
const INNER: u32 = 5u;
const CENTERED: u32 = 1u; // 0 or 1

@compute @workgroup_size(64)
fn moments_direct(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = workgroup_index(workgroup, grid) * 64u + lane;
    if group >= GROUPS {
        return;
    }
    var mean = 0.0;
    if CENTERED == 1u {
        for (var o = 0u; o < OUTER; o++) {
            for (var i = 0u; i < INNER; i++) {
                mean += x[(o * GROUPS + group) * INNER + i];
            }
        }
        mean /= f32(OUTER * INNER);
    }
    var squares = 0.0;
    for (var o = 0u; o < OUTER; o++) {
        for (var i = 0u; i < INNER; i++) {
            let d = x[(o * GROUPS + group) * INNER + i] - mean;
            squares += d * d;
        }
    }
    moments[group] = mean;
    moments[GROUPS + group] = squares / f32(OUTER * INNER);
}
