// What: c[part,batch,m,n] = bias[n] + sum over a part's k of a[.. + m*A_M + k*A_K] * b[.. + k*B_K + n*B_N]
// Shapes: c [PARTS,TOTAL]: matrices [BATCH,M,N] and, if SUMS_AT < TOTAL, from SUMS_AT the sum over a part's k of
// b[k,n]; the strides give the storage order of a and b and the offsets of the matrices of a batch of shape
// BATCH_SHAPE; a stride of 0 repeats a matrix
// A workgroup computes a square block through workgroup memory; an additional row of ones behind a computes the column
// sums of b.
// joined with common/block.wgsl

@group(0) @binding(0) var<storage, read> a: array<A>;
@group(0) @binding(1) var<storage, read> b: array<B>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<storage, read> bias_of: array<f32>;

const M: u32 = 64u;
const N: u32 = 120u;
const K: u32 = 400u;
const A_M: u32 = 400u;
const A_K: u32 = 1u; // 1 of A_M and A_K is 1
const B_K: u32 = 120u;
const B_N: u32 = 1u; // 1 of B_K and B_N is 1
const SUMS_AT: u32 = 7680u; // start of the column sums of b in a part of c
const TOTAL: u32 = 7680u; // elements of a part; SUMS_AT without column sums
const BATCH: u32 = 1u;
const BATCH_RANK: u32 = 1u;
const BATCH_SHAPE = array<u32, 1>(1u);
const A_BATCH = array<u32, 1>(0u);
const B_BATCH = array<u32, 1>(0u);
const QUADS: u32 = 2u; // 1 or 2
const SIDE: u32 = 8u; // 4 or 8
const SLICES: u32 = 1u; // 1, 2, 4, .. 16
const INVOCATIONS: u32 = 64u; // SIDE * SIDE * SLICES
const TILE_K: u32 = 16u; // 8 or 16
const PARTS: u32 = 1u; // summed by matmul_sum_parts if there are more
const STEPS: u32 = 25u; // per part, each of DEPTH terms

const HAS_SUMS = SUMS_AT < TOTAL;
const ROWS = select(M, M + 1u, HAS_SUMS);
const BLOCKS_M = (ROWS + BLOCK - 1u) / BLOCK;
const BLOCKS_N = (N + BLOCK - 1u) / BLOCK;
const IS_RAGGED = PARTS * STEPS * DEPTH != K;

// Element type of an operand's binding: vec4 if its rows start at multiples of four.
alias A = vec4<f32>;
alias B = vec4<f32>;

// Four adjacent elements; those beyond `more` further elements of a line are arbitrary.
fn quad_a(at: u32, more: u32) -> vec4<f32> { return a[at / 4u]; }
fn quad_b(at: u32, more: u32) -> vec4<f32> { return b[at / 4u]; }

fn epilogue(v: f32, i: u32) -> f32 { return v; }
fn bias(n: u32) -> f32 { return bias_of[n]; }

// The offsets of four rows of a, or columns of b; if these are contiguous, instead the offset of the first within its
// matrix and the number of further ones. Beyond the last it is repeated.
fn lines(start: u32, first: u32, extent: u32, distance: u32, are_adjacent: bool) -> vec4<u32> {
    var places = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    if HAS_SUMS || extent % BLOCK != 0u {
        places = min(places, vec4<u32>(extent - 1u));
    }
    let more = extent - 1u - places.x;
    return select(start + places * distance, vec4<u32>(start + places.x, more, 0u, 0u), are_adjacent);
}

// Loads four terms from k of four rows of a, or ones; zeros beyond the end of K.
fn left(rows: vec4<u32>, are_ones: vec4<bool>, k: u32) -> mat4x4<f32> {
    var tile: mat4x4<f32>;
    if IS_RAGGED && k >= K {
        return tile;
    }
    for (var j = 0u; j < 4u; j++) { // unroll
        if A_K == 1u {
            tile[j] = quad_a(rows[j] + k, K - 1u - k);
        } else {
            tile[j] = quad_a(rows.x + min_term(k + j) * A_K, rows.y);
        }
    }
    if A_K == 1u {
        tile = transpose(tile);
    }
    if HAS_SUMS {
        for (var j = 0u; j < 4u; j++) { // unroll
            tile[j] = select(tile[j], vec4<f32>(1.0), are_ones);
        }
    }
    return ended(tile, k);
}

