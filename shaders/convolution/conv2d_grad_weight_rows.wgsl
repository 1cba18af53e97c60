// What: dw[part,k,c,r,s] = sum over a part's rows (n,p) and over q of dy[n,k,p,q] * x[n, c, p*STRIDE_H + .., q*.. + ..]
// Shapes: x [N,C,H,W], dy [N,K,P,Q], dw [PARTS,TOTAL]: the weights [K,C/GROUPS,R,S] and, if BIAS_AT < TOTAL, from
// BIAS_AT db[part,k] = sum of dy; another dispatch adds the parts; c is relative to k's group
// Each invocation sums ROWS output rows for one kernel row of TILE_K filters.

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
const TILE_K: u32 = 8u; // 1 to 8
const TILE_Q: u32 = 5u; // 1 to 8
const ROWS: u32 = 10u;
const PARTS: u32 = 1u;
const BIAS_AT: u32 = 2432u;
const TOTAL: u32 = 2448u;
// The ranges of a part's rows and of blocks of columns, and 1 if a previous dispatch left its sums in dw.
const ROW_BEGIN: u32 = 0u;
const ROW_END: u32 = 10u;
const BLOCK_BEGIN: u32 = 0u;
const BLOCK_END: u32 = 2u;
const CONTINUES: u32 = 0u;

const GROUP_C = C / GROUPS;
const GROUP_K = K / GROUPS;
const WEIGHTS = K * GROUP_C * R * S;
const BLOCKS_K = (GROUP_K + TILE_K - 1u) / TILE_K;
const STRIP = (TILE_Q - 1u) * STRIDE_W + (S - 1u) * DILATION_W + 1u;

@compute @workgroup_size(64)
fn conv2d_grad_weight_rows(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= PARTS * GROUPS * BLOCKS_K * GROUP_C * R {
        return;
    }
    let r = i % R;
    let c = i / R % GROUP_C;
    let k0 = i / (R * GROUP_C) % BLOCKS_K * TILE_K;
    let group = i / (R * GROUP_C * BLOCKS_K) % GROUPS;
    let part = i / (R * GROUP_C * BLOCKS_K * GROUPS);

    let has_bias = BIAS_AT < TOTAL && c == 0u && r == 0u;
    var sums: array<array<f32, S>, TILE_K>;
    var biases: array<f32, TILE_K>;
    for (var k = 0u; k < TILE_K; k++) {
        let own = group * GROUP_K + min(k0 + k, GROUP_K - 1u);
        biases[k] = 0.0;
        if CONTINUES == 1u && has_bias {
            biases[k] = dw[part * TOTAL + BIAS_AT + own];
        }
        for (var s = 0u; s < S; s++) {
            sums[k][s] = 0.0;
            if CONTINUES == 1u {
                sums[k][s] = dw[part * TOTAL + ((own * GROUP_C + c) * R + r) * S + s];
            }
        }
    }
    for (var row_of_part = ROW_BEGIN; row_of_part < ROW_END; row_of_part++) {
        let m = part * ROWS + row_of_part;
        if m >= N * P {
            break;
        }
        let n = m / P;
        let p = m % P;
        // Coordinates are relative to the padded input, so that they are never negative.
        let row = p * STRIDE_H + r * DILATION_H;
        let row_inside = row >= PAD_TOP && row < H + PAD_TOP;
        if !row_inside && !has_bias {
            continue;
        }
        let start = ((n * C + group * GROUP_C + c) * H + min(max(row, PAD_TOP) - PAD_TOP, H - 1u)) * W;
        for (var block = BLOCK_BEGIN; block < BLOCK_END; block++) {
            let q0 = block * TILE_Q;
            var strip: array<f32, STRIP>;
            for (var j = 0u; j < STRIP; j++) {
                let column = q0 * STRIDE_W + j;
                let inside = row_inside && column >= PAD_LEFT && column < W + PAD_LEFT;
                strip[j] = select(0.0, x[start + min(max(column, PAD_LEFT) - PAD_LEFT, W - 1u)], inside);
            }
            for (var k = 0u; k < TILE_K; k++) {
                let upstream_row = ((n * K + group * GROUP_K + min(k0 + k, GROUP_K - 1u)) * P + p) * Q;
                var upstream: array<f32, TILE_Q>;
                for (var q = 0u; q < TILE_Q; q++) {
                    upstream[q] = select(0.0, dy[upstream_row + min(q0 + q, Q - 1u)], q0 + q < Q);
                    biases[k] += upstream[q];
                }
                for (var s = 0u; s < S; s++) {
                    var sum = sums[k][s];
                    for (var q = 0u; q < TILE_Q; q++) {
                        sum += upstream[q] * strip[q * STRIDE_W + s * DILATION_W];
                    }
                    sums[k][s] = sum;
                }
            }
        }
    }
    for (var k = 0u; k < TILE_K; k++) {
        if k0 + k < GROUP_K {
            let own = group * GROUP_K + k0 + k;
            let start = part * TOTAL + ((own * GROUP_C + c) * R + r) * S;
            for (var s = 0u; s < S; s++) {
                dw[start + s] = sums[k][s];
            }
            if has_bias {
                dw[part * TOTAL + BIAS_AT + own] = biases[k];
            }
        }
    }
    if has_bias && group == 0u && k0 == 0u {
        for (var gap = WEIGHTS; gap < BIAS_AT; gap++) { // rounds: 64u
            dw[part * TOTAL + gap] = 0.0;
        }
    }
}
