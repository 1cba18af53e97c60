// What: dw[part,k,c,r,s] = sum over a part's rows (n,p) and over q of dy[n,k,p,q] * x[n, c, p*STRIDE_H + .., q*.. + ..]
// Shapes: x [N,C,H,W], dy [N,K,P,Q], dw [PARTS,TOTAL]: the weights [K,C/GROUPS,R,S], and from BIAS_AT on, if that is not the
// end, db[part,k] = sum of dy; the parts are summed afterwards; c counts from the first channel of k's group
// Each invocation sums ROWS rows of windows for one row of taps of TILE_K filters. A workgroup is one subgroup of eight
// rows of taps: each lane loads one column of dy and hands it to all, so that a load serves eight lanes.

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
const TILE_K: u32 = 16u; // 1 to 16
const TILE_Q: u32 = 5u; // 1 to 8
const STRIP: u32 = 9u; // (TILE_Q - 1) * STRIDE_W + (S - 1) * DILATION_W + 1
const RAGGED: u32 = 1u; // 0 if every strip lies inside x
const ROWS: u32 = 10u;
const PARTS: u32 = 1u;
const BIAS_AT: u32 = 2432u;
const TOTAL: u32 = 2448u;

const GROUP_C = C / GROUPS;
const GROUP_K = K / GROUPS;
const WEIGHTS = K * GROUP_C * R * S;
const BLOCKS_K = (GROUP_K + TILE_K - 1u) / TILE_K;
const BLOCKS_Q = (Q + TILE_Q - 1u) / TILE_Q;
const TAP_ROWS = GROUP_C * R;
const BLOCKS_TAPS = (TAP_ROWS + 7u) / 8u;

// An element of dy.
fn at(plane: u32, row: u32, column: u32) -> u32 { return (plane * P + row) * Q + column; }

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
    let own_taps = i % BLOCKS_TAPS * 8u + lane;
    let k0 = i / BLOCKS_TAPS % BLOCKS_K * TILE_K;
    let group = i / (BLOCKS_TAPS * BLOCKS_K) % GROUPS;
    let part = i / (BLOCKS_TAPS * BLOCKS_K * GROUPS);
    // Every lane takes part in handing out dy: those past the end repeat the last row of taps.
    let taps = min(own_taps, TAP_ROWS - 1u);
    let c = taps / R;
    let r = taps % R;

    var sums: array<array<f32, S>, TILE_K>;
    // Of the lane's own columns of dy.
    var biases: array<f32, TILE_K>;
    for (var row_number = 0u; row_number < ROWS; row_number++) {
        // Past the last row there is only one shorter part: its missing rows count for nothing.
        let m = min(part * ROWS + row_number, N * P - 1u);
        let counts = part * ROWS + row_number < N * P;
        let n = m / P;
        let p = m % P;
        // Positions count from the padding's first row and column, so that they never go below 0.
        let row = p * STRIDE_H + r * DILATION_H;
        let width = select(0u, W, counts && row >= PAD_TOP && row < H + PAD_TOP);
        let start = ((n * C + group * GROUP_C + c) * H + min(max(row, PAD_TOP) - PAD_TOP, H - 1u)) * W;
        for (var block = 0u; block < BLOCKS_Q; block++) {
            let q0 = block * TILE_Q;
            let q = q0 + lane;
            let lane_loads = counts && lane < TILE_Q && q < Q;
            var strip: array<f32, STRIP>;
            for (var j = 0u; j < STRIP; j++) { // unroll
                // Left of the row it wraps to a large number.
                let column = q0 * STRIDE_W + j - PAD_LEFT;
                if RAGGED == 1u {
                    strip[j] = select(0.0, x[start + min(column, W - 1u)], column < width);
                } else {
                    strip[j] = x[start + column];
                }
            }
            for (var k = 0u; k < TILE_K; k++) { // unroll
                let filter_number = group * GROUP_K + min(k0 + k, GROUP_K - 1u);
                let own = select(0.0, dy[at(n * K + filter_number, p, min(q, Q - 1u))], lane_loads);
                biases[k] += own;
                for (var j = 0u; j < TILE_Q; j++) { // unroll
                    let upstream = subgroupShuffle(own, j);
                    for (var s = 0u; s < S; s++) { // unroll
                        sums[k][s] += upstream * strip[j * STRIDE_W + s * DILATION_W];
                    }
                }
            }
        }
    }
    for (var k = 0u; k < TILE_K; k++) { // unroll
        if own_taps < TAP_ROWS && k0 + k < GROUP_K {
            let start = part * TOTAL + (((group * GROUP_K + k0 + k) * GROUP_C + c) * R + r) * S;
            for (var s = 0u; s < S; s++) { // unroll
                dw[start + s] = sums[k][s];
            }
        }
    }
    if BIAS_AT < TOTAL && i % BLOCKS_TAPS == 0u {
        for (var k = 0u; k < TILE_K; k++) { // unroll
            var bias = 0.0;
            for (var j = 0u; j < TILE_Q; j++) { // unroll
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
