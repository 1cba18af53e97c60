// What: y[g] = finish(min over p of x[g,p].x, max over p of x[g,p].y)
// Shapes: x [GROUPS, PARTS], y [GROUPS]; one invocation per group

@group(0) @binding(0) var<storage, read> x: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec2<f32>>;

const GROUPS: u32 = 2u;
const PARTS: u32 = 10u;

fn finish(least: f32, largest: f32) -> vec2<f32> { return vec2(least, largest); }

@compute @workgroup_size(64)
fn texture_range(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = workgroup_index(workgroup, grid) * 64u + lane;
    if g >= GROUPS {
        return;
    }
    var range = x[g * PARTS];
    for (var p = 1u; p < PARTS; p++) {
        let part = x[g * PARTS + p];
        range = vec2(at_most(range.x, part.x), at_least(range.y, part.y));
    }
    y[g] = finish(range.x, range.y);
}
