// What: dw[k,c,r,s] = sum over n,p,q of dy[n,k,p,q] * x[n, c, p*STRIDE_H + .., q*.. + ..], in the order of n,p,q
// Shapes: x [N,C,H,W], dy [N,K,P,Q], dw [TOTAL]: the weights [K,C/GROUPS,R,S] and, if BIAS_AT < TOTAL, from BIAS_AT
// db[k] = sum of dy; c is relative to k's group
// Each invocation computes one weight or bias: for windows too large for the tiled kernels.

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
// The range of the N*P*Q output positions, and 1 if a previous dispatch left its sums in dw.
const BEGIN: u32 = 0u;
const END: u32 = 100u;
const CONTINUES: u32 = 0u;
const BIAS_AT: u32 = 2432u;
const TOTAL: u32 = 2448u;

const GROUP_C = C / GROUPS;
const GROUP_K = K / GROUPS;
const WEIGHTS = K * GROUP_C * R * S;

@compute @workgroup_size(64)
fn conv2d_grad_weight_gather(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= TOTAL {
        return;
    }
    let s = i % S;
    let r = i / S % R;
    let is_weight = i < WEIGHTS;
    if !is_weight && i < BIAS_AT {
        dw[i] = 0.0;
        return;
    }
    let k = select(i - BIAS_AT, i / (S * R * GROUP_C), is_weight);
    let c = k / GROUP_K * GROUP_C + i / (S * R) % GROUP_C;

    var sum = 0.0;
    if CONTINUES == 1u {
        sum = dw[i];
    }
    for (var position = BEGIN; position < END; position++) {
        let q = position % Q;
        let p = position / Q % P;
        let n = position / (Q * P);
        // A coordinate above or left of the input wraps to a large number.
        let h = p * STRIDE_H + r * DILATION_H - PAD_TOP;
        let v = q * STRIDE_W + s * DILATION_W - PAD_LEFT;
        let upstream = ((n * K + k) * P + p) * Q + q;
        if !is_weight {
            sum += dy[upstream];
        } else if h < H && v < W {
            sum += dy[upstream] * x[((n * C + c) * H + h) * W + v];
        }
    }
    dw[i] = sum;
}
