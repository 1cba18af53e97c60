// What: dw[part,k,r,s] = sum over a part's tiles of dy[n,k,p,q] * x[n, c, p*STRIDE_H + r*DILATION_H - PAD_TOP, q*.. -
// ..], where c is k's channel
// Shapes: x [N,C,H,W], dy [N,K,P,Q], dw [PARTS,TOTAL]: the weights [K,1,R,S] and, if BIAS_AT < TOTAL, from BIAS_AT
// db[part,k] = sum of dy; another dispatch adds the parts; GROUPS = C; W and Q are multiples of 4
// Each invocation goes down TILE_Q columns of one filter, TILE_P rows at a time: each x and dy is loaded once for all
// taps, as vec4.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

const N: u32 = 1u;
const C: u32 = 64u;
const H: u32 = 32u;
const W: u32 = 32u;
const K: u32 = 64u;
const R: u32 = 3u;
const S: u32 = 3u;
const P: u32 = 32u;
const Q: u32 = 32u;
const STRIDE_H: u32 = 1u;
const STRIDE_W: u32 = 1u;
const DILATION_H: u32 = 1u;
const DILATION_W: u32 = 1u;
const PAD_TOP: u32 = 1u;
const PAD_LEFT: u32 = 1u;
const GROUPS: u32 = 64u;
const TILE_P: u32 = 4u; // 1 to 4
const TILE_Q: u32 = 8u; // 4 or 8
const ROWS: u32 = 6u; // (TILE_P - 1) * STRIDE_H + (R - 1) * DILATION_H + 1
const QUADS: u32 = 4u; // vec4s of columns, from SHIFT columns before the first one needed
const SHIFT: u32 = 3u; // from PAD_LEFT to the next multiple of 4
const QUADS_Y: u32 = 2u; // TILE_Q / 4
const TILES: u32 = 8u; // per part
const PARTS: u32 = 4u;
const BIAS_AT: u32 = 576u;
const TOTAL: u32 = 640u;

const GROUP_K = K / GROUPS;
const TAPS: u32 = R * S;
const BLOCKS_P = (P + TILE_P - 1u) / TILE_P;
const BLOCKS_Q = (Q + TILE_Q - 1u) / TILE_Q;


@compute @workgroup_size(64)
fn conv2d_grad_weight_depthwise(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= K * PARTS {
        return;
    }
    // A part is a block of columns and a range of the tiles down it.
    let part = i % PARTS;
    let q0 = part % BLOCKS_Q * TILE_Q;
    let first = part / BLOCKS_Q * TILES;
    let k = i / PARTS;

    var sums: array<array<f32, S>, R>;
    var total = vec4<f32>(0.0);
    for (var tile = first; tile < min(first + TILES, N * BLOCKS_P); tile++) { // rounds: TILES
        let p0 = tile % BLOCKS_P * TILE_P;
        let n = tile / BLOCKS_P;
        var rows: array<array<vec4<f32>, QUADS>, ROWS>;
        for (var r = 0u; r < ROWS; r++) { // unroll
            // Coordinates above and left of the input wrap to large numbers.
            let row = p0 * STRIDE_H + r - PAD_TOP;
            let width = select(0u, W, row < H);
            let start = ((n * C + k / GROUP_K) * H + min(row, H - 1u)) * W;
            for (var j = 0u; j < QUADS; j++) { // unroll
                let column = q0 * STRIDE_W + j * 4u - PAD_LEFT - SHIFT;
                rows[r][j] = select(vec4<f32>(0.0), x[(start + min(column, W - 4u)) / 4u], column < width);
            }
        }
        for (var p = 0u; p < TILE_P; p++) { // unroll
            let width = select(0u, Q, p0 + p < P);
            let start = ((n * K + k) * P + min(p0 + p, P - 1u)) * Q;
            for (var j = 0u; j < QUADS_Y; j++) { // unroll
                let column = q0 + j * 4u;
                let upstream = select(vec4<f32>(0.0), dy[(start + min(column, Q - 4u)) / 4u], column < width);
                total += upstream;
                for (var r = 0u; r < R; r++) { // unroll
                    for (var s = 0u; s < S; s++) { // unroll
                        for (var l = 0u; l < 4u; l++) { // unroll
                            let at = SHIFT + (j * 4u + l) * STRIDE_W + s * DILATION_W;
                            sums[r][s] += upstream[l] * rows[p * STRIDE_H + r * DILATION_H][at / 4u][at % 4u];
                        }
                    }
                }
            }
        }
    }
    for (var r = 0u; r < R; r++) { // unroll
        for (var s = 0u; s < S; s++) { // unroll
            dw[part * TOTAL + k * TAPS + r * S + s] = sums[r][s];
        }
    }
    if BIAS_AT < TOTAL {
        dw[part * TOTAL + BIAS_AT + k] = (total.x + total.y) + (total.z + total.w);
    }
    if k == 0u {
        for (var gap = K * TAPS; gap < BIAS_AT; gap++) { // rounds: 64u
            dw[part * TOTAL + gap] = 0.0;
        }
    }
}
