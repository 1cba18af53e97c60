// What: y[n,k,p,q] = b[k] + sum over c,r,s of x[n, c, p*STRIDE_H + r*DILATION_H - PAD_TOP, q*.. + s*.. - PAD_LEFT] *
// w[k,c,r,s]
// Shapes: x [N,C,H,W], w [K,C/GROUPS,R,S], y [N,K,P,Q], b [K]; padding is zeros; c is relative to k's group
// Pooling: with POOL_H x POOL_W, y is the first maximum of each window of outputs; optionally writes the argmax
// indices.
// Also computes the input gradient for a stride of 1: a convolution of dy with c and k exchanged and the kernel
// flipped.
// Each invocation computes TILE_Q adjacent columns of TILE_P rows for TILE_K filters in registers. A workgroup is one
// subgroup of eight: each lane loads the weights of its own filters and shuffles them to all, so that one load serves
// eight lanes.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> positions: array<u32>;

const N: u32 = 1u;
const C: u32 = 6u;
const H: u32 = 14u;
const W: u32 = 14u;
const K: u32 = 16u;
const R: u32 = 5u;
const S: u32 = 5u;
const P: u32 = 10u;
const Q: u32 = 10u;
const STRIDE_H: u32 = 1u;
const STRIDE_W: u32 = 1u;
const DILATION_H: u32 = 1u;
const DILATION_W: u32 = 1u;
const PAD_TOP: u32 = 0u;
const PAD_LEFT: u32 = 0u;
const GROUPS: u32 = 1u;
const TILE_K: u32 = 16u; // 1 to 16
const TILE_P: u32 = 1u; // 1 or, with STRIDE_H and DILATION_H of 1, 2: a row of x is then loaded once for both
const TILE_Q: u32 = 5u; // 1 to 8
const STRIP: u32 = 9u; // (TILE_Q - 1) * STRIDE_W + (S - 1) * DILATION_W + 1
const RAGGED: u32 = 1u; // 0 if every strip is inside x
const WHOLE_ROWS: u32 = 0u; // 1 if a tile is as wide as y, so that taps in the padding are known and skipped
const LOADS: u32 = 2u; // TILE_K / 8, rounded up
const LANE_ROWS: u32 = 1u; // 1, 2, 4 or 8: tiles above each other in one workgroup
const POOL_H: u32 = 1u; // divides P and TILE_P
const POOL_W: u32 = 1u; // divides Q and TILE_Q
const WINDOWS_P: u32 = 1u; // TILE_P / POOL_H
const WINDOWS_Q: u32 = 5u; // TILE_Q / POOL_W
const Y_COLUMNS: u32 = 10u; // Q, plus columns that no pooling window covers

// Strides of w between filters and between channels.
const W_K: u32 = 150u;
const W_C: u32 = 25u;

const GROUP_C = C / GROUPS;
const GROUP_K = K / GROUPS;
const BLOCKS_K = (GROUP_K + TILE_K - 1u) / TILE_K;
const BLOCKS_Q = (Q + TILE_Q - 1u) / TILE_Q;
const LANE_STRIPS = 8u / LANE_ROWS;
const STRIPS = N * BLOCKS_Q;
const BLOCKS_STRIPS = (STRIPS + LANE_STRIPS - 1u) / LANE_STRIPS;
const TILES_P = (P + TILE_P - 1u) / TILE_P;
const BLOCKS_P = (TILES_P + LANE_ROWS - 1u) / LANE_ROWS;
const BLOCKS = BLOCKS_STRIPS * BLOCKS_P;

fn epilogue(v: f32, i: u32) -> f32 { return v; }
fn tap(r: u32, s: u32) -> u32 { return r * S + s; }
fn is_seen(column: u32) -> bool { return column >= PAD_LEFT && column < W + PAD_LEFT; }
fn bias(k: u32) -> f32 { return b[k]; }
fn keep(place: u32, position: u32) -> f32 { return written(place, position); }
fn written(place: u32, position: u32) -> f32 {
    positions[place] = position;
    return 0.0;
}

// Adjacent elements of a row of x; coordinates are relative to the padded input.
fn strip_of(plane: u32, row: u32, q0: u32) -> array<f32, STRIP> {
    let width = select(0u, W, row >= PAD_TOP && row < H + PAD_TOP);
    let start = (plane * H + min(max(row, PAD_TOP) - PAD_TOP, H - 1u)) * W;
    var strip: array<f32, STRIP>;
    for (var j = 0u; j < STRIP; j++) { // unroll
        // A coordinate left of the row wraps to a large number.
        let column = q0 * STRIDE_W + j - PAD_LEFT;
        if WHOLE_ROWS == 1u {
            if j >= PAD_LEFT && j < W + PAD_LEFT {
                strip[j] = select(0.0, x[start + column], width > 0u);
            }
        } else if RAGGED == 1u {
            strip[j] = select(0.0, x[start + min(column, W - 1u)], column < width);
        } else {
            strip[j] = x[start + column];
        }
    }
    return strip;
}

