// What: dx[i] = dy[o] if i is the first maximum of window o in row-major order (a NaN is a maximum), else 0, where no
//       two windows overlap. One invocation per cell of STRIDE_H x STRIDE_W elements, which holds at most one window.
// Shapes: x, dx [N, C, H, W], dy [N, C, P, Q]; every window meets the input.
// Cost: every element of x and dy is loaded at most once, every element of dx stored once.

const H: u32 = 4u;
const W: u32 = 4u;
const P: u32 = 2u;
const Q: u32 = 2u;
const R: u32 = 2u;
const S: u32 = 2u;
const STRIDE_H: u32 = 2u;
const STRIDE_W: u32 = 2u;
const DILATION_H: u32 = 1u;
const DILATION_W: u32 = 1u;
const PAD_TOP: u32 = 0u;
const PAD_LEFT: u32 = 0u;
// Cells along each axis.
const CELLS_H: u32 = 2u;
const CELLS_W: u32 = 2u;
// 1 if some cell reaches beyond the input or has no window.
const RAGGED: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

fn epilogue(v: f32, i: u32) -> f32 { return v; }

@compute @workgroup_size(64)
fn max_pool2d_grad_disjoint(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = workgroup_index(workgroup, grid) * 64u + lane;
    let p = cell / CELLS_W % CELLS_H;
    let q = cell % CELLS_W;
    let image = cell / (CELLS_H * CELLS_W);
    let plane = image * (H * W);
    if plane >= arrayLength(&dx) {
        return;
    }

    var best = 0.0;
    var position = 0u;
    var found = false;
    var g = 0.0;
    if RAGGED == 0u || (p < P && q < Q) {
        g = dy[(image * P + p) * Q + q];
        for (var r = 0u; r < R; r++) {
            for (var s = 0u; s < S; s++) {
                // A position above or left of the input wraps to a large number.
                let h = p * STRIDE_H + r * DILATION_H - PAD_TOP;
                let w = q * STRIDE_W + s * DILATION_W - PAD_LEFT;
                if RAGGED == 0u || (h < H && w < W) {
                    let here = plane + h * W + w;
                    let v = x[here];
                    if !found | (!is_nan(best) & ((v > best) | is_nan(v))) {
                        best = v;
                        position = here;
                        found = true;
                    }
                }
            }
        }
    }
    for (var r = 0u; r < STRIDE_H; r++) {
        for (var s = 0u; s < STRIDE_W; s++) {
            let h = p * STRIDE_H + r - PAD_TOP;
            let w = q * STRIDE_W + s - PAD_LEFT;
            if RAGGED == 0u || (h < H && w < W) {
                let here = plane + h * W + w;
                dx[here] = epilogue(select(0.0, g, found & (here == position)), here);
            }
        }
    }
}
