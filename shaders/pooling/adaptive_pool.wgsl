// What: y[i] = the mean or maximum of x over positions floor(i·L/M) to ceil((i+1)·L/M) of its line. One invocation per
//       part of an output. `combine` and `finish` say which: the values in order, then the result and how many there were.
// Shapes: x [.., L, INNER], y [.., M, PARTS, INNER], the parts to be combined afterwards.
// Cost: about L/M loads per output.

// Positions of a line of x, of y, and elements from one to the next.
const L: u32 = 4u;
const M: u32 = 2u;
const INNER: u32 = 1u;
// Invocations that share an output; their results lie side by side.
const PARTS: u32 = 1u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

fn combine(a: f32, b: f32) -> f32 { return a + b; }
fn finish(v: f32, n: f32) -> f32 { return v / n; }

// Of `count` positions, the first that number i of `to` pools, and the one behind the last. Turned round, those that pool
// position i.
fn begin(i: u32, count: u32, to: u32) -> u32 {
    return i * count / to;
}

fn end(i: u32, count: u32, to: u32) -> u32 {
    return ((i + 1u) * count + to - 1u) / to;
}

// Where part number `part` begins, of PARTS of so many positions.
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
