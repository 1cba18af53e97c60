// What: dw[part,k,c,r,s] = sum over a part's rows (n,p) and over q of dy[n,k,p,q] * x[n, c, p*STRIDE_H + .., q*.. + ..]
// Shapes: x [N,C,H,W], dy [N,K,P,Q], dw [PARTS,TOTAL]: the weights [K,C/GROUPS,R,S] and, if BIAS_AT < TOTAL, from
// BIAS_AT db[part,k] = sum of dy; another dispatch adds the parts; c is relative to k's group
// Each invocation sums ROWS output rows for TILE_R kernel rows of one channel and TILE_K filters. It keeps the rows of
// x under an output row, because the next output row shares most of them. A workgroup is one subgroup of eight:
// LANE_TAPS lanes compute different taps of the same windows, so each loads some columns of dy and shuffles them to the
// others; the remaining lanes have other windows. Loads dominate the time on software drivers, which execute them lane
// by lane.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

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
const TILE_K: u32 = 4u;
const TILE_R: u32 = 5u; // 1 or R
const TILE_Q: u32 = 10u;
const STRIP: u32 = 14u; // (TILE_Q - 1) * STRIDE_W + (S - 1) * DILATION_W + 1
const LANE_TAPS: u32 = 2u; // 1, 2, 4 or 8
const LOADS: u32 = 5u; // TILE_Q / LANE_TAPS, rounded up
const RAGGED: u32 = 1u; // 0 if every strip is inside x
const ROWS: u32 = 10u;
const PARTS: u32 = 1u;
const BIAS_AT: u32 = 2432u;
const TOTAL: u32 = 2448u;

const GROUP_C = C / GROUPS;
const GROUP_K = K / GROUPS;
const WEIGHTS = K * GROUP_C * R * S;
const BLOCKS_K = (GROUP_K + TILE_K - 1u) / TILE_K;
const BLOCKS_R = R / TILE_R;
const BLOCKS_Q = (Q + TILE_Q - 1u) / TILE_Q;
const TAP_ROWS = GROUP_C * BLOCKS_R;
const BLOCKS_TAPS = (TAP_ROWS + LANE_TAPS - 1u) / LANE_TAPS;
const LANE_PARTS = 8u / LANE_TAPS;
// Rows of x under an output row that the previous one did not use.
const NEW_ROWS = select(TILE_R, min(STRIDE_H, TILE_R), DILATION_H == 1u);

// The index of an element of dy.
fn at(plane: u32, row: u32, column: u32) -> u32 { return (plane * P + row) * Q + column; }

// The lane's own column of dy for one load.
fn loaded(plane: u32, p: u32, q0: u32, load: u32, lane: u32, counts: bool) -> f32 {
    let column = load * LANE_TAPS + lane % LANE_TAPS;
    let is_seen = counts && column < TILE_Q && q0 + column < Q;
    return select(0.0, dy[at(plane, p, min(q0 + column, Q - 1u))], is_seen);
}

// The sum over the lanes with different windows, in all of them.
fn over_parts(own: f32) -> f32 {
    var sum = own;
    if LANE_TAPS <= 4u {
        sum += subgroupShuffleXor(sum, 4u);
    }
    if LANE_TAPS <= 2u {
        sum += subgroupShuffleXor(sum, 2u);
    }
    if LANE_TAPS == 1u {
        sum += subgroupShuffleXor(sum, 1u);
    }
    return sum;
}

