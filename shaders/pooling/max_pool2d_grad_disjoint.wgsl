// What: dx[i] = dy[o] if i is the argmax of window o, else 0, for windows without overlap. One invocation per cell of
// STRIDE_H x STRIDE_W elements, which contains at most one window. max_pool2d_positions finds the indices.
// Shapes: positions (argmax indices) and dy [N, C, P, Q], dx [N, C, H, W].
// Cost: every element of positions and dy is loaded once, every element of dx stored once.

const H: u32 = 4u;
const W: u32 = 4u;
const P: u32 = 2u;
const Q: u32 = 2u;
const STRIDE_H: u32 = 2u;
const STRIDE_W: u32 = 2u;
const PAD_TOP: u32 = 0u;
const PAD_LEFT: u32 = 0u;
// Number of cells along each axis.
const CELLS_H: u32 = 2u;
const CELLS_W: u32 = 2u;
// 1 if some cell exceeds the input or has no window.
const RAGGED: u32 = 0u;

@group(0) @binding(0) var<storage, read> positions: array<u32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

fn epilogue(v: f32, i: u32) -> f32 { return v; }

fn value_at(plane: u32, row: u32, column: u32) -> f32 {
    let p = min((row + PAD_TOP) / STRIDE_H, P - 1u);
    let q = min((column + PAD_LEFT) / STRIDE_W, Q - 1u);
    let o = (plane * P + p) * Q + q;
    return select(0.0, dy[o], positions[o] == row * W + column);
}

fn value(i: u32) -> f32 {
    return value_at(i / (H * W), i / W % H, i % W);
}

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

    // A cell without a window is zero.
    var position = H * W;
    var g = 0.0;
    if RAGGED == 0u || (p < P && q < Q) {
        let o = (image * P + p) * Q + q;
        position = positions[o];
        g = dy[o];
    }
    for (var r = 0u; r < STRIDE_H; r++) {
        for (var s = 0u; s < STRIDE_W; s++) {
            // A coordinate above or left of the input wraps to a large number.
            let h = p * STRIDE_H + r - PAD_TOP;
            let w = q * STRIDE_W + s - PAD_LEFT;
            if RAGGED == 0u || (h < H && w < W) {
                let here = h * W + w;
                dx[plane + here] = epilogue(select(0.0, g, here == position), plane + here);
            }
        }
    }
}
