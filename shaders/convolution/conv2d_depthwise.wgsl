// What: y[n,k,p,q] = b[k] + sum over c,r,s of x[n, c, p*STRIDE_H + r*DILATION_H - PAD_TOP, q*.. - PAD_LEFT] *
// w[k,c,r,s] over the channels c of k's group
// Shapes: x [N,C,H,W], w [K,C/GROUPS,R,S], y [N,K,P,Q], b [K] or absent; few filters per channel, or few channels per
// filter; W and Q are multiples of 4
// Also computes the input gradient for a stride of 1: a convolution of dy with the flipped kernel.
// Each invocation computes TILE_P rows by TILE_Q columns of one filter: each x is loaded once for all of them, as vec4.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b: array<f32>;

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

const GROUP_C = C / GROUPS;
const GROUP_K = K / GROUPS;
const BLOCKS_P = (P + TILE_P - 1u) / TILE_P;
const BLOCKS_Q = (Q + TILE_Q - 1u) / TILE_Q;


fn epilogue(v: f32, i: u32) -> f32 { return v; }
fn bias(k: u32) -> f32 { return b[k]; }
fn place_of(tap: u32) -> u32 { return tap; }

@compute @workgroup_size(64)
fn conv2d_depthwise(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= N * K * BLOCKS_P * BLOCKS_Q {
        return;
    }
    let q0 = i % BLOCKS_Q * TILE_Q;
    let p0 = i / BLOCKS_Q % BLOCKS_P * TILE_P;
    let k = i / (BLOCKS_Q * BLOCKS_P) % K;
    let n = i / (BLOCKS_Q * BLOCKS_P * K);

    var sums: array<array<vec4<f32>, QUADS_Y>, TILE_P>;
    for (var c = 0u; c < GROUP_C; c++) {
        var rows: array<array<vec4<f32>, QUADS>, ROWS>;
        for (var r = 0u; r < ROWS; r++) { // unroll
            // Coordinates above and left of the input wrap to large numbers.
            let row = p0 * STRIDE_H + r - PAD_TOP;
            let width = select(0u, W, row < H);
            let start = ((n * C + k / GROUP_K * GROUP_C + c) * H + min(row, H - 1u)) * W;
            for (var j = 0u; j < QUADS; j++) { // unroll
                let column = q0 * STRIDE_W + j * 4u - PAD_LEFT - SHIFT;
                rows[r][j] = select(vec4<f32>(0.0), x[(start + min(column, W - 4u)) / 4u], column < width);
            }
        }
        for (var r = 0u; r < R; r++) { // unroll
            for (var s = 0u; s < S; s++) { // unroll
                let weight = w[(k * GROUP_C + c) * (R * S) + place_of(r * S + s)];
                for (var p = 0u; p < TILE_P; p++) { // unroll
                    for (var q = 0u; q < TILE_Q; q++) { // unroll
                        let at = SHIFT + q * STRIDE_W + s * DILATION_W;
                        sums[p][q / 4u][q % 4u] += weight * rows[p * STRIDE_H + r * DILATION_H][at / 4u][at % 4u];
                    }
                }
            }
        }
    }
    let offset = bias(k);
    for (var p = 0u; p < TILE_P; p++) { // unroll
        for (var j = 0u; j < QUADS_Y; j++) { // unroll
            if p0 + p < P && q0 + j * 4u < Q {
                let v = sums[p][j] + offset;
                let i = ((n * K + k) * P + p0 + p) * Q + q0 + j * 4u;
                let first = vec2<f32>(epilogue(v.x, i), epilogue(v.y, i + 1u));
                y[i / 4u] = vec4<f32>(first, epilogue(v.z, i + 2u), epilogue(v.w, i + 3u));
            }
        }
    }
}
