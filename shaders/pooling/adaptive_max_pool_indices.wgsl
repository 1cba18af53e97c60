// What: positions[i] = the argmax along its line of x from floor(i·L/M) to ceil((i+1)·L/M): the first of equal maxima,
// or the first NaN. One invocation per part of an output; adaptive_max_pool_grad reads the indices.
// Shapes: x [.., L, INNER], positions (argmax indices) [.., M, PARTS, INNER]; adaptive_max_pool_combine combines the
// parts.
// Cost: about L/M loads per output.

// Extents of a line of x and of y, and their stride.
const L: u32 = 4u;
const M: u32 = 2u;
const INNER: u32 = 1u;
// Number of invocations that share an output; their results are adjacent.
const PARTS: u32 = 1u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> positions: array<u32>;

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
fn adaptive_max_pool_indices(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = workgroup_index(workgroup, grid) * 64u + lane;
    if at >= arrayLength(&positions) {
        return;
    }
    let part = at / INNER % PARTS;
    let i = at / (INNER * PARTS) % M;
    let line = at / (INNER * PARTS * M) * (INNER * L) + at % INNER;
    let count = end(i, L, M) - begin(i, L, M);
    var position = begin(i, L, M) + part_begin(part, count);
    let behind = begin(i, L, M) + part_begin(part + 1u, count);
    var best = x[line + position * INNER];
    for (var l = position + 1u; l < behind; l++) { // rounds: L / M / PARTS + 3u
        let v = x[line + l * INNER];
        if !is_nan(best) & ((v > best) | is_nan(v)) {
            best = v;
            position = l;
        }
    }
    positions[at] = position;
}
