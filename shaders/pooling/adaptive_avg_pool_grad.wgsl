// What: dx[l] = Σ dy[i] / n[i] over the outputs i of its line whose n[i] inputs include l. One invocation per part of
// an element of dx.
// Shapes: dy [.., M, INNER], dx [.., L, PARTS, INNER]; another dispatch adds the parts.
// Cost: about M/L + 1 loads per element.

// Extents of a line of x and of y, and their stride.
const L: u32 = 4u;
const M: u32 = 2u;
const INNER: u32 = 1u;
// Number of invocations that share an element; their results are adjacent.
const PARTS: u32 = 1u;

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;

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
fn adaptive_avg_pool_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = workgroup_index(workgroup, grid) * 64u + lane;
    if at >= arrayLength(&dx) {
        return;
    }
    let part = at / INNER % PARTS;
    let l = at / (INNER * PARTS) % L;
    let line = at / (INNER * PARTS * L) * (INNER * M) + at % INNER;
    let count = end(l, M, L) - begin(l, M, L);
    let behind = begin(l, M, L) + part_begin(part + 1u, count);
    var sum = 0.0;
    for (var i = begin(l, M, L) + part_begin(part, count); i < behind; i++) { // rounds: M / L / PARTS + 3u
        sum += dy[line + i * INNER] / f32(end(i, L, M) - begin(i, L, M));
    }
    dx[at] = sum;
}
