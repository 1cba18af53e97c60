// What: y[n,k,p,q] = b[k] + sum over c,r,s of x[n, c, p*STRIDE_H + r*DILATION_H - PAD_TOP, q*.. - PAD_LEFT] * w[k*W_K +
// c*W_C + place_of(r*S + s)]
// Shapes: x [N,C,H,W], y [N,K,P,Q], b [K] or absent; w [K,C,R,S], or with other strides that make it an input gradient
// Pooling: with POOL_H x POOL_W, y is the first maximum of each window of outputs; optionally writes the argmax
// indices.
// A tiled matrix product through workgroup memory: rows are filters, columns are output positions, and terms are taps
// by channels in groups of four.
// joined with common/block.wgsl

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> positions: array<u32>;

const N: u32 = 1u;
const C: u32 = 64u;
const H: u32 = 7u;
const W: u32 = 7u;
const K: u32 = 64u;
const R: u32 = 3u;
const S: u32 = 3u;
const P: u32 = 5u;
const Q: u32 = 5u;
const STRIDE_H: u32 = 1u;
const STRIDE_W: u32 = 1u;
const DILATION_H: u32 = 1u;
const DILATION_W: u32 = 1u;
const PAD_TOP: u32 = 0u;
const PAD_LEFT: u32 = 0u;
const GROUPS: u32 = 1u; // only 1 is supported
const W_K: u32 = 576u;
const W_C: u32 = 9u;
const IS_INSIDE: u32 = 1u; // 1 if no window reads padding
const QUADS: u32 = 2u; // 1 or 2
const SIDE: u32 = 8u; // 4 or 8
const SLICES: u32 = 1u; // 1, 2, 4, .. 16
const INVOCATIONS: u32 = 64u; // SIDE * SIDE * SLICES
const TILE_K: u32 = 16u; // 8 or 16
const STEPS: u32 = 36u; // each of DEPTH terms
const POOL_H: u32 = 1u; // divides P
const POOL_W: u32 = 1u; // divides Q
const TAPS: u32 = 1u; // POOL_H * POOL_W: 1, 2 or 4
const WINDOWS: u32 = 4u; // 4 / TAPS
const Y_COLUMNS: u32 = 5u; // Q, plus columns that no pooling window covers

const PLACES = N * P * Q;
// Rows and columns of y after pooling, and its elements per filter.
const Y_H = P / POOL_H;
const Y_W = Q / POOL_W;
const PLANE = Y_H * Y_W;
const BLOCKS_K = (K + BLOCK - 1u) / BLOCK;
const BLOCKS_Q = (PLACES + BLOCK - 1u) / BLOCK;
// Whether an invocation loads the next tile while it computes: larger tiles leave no registers for that.
const IS_AHEAD = QUADS == 1u;
// Groups of four channels.
const FOURS = (C + 3u) / 4u;

fn epilogue(v: f32, i: u32) -> f32 { return v; }
fn bias(k: u32) -> f32 { return b[k]; }
fn place_of(tap: u32) -> u32 { return tap; }
fn keep(place: u32, position: u32) -> f32 { return written(place, position); }
fn written(place: u32, position: u32) -> f32 {
    positions[place] = position;
    return 0.0;
}

// Loads four terms (channels of one tap) of the four filters whose weights start at `filters`.
fn left(filters: vec4<u32>, term: u32) -> mat4x4<f32> {
    var tile: mat4x4<f32>;
    let four = term / 4u;
    let tap = four / FOURS;
    let c = four % FOURS * 4u;
    if STEPS * DEPTH != R * S * FOURS * 4u && tap >= R * S {
        return tile;
    }
    let start = filters + c * W_C + place_of(tap);
    for (var j = 0u; j < 4u; j++) { // unroll
        if C % 4u == 0u || c + j < C {
            for (var i = 0u; i < 4u; i++) { // unroll
                tile[j][i] = w[start[i] + j * W_C];
            }
        }
    }
    return tile;
}

// Four adjacent output positions, those of a pooling window in sequence: the element of x under the first tap of each,
// which may be in the padding before x, and its row and column, relative to x.
struct Places {
    first: vec4<u32>,
    row: vec4<u32>,
    column: vec4<u32>,
}

