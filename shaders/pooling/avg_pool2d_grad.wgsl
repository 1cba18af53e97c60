// What: dx[i] = Σ dy[o] / T over the windows o that have a tap on i, where T is the number of counted taps of window o.
// One invocation per cell of CELL_H x CELL_W input elements, which loops over the windows that cover it in row-major
// order.
// Shapes: dy [N, C, P, Q], dx [N, C, H, W].
// Cost: one load per element and window that covers it.

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
// Rows and columns of a cell; they divide the stride.
const CELL_H: u32 = 2u;
const CELL_W: u32 = 2u;
// Number of cells along each axis; the first one starts with the padding.
const CELLS_H: u32 = 2u;
const CELLS_W: u32 = 2u;
// 1 if some cell exceeds the input or has no window.
const RAGGED: u32 = 0u;
// 1 if the divisor of a window is the number of its taps in rows COUNT_TOP..COUNT_BOTTOM and in the columns likewise,
// relative to the padded input; else it is R·S.
const DIVISORS_DIFFER: u32 = 0u;
const COUNT_TOP: u32 = 0u;
const COUNT_BOTTOM: u32 = 4u;
const COUNT_LEFT: u32 = 0u;
const COUNT_RIGHT: u32 = 4u;
// Cells per stride.
const PARTS_H: u32 = STRIDE_H / CELL_H;
const PARTS_W: u32 = STRIDE_W / CELL_W;
// Maximum number of windows that cover an element, along each axis.
const OVER_H: u32 = ((R - 1u) * DILATION_H + STRIDE_H) / STRIDE_H;
const OVER_W: u32 = ((S - 1u) * DILATION_W + STRIDE_W) / STRIDE_W;

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;

// Whether a window has a tap at this offset from its start.
fn is_tap(offset: u32, taps: u32, dilation: u32) -> bool {
    return offset % dilation == 0u && offset / dilation < taps;
}

// The number of the taps at start, start + dilation, .. in begin..end.
fn taps_inside(start: u32, taps: u32, dilation: u32, begin: u32, end: u32) -> u32 {
    let inside = taps_on(start, taps, dilation, begin, end - begin);
    return inside.y - inside.x;
}

@compute @workgroup_size(64)
fn avg_pool2d_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = workgroup_index(workgroup, grid) * 64u + lane;
    let row = cell / CELLS_W % CELLS_H;
    let column = cell % CELLS_W;
    let image = cell / (CELLS_H * CELLS_W);
    let plane = image * (H * W);
    if plane >= arrayLength(&dx) {
        return;
    }
    // The cell's offset in the last window that covers it.
    let down = row % PARTS_H * CELL_H;
    let across = column % PARTS_W * CELL_W;
    for (var r = 0u; r < CELL_H; r++) {
        for (var s = 0u; s < CELL_W; s++) {
            // A coordinate above or left of the input wraps to a large number, as does the index of such a window
            // below.
            let h = row * CELL_H + r - PAD_TOP;
            let w = column * CELL_W + s - PAD_LEFT;
            if RAGGED == 0u || (h < H && w < W) {
                let i = plane + h * W + w;
                var sum = 0.0;
                for (var a = 0u; a < OVER_H; a++) {
                    for (var b = 0u; b < OVER_W; b++) {
                        let p = row / PARTS_H + a - (OVER_H - 1u);
                        let q = column / PARTS_W + b - (OVER_W - 1u);
                        let tap_down = is_tap(down + r + (OVER_H - 1u - a) * STRIDE_H, R, DILATION_H);
                        let tap_across = is_tap(across + s + (OVER_W - 1u - b) * STRIDE_W, S, DILATION_W);
                        let inside = (RAGGED == 0u && OVER_H * OVER_W == 1u) || (p < P && q < Q);
                        if tap_down && tap_across && inside {
                            let o = (image * P + p) * Q + q;
                            var taps = R * S;
                            if DIVISORS_DIFFER == 1u {
                                taps = taps_inside(p * STRIDE_H, R, DILATION_H, COUNT_TOP, COUNT_BOTTOM)
                                    * taps_inside(q * STRIDE_W, S, DILATION_W, COUNT_LEFT, COUNT_RIGHT);
                            }
                            sum += dy[o] / f32(taps);
                        }
                    }
                }
                dx[i] = sum;
            }
        }
    }
}
