// What: y[n,k,p,q] = b[k] + sum over c,r,s of x[n, c, p*STRIDE_H + r*DILATION_H - PAD_TOP, q*.. - PAD_LEFT] *
// w[k,c,r,s] over the channels c of k's group
// Shapes: x [N,C,H,W], w [K,C/GROUPS,R,S], y [N,K,P,Q], b [K] or absent
// Pooling: with POOL_H x POOL_W, y is the first maximum of each window of outputs; optionally writes the argmax
// indices.
// Each invocation computes TILE_Q adjacent columns of TILE_K filters: a row of x is loaded once for all of them.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> positions: array<u32>;

const N: u32 = 1u;
const C: u32 = 1u;
const H: u32 = 28u;
const W: u32 = 28u;
const K: u32 = 6u;
const R: u32 = 5u;
const S: u32 = 5u;
const P: u32 = 28u;
const Q: u32 = 28u;
const STRIDE_H: u32 = 1u;
const STRIDE_W: u32 = 1u;
const DILATION_H: u32 = 1u;
const DILATION_W: u32 = 1u;
const PAD_TOP: u32 = 2u;
const PAD_LEFT: u32 = 2u;
const GROUPS: u32 = 1u;
// The range of a group's channels, and 1 if a previous dispatch left its sums in y.
const C_BEGIN: u32 = 0u;
const C_END: u32 = 1u;
const CONTINUES: u32 = 0u;
const TILE_K: u32 = 6u; // 1 to 8
const TILE_Q: u32 = 7u; // 1 to 14, or POOL_W
const POOL_H: u32 = 1u; // divides P
const POOL_W: u32 = 1u; // divides Q and TILE_Q
const TILE_WINDOWS: u32 = 7u; // TILE_Q / POOL_W
const Y_COLUMNS: u32 = 28u; // Q, plus columns that no pooling window covers

const GROUP_C = C / GROUPS;
const GROUP_K = K / GROUPS;
const BLOCKS_K = (GROUP_K + TILE_K - 1u) / TILE_K;
const BLOCKS_Q = (Q + TILE_Q - 1u) / TILE_Q;
const ROWS = P / POOL_H;
const STRIP = (TILE_Q - 1u) * STRIDE_W + (S - 1u) * DILATION_W + 1u;

fn epilogue(v: f32, i: u32) -> f32 { return v; }
fn bias(k: u32) -> f32 { return b[k]; }
fn keep(place: u32, position: u32) -> f32 { return written(place, position); }
fn written(place: u32, position: u32) -> f32 {
    positions[place] = position;
    return 0.0;
}

@compute @workgroup_size(64)
fn conv2d_direct(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= N * GROUPS * BLOCKS_K * ROWS * BLOCKS_Q {
        return;
    }
    let q0 = (i % BLOCKS_Q) * TILE_Q;
    let p0 = i / BLOCKS_Q % ROWS * POOL_H;
    let k0 = i / (BLOCKS_Q * ROWS) % BLOCKS_K * TILE_K;
    let group = i / (BLOCKS_Q * ROWS * BLOCKS_K) % GROUPS;
    let n = i / (BLOCKS_Q * ROWS * BLOCKS_K * GROUPS);

    var best: array<array<f32, TILE_WINDOWS>, TILE_K>;
    var found: array<array<u32, TILE_WINDOWS>, TILE_K>;
    for (var down = 0u; down < POOL_H; down++) {
        let p = p0 + down;
        var sums: array<array<f32, TILE_Q>, TILE_K>;
        for (var k = 0u; k < TILE_K; k++) {
            for (var q = 0u; q < TILE_Q; q++) {
                sums[k][q] = 0.0;
                if CONTINUES == 1u {
                    let own = group * GROUP_K + min(k0 + k, GROUP_K - 1u);
                    sums[k][q] = y[((n * K + own) * P + p) * Q + min(q0 + q, Q - 1u)];
                }
            }
        }
        for (var c = C_BEGIN; c < C_END; c++) {
            for (var r = 0u; r < R; r++) {
                // Coordinates are relative to the padded input, so that they are never negative.
                let row = p * STRIDE_H + r * DILATION_H;
                if row < PAD_TOP || row >= H + PAD_TOP {
                    continue;
                }
                let start = ((n * C + group * GROUP_C + c) * H + row - PAD_TOP) * W;
                var strip: array<f32, STRIP>;
                for (var j = 0u; j < STRIP; j++) {
                    let column = q0 * STRIDE_W + j;
                    let inside = column >= PAD_LEFT && column < W + PAD_LEFT;
                    strip[j] = select(0.0, x[start + min(max(column, PAD_LEFT) - PAD_LEFT, W - 1u)], inside);
                }
                for (var k = 0u; k < TILE_K; k++) {
                    let filter_row = (((group * GROUP_K + min(k0 + k, GROUP_K - 1u)) * GROUP_C + c) * R + r) * S;
                    for (var s = 0u; s < S; s++) {
                        let weight = w[filter_row + s];
                        for (var q = 0u; q < TILE_Q; q++) {
                            sums[k][q] += weight * strip[q * STRIDE_W + s * DILATION_W];
                        }
                    }
                }
            }
        }
        for (var k = 0u; k < TILE_K; k++) {
            if k0 + k < GROUP_K {
                let own = group * GROUP_K + k0 + k;
                let offset = bias(own);
                let start = ((n * K + own) * ROWS + p0 / POOL_H) * (Q / POOL_W) + q0 / POOL_W;
                for (var q = 0u; q < TILE_Q; q++) {
                    if q0 + q < Q {
                        let window = q / POOL_W;
                        let v = epilogue(sums[k][q] + offset, start + window);
                        if POOL_H * POOL_W == 1u {
                            y[start + q] = v;
                        } else if down + q % POOL_W == 0u || is_larger(v, best[k][window]) {
                            best[k][window] = v;
                            found[k][window] = p * Y_COLUMNS + q0 + q;
                        }
                    }
                }
            }
        }
    }
    if POOL_H * POOL_W == 1u {
        return;
    }
    for (var k = 0u; k < TILE_K; k++) {
        let own = group * GROUP_K + k0 + k;
        let start = ((n * K + own) * ROWS + p0 / POOL_H) * (Q / POOL_W) + q0 / POOL_W;
        for (var window = 0u; window < TILE_WINDOWS; window++) {
            if k0 + k < GROUP_K && q0 + window * POOL_W < Q {
                y[start + window] = best[k][window];
                keep(start + window, found[k][window]);
            }
        }
    }
}
