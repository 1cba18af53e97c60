// What: positions[i] = the position in its line of the first maximum of x from floor(i·L/M) to ceil((i+1)·L/M); a NaN is
//       a maximum. One invocation per output; adaptive_max_pool_grad reads the positions.
// Shapes: x [.., L, INNER], positions [.., M, PARTS, INNER]; adaptive_max_pool_pick picks among the parts.
// Cost: about L/M loads per output.

// Positions of a line of x, of y, and elements from one to the next.
const L: u32 = 4u;
const M: u32 = 2u;
const INNER: u32 = 1u;
// Invocations that share an output; their results lie side by side.
const PARTS: u32 = 1u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> positions: array<u32>;

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
fn adaptive_max_pool_positions(
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
