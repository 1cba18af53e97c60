// What: y[o, part, i] = finish(combine of x[o, part + k * PARTS, i] over k)
// Shapes: x [outer, R, INNER], y [outer, PARTS, INNER], PARTS <= R; outer follows from the length of y
// Adjacent invocations read adjacent elements for any INNER.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

const R: u32 = 100u;
const PARTS: u32 = 2u;
const INNER: u32 = 1u;

fn combine(a: f32, b: f32) -> f32 { return a + b; }
fn finish(v: f32) -> f32 { return v; }

@compute @workgroup_size(64)
fn reduce(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&y) {
        return;
    }
    let part = i / INNER % PARTS;
    let start = i / (INNER * PARTS) * (R * INNER) + i % INNER;
    var result = x[start + part * INNER];
    for (var r = part + PARTS; r < R; r += PARTS) { // rounds: (R - 1u) / PARTS
        result = combine(result, x[start + r * INNER]);
    }
    y[i] = finish(result);
}