@compute @workgroup_size(8)
fn conv2d_grad_weight_subgroup(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let i = workgroup_index(workgroup, grid);
    if i >= PARTS * GROUPS * BLOCKS_K * BLOCKS_TAPS {
        return;
    }
    let own_taps = i % BLOCKS_TAPS * LANE_TAPS + lane % LANE_TAPS;
    let k0 = i / BLOCKS_TAPS % BLOCKS_K * TILE_K;
    let group = i / (BLOCKS_TAPS * BLOCKS_K) % GROUPS;
    let part = i / (BLOCKS_TAPS * BLOCKS_K * GROUPS);
    let first_lane = lane / LANE_TAPS * LANE_TAPS;
    let first_row = (part * LANE_PARTS + lane / LANE_TAPS) * ROWS;
    // Every lane takes part in the shuffles of dy: those beyond the end repeat the last kernel rows.
    let taps = min(own_taps, TAP_ROWS - 1u);
    let c = taps / BLOCKS_R;
    let r0 = taps % BLOCKS_R * TILE_R;

    var sums: array<array<array<f32, S>, TILE_R>, TILE_K>;
    // The sum of the lane's own columns of dy.
    var biases: array<f32, TILE_K>;
    for (var block = 0u; block < BLOCKS_Q; block++) {
        let q0 = block * TILE_Q;
        var strips: array<array<f32, STRIP>, TILE_R>;
        for (var row_number = 0u; row_number < ROWS; row_number++) {
            // Beyond the last row, shorter parts have missing rows, which add zeros.
            let m = min(first_row + row_number, N * P - 1u);
            let counts = first_row + row_number < N * P;
            let n = m / P;
            let p = m % P;
            let plane = n * C + group * GROUP_C + c;
            for (var r = select(TILE_R - NEW_ROWS, 0u, row_number == 0u || p == 0u); r < TILE_R; r++) { // rounds: TILE_R
                for (var above = 0u; above < TILE_R; above++) { // unroll
                    strips[above] = strips[min(above + 1u, TILE_R - 1u)];
                }
                // Coordinates are relative to the padded input, so that they are never negative.
                let row = p * STRIDE_H + (r0 + r) * DILATION_H;
                let width = select(0u, W, row >= PAD_TOP && row < H + PAD_TOP);
                let start = (plane * H + min(max(row, PAD_TOP) - PAD_TOP, H - 1u)) * W;
                for (var j = 0u; j < STRIP; j++) { // unroll
                    // A coordinate left of the row wraps to a large number.
                    let column = q0 * STRIDE_W + j - PAD_LEFT;
                    if RAGGED == 1u {
                        strips[TILE_R - 1u][j] = select(0.0, x[start + min(column, W - 1u)], column < width);
                    } else {
                        strips[TILE_R - 1u][j] = x[start + column];
                    }
                }
            }
            let first_plane = n * K + group * GROUP_K;
            var next: array<f32, LOADS>;
            for (var load = 0u; load < LOADS; load++) { // unroll
                next[load] = loaded(first_plane + k0, p, q0, load, lane, counts);
            }
            for (var k = 0u; k < TILE_K; k++) { // unroll
                let own = next;
                let next_plane = first_plane + min(k0 + k + 1u, GROUP_K - 1u);
                for (var load = 0u; load < LOADS; load++) { // unroll
                    biases[k] += own[load];
                }
                for (var r = 0u; r < TILE_R; r++) { // unroll
                    // Loads between the kernel rows keep drivers from processing all rows at once, whose sums would
                    // exceed the registers.
                    for (var load = 0u; load < LOADS; load++) { // unroll
                        if k + 1u < TILE_K && load % TILE_R == r {
                            next[load] = loaded(next_plane, p, q0, load, lane, counts);
                        }
                    }
                    for (var j = 0u; j < TILE_Q; j++) { // unroll
                        let upstream = subgroupShuffle(own[j / LANE_TAPS], first_lane + j % LANE_TAPS);
                        for (var s = 0u; s < S; s++) { // unroll
                            sums[k][r][s] += upstream * strips[r][j * STRIDE_W + s * DILATION_W];
                        }
                    }
                }
            }
        }
    }
    for (var k = 0u; k < TILE_K; k++) { // unroll
        let start = part * TOTAL + (((group * GROUP_K + k0 + k) * GROUP_C + c) * R + r0) * S;
        for (var r = 0u; r < TILE_R; r++) { // unroll
            for (var s = 0u; s < S; s++) { // unroll
                let sum = over_parts(sums[k][r][s]);
                if lane < LANE_TAPS && own_taps < TAP_ROWS && k0 + k < GROUP_K {
                    dw[start + r * S + s] = sum;
                }
            }
        }
    }
    if BIAS_AT < TOTAL && i % BLOCKS_TAPS == 0u {
        for (var k = 0u; k < TILE_K; k++) { // unroll
            var bias = 0.0;
            for (var j = 0u; j < 8u; j++) { // unroll
                bias += subgroupShuffle(biases[k], j);
            }
            if lane == 0u && k0 + k < GROUP_K {
                dw[part * TOTAL + BIAS_AT + group * GROUP_K + k0 + k] = bias;
            }
        }
        for (var gap = WEIGHTS + lane; gap < BIAS_AT; gap += 8u) { // rounds: 8u
            dw[part * TOTAL + gap] = 0.0;
        }
    }
}