// Loads four terms from k of four columns of b; zeros beyond the end of K.
fn right(columns: vec4<u32>, k: u32) -> mat4x4<f32> {
    var tile: mat4x4<f32>;
    if IS_RAGGED && k >= K {
        return tile;
    }
    for (var j = 0u; j < 4u; j++) { // unroll
        if B_N == 1u {
            tile[j] = quad_b(columns.x + min_term(k + j) * B_K, columns.y);
        } else {
            tile[j] = quad_b(columns[j] + k, K - 1u - k);
        }
    }
    if B_N != 1u {
        tile = transpose(tile);
    }
    return ended(tile, k);
}

// The index of a term, limited to the last.
fn min_term(k: u32) -> u32 {
    if K % 4u == 0u {
        return k;
    }
    return min(k, K - 1u);
}

// The tile with zeros for terms beyond the end of K.
fn ended(tile: mat4x4<f32>, k: u32) -> mat4x4<f32> {
    if K % 4u == 0u {
        return tile;
    }
    let none = vec4<f32>();
    return mat4x4<f32>(
        tile[0],
        select(none, tile[1], k + 1u < K),
        select(none, tile[2], k + 2u < K),
        select(none, tile[3], k + 3u < K),
    );
}

// The offsets of the terms that an invocation loads.
struct Lines {
    rows: vec4<u32>,
    are_ones: vec4<bool>,
    columns: vec4<u32>,
}

fn load(lane: u32, lines: Lines, k: u32, tiles: ptr<function, Tiles>) {
    if loads_left(lane) {
        (*tiles)[0] = left(lines.rows, lines.are_ones, k);
    }
    if loads_right(lane) {
        (*tiles)[1] = right(lines.columns, k);
    }
}

@compute @workgroup_size(INVOCATIONS)
fn matmul_block(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = workgroup_index(workgroup, grid);
    if block >= PARTS * BATCH * BLOCKS_M * BLOCKS_N {
        return;
    }
    let n0 = block % BLOCKS_N * BLOCK;
    let m0 = block / BLOCKS_N % BLOCKS_M * BLOCK;
    let batch = block / (BLOCKS_N * BLOCKS_M) % BATCH;
    let part = block / (BLOCKS_N * BLOCKS_M * BATCH);

    var a0 = 0u;
    var b0 = 0u;
    var rest = batch;
    for (var axis = BATCH_RANK; axis > 0u; axis--) {
        let extent = BATCH_SHAPE[axis - 1u];
        a0 += rest % extent * A_BATCH[axis - 1u];
        b0 += rest % extent * B_BATCH[axis - 1u];
        rest /= extent;
    }

    let row = m0 + loads_at(lane);
    let own = Lines(
        lines(a0, row, M, A_M, A_K != 1u),
        vec4<u32>(row) + vec4<u32>(0u, 1u, 2u, 3u) == vec4<u32>(M),
        lines(b0, n0 + loads_at(lane), N, B_N, B_N == 1u),
    );
    let first = part * STEPS * DEPTH + loads_term(lane);

    var tiles: Tiles;
    var sums: Sums;
    load(lane, own, first, &tiles);
    for (var step = 0u; step < STEPS; step++) {
        workgroupBarrier();
        put(lane, &tiles);
        workgroupBarrier();
        // Loads the next tile while the sums are computed.
        if step + 1u < STEPS {
            load(lane, own, first + (step + 1u) * DEPTH, &tiles);
        }
        add_terms(lane, &sums);
    }
    add_slices(lane, &sums);
    if lane >= SIDE * SIDE {
        return;
    }
    for (var q = 0u; q < QUADS; q++) { // unroll
        for (var i = 0u; i < 4u; i++) { // unroll
            let m = m0 + row_of(lane, q) + i;
            for (var p = 0u; p < QUADS; p++) { // unroll
                for (var j = 0u; j < 4u; j++) { // unroll
                    let n = n0 + column_of(lane, p) + j;
                    if m < ROWS && n < N {
                        let place = part * TOTAL + select((batch * M + m) * N + n, SUMS_AT + n, m == M);
                        c[place] = epilogue(sums[(q * 4u + i) * QUADS + p][j] + bias(n), place);
                    }
                }
            }
        }
    }
    if block % (BLOCKS_N * BLOCKS_M * BATCH) == 0u {
        for (var gap = BATCH * M * N + lane; gap < SUMS_AT; gap += SIDE * SIDE) { // rounds: 4u
            c[part * TOTAL + gap] = 0.0;
        }
    }
}