@compute @workgroup_size(8)
fn conv2d_subgroup(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let block = workgroup_index(workgroup, grid);
    if block >= GROUPS * BLOCKS_K * BLOCKS {
        return;
    }
    let k0 = block / BLOCKS % BLOCKS_K * TILE_K;
    let group = block / (BLOCKS * BLOCKS_K);
    let first_weight = group * (GROUP_K * GROUP_C * R * S);
    let first_tile = block / BLOCKS_STRIPS % BLOCKS_P * LANE_ROWS;
    let last_tile = min(first_tile + LANE_ROWS, TILES_P) - 1u;
    // Every lane takes part in the shuffles of weights: those beyond the end repeat the last tile or strip.
    let own_tile = first_tile + lane / LANE_STRIPS;
    let own_strip = block % BLOCKS_STRIPS * LANE_STRIPS + lane % LANE_STRIPS;
    let works = own_tile < TILES_P && own_strip < STRIPS;
    let p = min(own_tile, TILES_P - 1u) * TILE_P;
    let n = min(own_strip, STRIPS - 1u) / BLOCKS_Q;
    let q0 = min(own_strip, STRIPS - 1u) % BLOCKS_Q * TILE_Q;
    // The rows of x under a tile that are inside the input for any tile of this workgroup. Coordinates are relative to
    // the padded input, so that they are never negative.
    let highest = first_tile * TILE_P * STRIDE_H;
    let lowest = last_tile * TILE_P * STRIDE_H;
    let above = max(PAD_TOP, lowest) - lowest;
    let below = max(H + PAD_TOP, highest) - highest;
    let first_row = (above + DILATION_H - 1u) / DILATION_H;
    let end_row = (below + DILATION_H - 1u) / DILATION_H;
    // The kernel rows that read one of them.
    let first_r = max(first_row, TILE_P - 1u) - (TILE_P - 1u);
    let end_r = min(end_row, R);

    var sums: array<array<array<f32, TILE_Q>, TILE_K>, TILE_P>;
    for (var c = 0u; c < GROUP_C; c++) {
        let plane = n * C + group * GROUP_C + c;
        // The rows of x under a kernel row, for each row of the tile.
        var strips: array<array<f32, STRIP>, TILE_P>;
        if TILE_P == 2u {
            strips[TILE_P - 1u] = strip_of(plane, p + first_r, q0);
        }
        for (var r = first_r; r < end_r; r++) { // rounds: R
            strips[0] = strips[TILE_P - 1u];
            strips[TILE_P - 1u] = strip_of(plane, p * STRIDE_H + r * DILATION_H + TILE_P - 1u, q0);
            var own: array<array<f32, LOADS>, S>;
            for (var s = 0u; s < S; s++) { // unroll
                for (var load = 0u; load < LOADS; load++) { // unroll
                    let k = min(k0 + load * 8u + lane, GROUP_K - 1u);
                    own[s][load] = w[first_weight + k * W_K + c * W_C + tap(r, s)];
                }
            }
            // All terms of a sum in sequence: drivers with few registers load and store it once.
            for (var k = 0u; k < TILE_K; k++) { // unroll
                var weights: array<f32, S>;
                for (var s = 0u; s < S; s++) { // unroll
                    weights[s] = subgroupShuffle(own[s][k / 8u], k % 8u);
                }
                for (var i = 0u; i < TILE_P; i++) { // unroll
                    for (var q = 0u; q < TILE_Q; q++) { // unroll
                        for (var s = 0u; s < S; s++) { // unroll
                            if WHOLE_ROWS == 0u || is_seen(q * STRIDE_W + s * DILATION_W) {
                                sums[i][k][q] += weights[s] * strips[i][q * STRIDE_W + s * DILATION_W];
                            }
                        }
                    }
                }
            }
        }
    }
    for (var i = 0u; i < WINDOWS_P; i++) { // unroll
        for (var k = 0u; k < TILE_K; k++) { // unroll
            if works && p + i * POOL_H < P && k0 + k < GROUP_K {
                let own_k = group * GROUP_K + k0 + k;
                let offset = bias(own_k);
                let start = ((n * K + own_k) * (P / POOL_H) + p / POOL_H + i) * (Q / POOL_W) + q0 / POOL_W;
                for (var j = 0u; j < WINDOWS_Q; j++) { // unroll
                    if q0 + j * POOL_W < Q {
                        let first = (p + i * POOL_H) * Y_COLUMNS + q0 + j * POOL_W;
                        var best = epilogue(sums[i * POOL_H][k][j * POOL_W] + offset, start + j);
                        var position = first;
                        for (var r = 0u; r < POOL_H; r++) { // unroll
                            for (var s = 0u; s < POOL_W; s++) { // unroll
                                if r + s > 0u {
                                    let v = epilogue(sums[i * POOL_H + r][k][j * POOL_W + s] + offset, start + j);
                                    let wins = is_larger(v, best);
                                    best = select(best, v, wins);
                                    position = select(position, first + r * Y_COLUMNS + s, wins);
                                }
                            }
                        }
                        y[start + j] = best;
                        keep(start + j, position);
                    }
                }
            }
        }
    }
}
