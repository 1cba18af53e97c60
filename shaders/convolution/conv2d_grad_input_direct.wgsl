// What: dx[n,c,h,v] = b[c] + sum over k,r,s of dy[n, k, h + PAD_TOP - r*DILATION_H, v + PAD_LEFT - s*..] * w[k,c,r,s]
// over the filters k of c's group
// Shapes: w [K,C/GROUPS,R,S], dy [N,K,P,Q], dx [N,C,H,W], b [C] or absent; stride 1 only
// Each invocation computes TILE_W adjacent columns of TILE_C channels: a row of dy is loaded once for all of them.

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
const P: u32 = 10u;
const Q: u32 = 10u;
const STRIDE_H: u32 = 1u;
const STRIDE_W: u32 = 1u;
const DILATION_H: u32 = 1u;
const DILATION_W: u32 = 1u;
const PAD_TOP: u32 = 0u;
const PAD_LEFT: u32 = 0u;
const GROUPS: u32 = 1u;
// The range of a group's filters, and 1 if a previous dispatch left its sums in dx.
const K_BEGIN: u32 = 0u;
const K_END: u32 = 16u;
const CONTINUES: u32 = 0u;
const TILE_C: u32 = 6u; // 1 to 8
const TILE_W: u32 = 7u; // 1 to 14

const GROUP_C = C / GROUPS;
const GROUP_K = K / GROUPS;
const BLOCKS_C = (GROUP_C + TILE_C - 1u) / TILE_C;
const BLOCKS_W = (W + TILE_W - 1u) / TILE_W;
const REACH = (S - 1u) * DILATION_W;
const STRIP = TILE_W + REACH;

fn epilogue(v: f32, i: u32) -> f32 { return v; }
fn bias(c: u32) -> f32 { return b[c]; }

@compute @workgroup_size(64)
fn conv2d_grad_input_direct(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= N * GROUPS * BLOCKS_C * H * BLOCKS_W {
        return;
    }
    let v0 = (i % BLOCKS_W) * TILE_W;
    let h = i / BLOCKS_W % H;
    let c0 = i / (BLOCKS_W * H) % BLOCKS_C * TILE_C;
    let group = i / (BLOCKS_W * H * BLOCKS_C) % GROUPS;
    let n = i / (BLOCKS_W * H * BLOCKS_C * GROUPS);

    var sums: array<array<f32, TILE_W>, TILE_C>;
    for (var c = 0u; c < TILE_C; c++) {
        for (var v = 0u; v < TILE_W; v++) {
            sums[c][v] = 0.0;
            if CONTINUES == 1u {
                let channel = group * GROUP_C + min(c0 + c, GROUP_C - 1u);
                sums[c][v] = dx[((n * C + channel) * H + h) * W + min(v0 + v, W - 1u)];
            }
        }
    }
    for (var of_group = K_BEGIN; of_group < K_END; of_group++) {
        let k = group * GROUP_K + of_group;
        for (var r = 0u; r < R; r++) {
            // The output row whose tap r reads row h; negative rows wrap to large numbers.
            let p = h + PAD_TOP - r * DILATION_H;
            if p >= P {
                continue;
            }
            let start = ((n * K + k) * P + p) * Q;
            var strip: array<f32, STRIP>;
            for (var j = 0u; j < STRIP; j++) {
                // Likewise the output column for element j of the strip.
                let q = v0 + j + PAD_LEFT - REACH;
                strip[j] = select(0.0, dy[start + min(q, Q - 1u)], q < Q);
            }
            for (var c = 0u; c < TILE_C; c++) {
                let filter_row = ((k * GROUP_C + min(c0 + c, GROUP_C - 1u)) * R + r) * S;
                for (var s = 0u; s < S; s++) {
                    let weight = w[filter_row + s];
                    for (var v = 0u; v < TILE_W; v++) {
                        sums[c][v] += weight * strip[v + REACH - s * DILATION_W];
                    }
                }
            }
        }
    }
    for (var c = 0u; c < TILE_C; c++) {
        if c0 + c < GROUP_C {
            let channel = group * GROUP_C + c0 + c;
            let offset = bias(channel);
            let start = ((n * C + channel) * H + h) * W + v0;
            for (var v = 0u; v < TILE_W; v++) {
                if v0 + v < W {
                    dx[start + v] = epilogue(sums[c][v] + offset, start + v);
                }
            }
        }
    }
}
