// What: y[n,k,p,q] = b[k] + sum over c,r,s of x[n, c, p*STRIDE_H + r*DILATION_H - PAD_TOP, q*.. - PAD_LEFT] *
// w[k,c,r,s] over the channels c of k's group
// Shapes: x [N,C,H,W], w [K,C/GROUPS,R,S], y [N,K,P,Q], b [K] or absent
// Each invocation computes one output position of TILE_K filters: for windows too large for conv2d_direct.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;

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
// The ranges of taps and of a group's channels, and 1 if a previous dispatch left its sums in y.
const TAP_BEGIN: u32 = 0u;
const TAP_END: u32 = 25u;
const C_BEGIN: u32 = 0u;
const C_END: u32 = 1u;
const CONTINUES: u32 = 0u;
const TILE_K: u32 = 6u; // 1 to 8

const GROUP_C = C / GROUPS;
const GROUP_K = K / GROUPS;
const BLOCKS_K = (GROUP_K + TILE_K - 1u) / TILE_K;

fn epilogue(v: f32, i: u32) -> f32 { return v; }
fn bias(k: u32) -> f32 { return b[k]; }

@compute @workgroup_size(64)
fn conv2d_gather(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= N * GROUPS * BLOCKS_K * P * Q {
        return;
    }
    let q = i % Q;
    let p = i / Q % P;
    let k0 = i / (Q * P) % BLOCKS_K * TILE_K;
    let group = i / (Q * P * BLOCKS_K) % GROUPS;
    let n = i / (Q * P * BLOCKS_K * GROUPS);

    var sums: array<f32, TILE_K>;
    for (var k = 0u; k < TILE_K; k++) {
        sums[k] = 0.0;
        if CONTINUES == 1u {
            sums[k] = y[((n * K + group * GROUP_K + min(k0 + k, GROUP_K - 1u)) * P + p) * Q + q];
        }
    }
    for (var tap = TAP_BEGIN; tap < TAP_END; tap++) {
        let r = tap / S;
        let s = tap % S;
        // A coordinate above or left of the input wraps to a large number.
        let h = p * STRIDE_H + r * DILATION_H - PAD_TOP;
        let v = q * STRIDE_W + s * DILATION_W - PAD_LEFT;
        if h >= H || v >= W {
            continue;
        }
        for (var c = C_BEGIN; c < C_END; c++) {
            let value = x[((n * C + group * GROUP_C + c) * H + h) * W + v];
            for (var k = 0u; k < TILE_K; k++) {
                let filter_k = group * GROUP_K + min(k0 + k, GROUP_K - 1u);
                sums[k] += value * w[((filter_k * GROUP_C + c) * R + r) * S + s];
            }
        }
    }
    for (var k = 0u; k < TILE_K; k++) {
        if k0 + k < GROUP_K {
            let own = group * GROUP_K + k0 + k;
            let place = ((n * K + own) * P + p) * Q + q;
            y[place] = epilogue(sums[k] + bias(own), place);
        }
    }
}
