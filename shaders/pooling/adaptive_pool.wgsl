// What: y[i] = the mean or maximum of x from floor(i·L/M) to ceil((i+1)·L/M) of its line. `combine` reduces the values
// in order; `finish` takes the result and the number of values. One invocation per part of an output.
// Shapes: x [.., L, INNER], y [.., M, PARTS, INNER]; another dispatch combines the parts.
// Cost: about L/M loads per output.

// Extents of a line of x and of y, and their stride.
const L: u32 = 4u;
const M: u32 = 2u;
const INNER: u32 = 1u;
// Number of invocations that share an output; their results are adjacent.
const PARTS: u32 = 1u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

fn combine(a: f32, b: f32) -> f32 { return a + b; }
fn finish(v: f32, n: f32) -> f32 { return v / n; }

// The range [begin, end) of `count` inputs that output i of `to` pools. With `count` and `to` swapped, the outputs that
// pool input i.
fn begin(i: u32, count: u32, to: u32) -> u32 {
    return i * count / to;
}

fn end(i: u32, count: u32, to: u32) -> u32 {
    return ((i + 1u) * count + to - 1u) / to;
}

// Start of part `part` of PARTS in a range of `count`.
fn part_begin(part: u32, count: u32) -> u32 {
    return count / PARTS * part + min(part, count % PARTS);
}

@compute @workgroup_size(64)
fn adaptive_pool(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = workgroup_index(workgroup, grid) * 64u + lane;
    if at >= arrayLength(&y) {
        return;
    }
    let part = at / INNER % PARTS;
    let i = at / (INNER * PARTS) % M;
    let line = at / (INNER * PARTS * M) * (INNER * L) + at % INNER;
    let count = end(i, L, M) - begin(i, L, M);
    let first = begin(i, L, M) + part_begin(part, count);
    let behind = begin(i, L, M) + part_begin(part + 1u, count);
    var value = x[line + first * INNER];
    for (var l = first + 1u; l < behind; l++) { // rounds: L / M / PARTS + 3u
        value = combine(value, x[line + l * INNER]);
    }
    y[at] = finish(value, f32(count));
}