fn places(first: u32) -> Places {
    var i = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    if PLACES % BLOCK != 0u {
        i = min(i, vec4<u32>(PLACES - 1u));
    }
    // Scalar divisions: vector divisions here crash NVIDIA's compiler for some shapes (driver 580).
    let window = vec4<u32>(i.x / TAPS, i.y / TAPS, i.z / TAPS, i.w / TAPS);
    let tap = vec4<u32>(i.x % TAPS, i.y % TAPS, i.z % TAPS, i.w % TAPS);
    let row = (window / Y_W % Y_H * POOL_H + tap / POOL_W) * STRIDE_H - PAD_TOP;
    let column = (window % Y_W * POOL_W + tap % POOL_W) * STRIDE_W - PAD_LEFT;
    return Places(i / (P * Q) * (C * H * W) + row * W + column, row, column);
}

// Loads four terms of four output positions.
fn right(at: Places, term: u32) -> mat4x4<f32> {
    var tile: mat4x4<f32>;
    let four = term / 4u;
    let c = four % FOURS * 4u;
    let r = four / FOURS / S * DILATION_H;
    let s = four / FOURS % S * DILATION_W;
    let ahead = (c * H + r) * W + s;
    for (var i = 0u; i < 4u; i++) { // unroll
        // A coordinate above or left of the input wraps to a large number.
        let is_seen = IS_INSIDE == 1u || (at.row[i] + r < H && at.column[i] + s < W);
        if is_seen && (STEPS * DEPTH == R * S * FOURS * 4u || r < R * DILATION_H) {
            for (var j = 0u; j < 4u; j++) { // unroll
                if C % 4u == 0u || c + j < C {
                    tile[j][i] = x[at.first[i] + ahead + j * (H * W)];
                }
            }
        }
    }
    return tile;
}

fn load(lane: u32, filters: vec4<u32>, places: Places, term: u32, tiles: ptr<function, Tiles>) {
    if loads_left(lane) {
        (*tiles)[0] = left(filters, term);
    }
    if loads_right(lane) {
        (*tiles)[1] = right(places, term);
    }
}

@compute @workgroup_size(INVOCATIONS)
fn conv2d_block(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = workgroup_index(workgroup, grid);
    if block >= BLOCKS_K * BLOCKS_Q {
        return;
    }
    let k0 = block % BLOCKS_K * BLOCK;
    let q0 = block / BLOCKS_K * BLOCK;
    let k = vec4<u32>(k0 + loads_at(lane)) + vec4<u32>(0u, 1u, 2u, 3u);
    let filters = min(k, vec4<u32>(K - 1u)) * W_K;
    let own = places(q0 + loads_at(lane));
    let first = loads_term(lane);

    var tiles: Tiles;
    var sums: Sums;
    for (var step = 0u; step < STEPS; step++) {
        if !IS_AHEAD || step == 0u {
            load(lane, filters, own, step * DEPTH + first, &tiles);
        }
        workgroupBarrier();
        put(lane, &tiles);
        workgroupBarrier();
        if IS_AHEAD && step + 1u < STEPS {
            load(lane, filters, own, (step + 1u) * DEPTH + first, &tiles);
        }
        add_terms(lane, &sums);
    }
    add_slices(lane, &sums);
    if lane >= SIDE * SIDE {
        return;
    }
    for (var p = 0u; p < QUADS; p++) { // unroll
        for (var j = 0u; j < WINDOWS; j++) { // unroll
            let window = (q0 + column_of(lane, p)) / TAPS + j;
            let start = window / PLANE * (K * PLANE) + window % PLANE;
            let first = window / Y_W % Y_H * POOL_H * Y_COLUMNS + window % Y_W * POOL_W;
            for (var q = 0u; q < QUADS; q++) { // unroll
                for (var r = 0u; r < 4u; r++) { // unroll
                    let k = k0 + row_of(lane, q) + r;
                    if k < K && window < PLACES / TAPS {
                        let place = start + k * PLANE;
                        let offset = bias(k);
                        var best = epilogue(sums[(q * 4u + r) * QUADS + p][j * TAPS] + offset, place);
                        var position = first;
                        for (var tap = 0u; tap < TAPS; tap++) { // unroll
                            if tap > 0u {
                                let v = epilogue(sums[(q * 4u + r) * QUADS + p][j * TAPS + tap] + offset, place);
                                let wins = is_larger(v, best);
                                best = select(best, v, wins);
                                position = select(position, first + tap / POOL_W * Y_COLUMNS + tap % POOL_W, wins);
                            }
                        }
                        y[place] = best;
                        keep(place, position);
                    }
                }
            }
        }
    }
}
