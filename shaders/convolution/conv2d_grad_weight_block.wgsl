// What: dw[part,k,c,r,s] = sum over a part's n,p,q of dy[n,k,p,q] * x[n, c, p*STRIDE_H + .., q*.. + ..]
// Shapes: x [N,C,H,W], dy [N,K,P,Q], dw [PARTS,TOTAL]: the weights [K,C,R,S] and, if BIAS_AT < TOTAL, from BIAS_AT
// db[part,k] = sum of dy; another dispatch adds the parts
// A tiled matrix product through workgroup memory: rows are filters, columns are their weights plus one column of ones
// for the bias, and terms are positions of dy in groups of four along its rows.
// joined with common/block.wgsl

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
const GROUPS: u32 = 1u; // only 1 is supported
const IS_INSIDE: u32 = 1u; // 1 if no window reads padding
const QUADS: u32 = 2u; // 1 or 2
const SIDE: u32 = 8u; // 4 or 8
const SLICES: u32 = 1u; // 1, 2, 4, .. 16
const INVOCATIONS: u32 = 64u; // SIDE * SIDE * SLICES
const TILE_K: u32 = 16u; // 8 or 16
const PARTS: u32 = 1u;
const BIAS_AT: u32 = 2432u;
const TOTAL: u32 = 2448u;
const STEPS: u32 = 36u; // per part, each of DEPTH terms

const WEIGHTS = C * R * S;
const COLUMNS = select(WEIGHTS, WEIGHTS + 1u, BIAS_AT < TOTAL);
const BLOCKS_K = (K + BLOCK - 1u) / BLOCK;
const BLOCKS_W = (COLUMNS + BLOCK - 1u) / BLOCK;
// Groups of four positions in a row of dy.
const FOURS = (Q + 3u) / 4u;
const IS_RAGGED = PARTS * STEPS * DEPTH != N * P * FOURS * 4u;
// Whether an invocation loads the next tile while it computes: larger tiles leave no registers for that.
const IS_AHEAD = QUADS == 1u;

// Four adjacent weights of a filter: the element of x under the tap of each in the first window, which may be in the
// padding before x, and its row and column; and whether it is the column of ones instead.
struct Taps {
    first: vec4<u32>,
    row: vec4<u32>,
    column: vec4<u32>,
    is_ones: vec4<bool>,
}

fn taps(first: u32) -> Taps {
    let own = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    let i = min(own, vec4<u32>(WEIGHTS - 1u));
    let row = i / S % R * DILATION_H - PAD_TOP;
    let column = i % S * DILATION_W - PAD_LEFT;
    let is_ones = own == vec4<u32>(select(COLUMNS, WEIGHTS, BIAS_AT < TOTAL));
    return Taps(i / (R * S) * (H * W) + row * W + column, row, column, is_ones);
}

// Loads four terms of the four filters whose planes of dy start at `filters` in each image, and of four weights; zeros
// beyond the end.
fn load(lane: u32, filters: vec4<u32>, taps: Taps, term: u32, tiles: ptr<function, Tiles>) {
    let row = term / (4u * FOURS);
    let q = term / 4u % FOURS * 4u;
    let n = row / P;
    let p = row % P;
    if IS_RAGGED && n >= N {
        *tiles = Tiles();
        return;
    }
    if loads_left(lane) {
        let start = filters + n * (K * P * Q) + p * Q + q;
        for (var i = 0u; i < 4u; i++) { // unroll
            for (var j = 0u; j < 4u; j++) { // unroll
                let inside = Q % 4u == 0u || q + j < Q;
                (*tiles)[0][j][i] = select(0.0, dy[select(0u, start[i] + j, inside)], inside);
            }
        }
    }
    if loads_right(lane) {
        let ahead = n * (C * H * W) + p * STRIDE_H * W + q * STRIDE_W;
        for (var i = 0u; i < 4u; i++) { // unroll
            // A coordinate above or left of the input wraps to a large number.
            let is_row = IS_INSIDE == 1u || taps.row[i] + p * STRIDE_H < H;
            let column = taps.column[i] + q * STRIDE_W;
            for (var j = 0u; j < 4u; j++) { // unroll
                let is_column = (IS_INSIDE == 1u || column + j * STRIDE_W < W) && (Q % 4u == 0u || q + j < Q);
                let at = select(0u, taps.first[i] + ahead + j * STRIDE_W, is_row && is_column);
                // Beyond the end of dy its factor is 0.
                (*tiles)[1][j][i] = select(select(0.0, x[at], is_row && is_column), 1.0, taps.is_ones[i]);
            }
        }
    }
}

@compute @workgroup_size(INVOCATIONS)
fn conv2d_grad_weight_block(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = workgroup_index(workgroup, grid);
    if block >= PARTS * BLOCKS_K * BLOCKS_W {
        return;
    }
    let k0 = block % BLOCKS_K * BLOCK;
    let w0 = block / BLOCKS_K % BLOCKS_W * BLOCK;
    let part = block / (BLOCKS_K * BLOCKS_W);
    let k = vec4<u32>(k0 + loads_at(lane)) + vec4<u32>(0u, 1u, 2u, 3u);
    let filters = min(k, vec4<u32>(K - 1u)) * (P * Q);
    let own = taps(w0 + loads_at(lane));
    let first = part * STEPS * DEPTH + loads_term(lane);

    var tiles: Tiles;
    var sums: Sums;
    for (var step = 0u; step < STEPS; step++) {
        if !IS_AHEAD || step == 0u {
            load(lane, filters, own, first + step * DEPTH, &tiles);
        }
        workgroupBarrier();
        put(lane, &tiles);
        workgroupBarrier();
        if IS_AHEAD && step + 1u < STEPS {
            load(lane, filters, own, first + (step + 1u) * DEPTH, &tiles);
        }
        add_terms(lane, &sums);
    }
    add_slices(lane, &sums);
    if lane >= SIDE * SIDE {
        return;
    }
    for (var q = 0u; q < QUADS; q++) { // unroll
        for (var i = 0u; i < 4u; i++) { // unroll
            let k = k0 + row_of(lane, q) + i;
            for (var p = 0u; p < QUADS; p++) { // unroll
                for (var j = 0u; j < 4u; j++) { // unroll
                    let w = w0 + column_of(lane, p) + j;
                    if k < K && w < WEIGHTS {
                        dw[part * TOTAL + k * WEIGHTS + w] = sums[(q * 4u + i) * QUADS + p][j];
                    } else if BIAS_AT < TOTAL && k < K && w == WEIGHTS {
                        dw[part * TOTAL + BIAS_AT + k] = sums[(q * 4u + i) * QUADS + p][j];
                    }
                }
            }
        }
    }
    if k0 == 0u && w0 == 0u {
        for (var gap = K * WEIGHTS + lane; gap < BIAS_AT; gap += SIDE * SIDE) { // rounds: 4u
            dw[part * TOTAL + gap] = 0.0;
        }
    }
}
