// What: y[n,k,p,q] = b[k] + sum over c,r,s of x[n, c, p + r - PAD_TOP, q*STRIDE_W + s*DILATION_W - PAD_LEFT] *
// w[k,c,r,s]
// Shapes: x [N,C,H,W], w [K,C/GROUPS,R,S], y [N,K,P,Q], b [K]; padding is zeros; c is relative to k's group; STRIDE_H
// and DILATION_H are 1
// Pooling: with POOL_H x POOL_W, y is the first maximum of each window of outputs; optionally writes the argmax
// indices.
// Each invocation computes ROWS tiles below each other, of TILE_P rows and TILE_Q columns, for one filter after
// another: it keeps the rows of x under a tile in registers, and the next tile shares most of them. For few products
// per output. A workgroup is one subgroup of eight: each lane loads the weights of some taps and shuffles them to all,
// so that one load serves eight taps.

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
const TILE_P: u32 = 2u;
const TILE_Q: u32 = 2u;
const STRIP: u32 = 6u; // (TILE_Q - 1) * STRIDE_W + (S - 1) * DILATION_W + 1
const KEPT: u32 = 6u; // TILE_P + R - 1
const CHANNELS: u32 = 6u; // C / GROUPS
const LOADS: u32 = 19u; // CHANNELS * R * S / 8, rounded up
const ROWS: u32 = 5u;
const PARTS: u32 = 1u; // P / (TILE_P * ROWS), rounded up
const RAGGED: u32 = 1u; // 0 if every strip is inside x
const POOL_H: u32 = 1u; // divides P and TILE_P
const POOL_W: u32 = 1u; // divides Q and TILE_Q
const WINDOWS_P: u32 = 2u; // TILE_P / POOL_H
const WINDOWS_Q: u32 = 2u; // TILE_Q / POOL_W
const Y_COLUMNS: u32 = 10u; // Q, plus columns that no pooling window covers

// Strides of w between filters and between channels.
const W_K: u32 = 150u;
const W_C: u32 = 25u;

const GROUP_K = K / GROUPS;
const TAPS = CHANNELS * R * S;
const BLOCKS_Q = (Q + TILE_Q - 1u) / TILE_Q;
const STRIPS = N * BLOCKS_Q;
const BLOCKS_STRIPS = (STRIPS + 7u) / 8u;

fn epilogue(v: f32, i: u32) -> f32 { return v; }
fn tap(r: u32, s: u32) -> u32 { return r * S + s; }
fn bias(k: u32) -> f32 { return b[k]; }
fn keep(place: u32, position: u32) -> f32 { return written(place, position); }
fn written(place: u32, position: u32) -> f32 {
    positions[place] = position;
    return 0.0;
}

@compute @workgroup_size(8)
fn conv2d_sliding_subgroup(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let block = workgroup_index(workgroup, grid);
    if block >= GROUPS * PARTS * BLOCKS_STRIPS {
        return;
    }
    let group = block / (BLOCKS_STRIPS * PARTS);
    let first_p = block / BLOCKS_STRIPS % PARTS * (ROWS * TILE_P);
    // Every lane takes part in the shuffles of weights: those beyond the end repeat the last strip.
    let own_strip = block % BLOCKS_STRIPS * 8u + lane;
    let n = min(own_strip, STRIPS - 1u) / BLOCKS_Q;
    let q0 = min(own_strip, STRIPS - 1u) % BLOCKS_Q * TILE_Q;

    var strips: array<array<array<f32, STRIP>, KEPT>, CHANNELS>;
    for (var tile = 0u; tile < ROWS; tile++) {
        let p = first_p + tile * TILE_P;
        for (var r = select(KEPT - TILE_P, 0u, tile == 0u); r < KEPT; r++) { // rounds: KEPT
            // Coordinates are relative to the padded input, so that they are never negative.
            let row = p + r;
            let width = select(0u, W, row >= PAD_TOP && row < H + PAD_TOP);
            for (var c = 0u; c < CHANNELS; c++) { // unroll
                for (var above = 0u; above < KEPT; above++) { // unroll
                    strips[c][above] = strips[c][min(above + 1u, KEPT - 1u)];
                }
                let plane = n * C + group * CHANNELS + c;
                let start = (plane * H + min(max(row, PAD_TOP) - PAD_TOP, H - 1u)) * W;
                for (var j = 0u; j < STRIP; j++) { // unroll
                    // A coordinate left of the row wraps to a large number.
                    let column = q0 * STRIDE_W + j - PAD_LEFT;
                    if RAGGED == 1u {
                        strips[c][KEPT - 1u][j] = select(0.0, x[start + min(column, W - 1u)], column < width);
                    } else {
                        strips[c][KEPT - 1u][j] = x[start + column];
                    }
                }
            }
        }
        for (var k = 0u; k < GROUP_K; k++) {
            let own_k = group * GROUP_K + k;
            let first_weight = group * (GROUP_K * TAPS) + k * W_K;
            var sums: array<array<f32, TILE_Q>, TILE_P>;
            for (var load = 0u; load < LOADS; load++) { // unroll
                let own_tap = min(load * 8u + lane, TAPS - 1u);
                let own = w[first_weight + own_tap / (R * S) * W_C + tap(own_tap / S % R, own_tap % S)];
                for (var j = 0u; j < 8u; j++) { // unroll
                    if load * 8u + j < TAPS {
                        let weight = subgroupShuffle(own, j);
                        let number = min(load * 8u + j, TAPS - 1u);
                        for (var i = 0u; i < TILE_P; i++) { // unroll
                            for (var q = 0u; q < TILE_Q; q++) { // unroll
                                let row = i + number / S % R;
                                sums[i][q] += weight * strips[number / (R * S)][row][q * STRIDE_W + number % S * DILATION_W];
                            }
                        }
                    }
                }
            }
            let offset = bias(own_k);
            for (var i = 0u; i < WINDOWS_P; i++) { // unroll
                if own_strip < STRIPS && p + i * POOL_H < P {
                    let start = ((n * K + own_k) * (P / POOL_H) + p / POOL_H + i) * (Q / POOL_W) + q0 / POOL_W;
                    for (var j = 0u; j < WINDOWS_Q; j++) { // unroll
                        if q0 + j * POOL_W < Q {
                            let first = (p + i * POOL_H) * Y_COLUMNS + q0 + j * POOL_W;
                            var best = epilogue(sums[i * POOL_H][j * POOL_W] + offset, start + j);
                            var position = first;
                            for (var r = 0u; r < POOL_H; r++) { // unroll
                                for (var s = 0u; s < POOL_W; s++) { // unroll
                                    if r + s > 0u {
                                        let v = epilogue(sums[i * POOL_H + r][j * POOL_W + s] + offset, start + j);
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
}
