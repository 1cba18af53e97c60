// What: dx[n,c,h,v] = b[c] + sum over k,r,s of dy[n,k,p,q] * w[k,c,r,s] over the outputs p, q whose tap r, s reads h, v
// and the filters k of c's group
// Shapes: w [K,C/GROUPS,R,S], dy [N,K,P,Q], dx [N,C,H,W], b [C] or absent; any stride
// Each invocation computes one position of TILE_C channels.

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;

const N: u32 = 1u;
const C: u32 = 6u;
const H: u32 = 14u;
const W: u32 = 14u;
const K: u32 = 16u;
const R: u32 = 5u;
const S: u32 = 5u;
const P: u32 = 5u;
const Q: u32 = 5u;
const STRIDE_H: u32 = 2u;
const STRIDE_W: u32 = 2u;
const DILATION_H: u32 = 1u;
const DILATION_W: u32 = 1u;
const PAD_TOP: u32 = 0u;
const PAD_LEFT: u32 = 0u;
const GROUPS: u32 = 1u;
// The ranges of taps and of a group's filters, and 1 if a previous dispatch left its sums in dx.
const TAP_BEGIN: u32 = 0u;
const TAP_END: u32 = 25u;
const K_BEGIN: u32 = 0u;
const K_END: u32 = 16u;
const CONTINUES: u32 = 0u;
const TILE_C: u32 = 6u; // 1 to 8

const GROUP_C = C / GROUPS;
const GROUP_K = K / GROUPS;
const BLOCKS_C = (GROUP_C + TILE_C - 1u) / TILE_C;

fn epilogue(v: f32, i: u32) -> f32 { return v; }
fn bias(c: u32) -> f32 { return b[c]; }

@compute @workgroup_size(64)
fn conv2d_grad_input_gather(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= N * GROUPS * BLOCKS_C * H * W {
        return;
    }
    let v = i % W;
    let h = i / W % H;
    let c0 = i / (W * H) % BLOCKS_C * TILE_C;
    let group = i / (W * H * BLOCKS_C) % GROUPS;
    let n = i / (W * H * BLOCKS_C * GROUPS);

    var sums: array<f32, TILE_C>;
    for (var c = 0u; c < TILE_C; c++) {
        sums[c] = 0.0;
        if CONTINUES == 1u {
            sums[c] = dx[((n * C + group * GROUP_C + min(c0 + c, GROUP_C - 1u)) * H + h) * W + v];
        }
    }
    for (var tap = TAP_BEGIN; tap < TAP_END; tap++) {
        let r = tap / S;
        let s = tap % S;
        // The start of the window whose tap r, s is at h, v; negative coordinates wrap to large numbers.
        let top = h + PAD_TOP - r * DILATION_H;
        let left = v + PAD_LEFT - s * DILATION_W;
        if top % STRIDE_H != 0u || top / STRIDE_H >= P || left % STRIDE_W != 0u || left / STRIDE_W >= Q {
            continue;
        }
        for (var of_group = K_BEGIN; of_group < K_END; of_group++) {
            let k = group * GROUP_K + of_group;
            let upstream = dy[((n * K + k) * P + top / STRIDE_H) * Q + left / STRIDE_W];
            for (var c = 0u; c < TILE_C; c++) {
                sums[c] += upstream * w[((k * GROUP_C + min(c0 + c, GROUP_C - 1u)) * R + r) * S + s];
            }
        }
    }
    for (var c = 0u; c < TILE_C; c++) {
        if c0 + c < GROUP_C {
            let channel = group * GROUP_C + c0 + c;
            let place = ((n * C + channel) * H + h) * W + v;
            dx[place] = epilogue(sums[c] + bias(channel), place);
        }
    }
}
