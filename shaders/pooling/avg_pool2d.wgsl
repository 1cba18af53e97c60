// What: y[n, c, p, q] = 1/T · Σ over r, s of x[n, c, h, w] with h = p·STRIDE_H + r·DILATION_H − PAD_TOP and w likewise.
// Padding is zeros; T is the number of counted taps (without any, y is 0). One invocation per output.
// Shapes: x [N, C, H, W], y [N, C, P, Q].
// Cost: R·S loads per output.

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
// 1 if taps may be in padding and each is tested.
const TESTED: u32 = 0u;
// 1 if the loops are clipped to the input instead, which is faster for large windows.
const CLIPPED_H: u32 = 0u;
const CLIPPED_W: u32 = 0u;
// 1 if the divisor of a window is the number of its taps in rows COUNT_TOP..COUNT_BOTTOM and in the columns likewise,
// relative to the padded input; else it is R·S.
const DIVISORS_DIFFER: u32 = 0u;
const COUNT_TOP: u32 = 0u;
const COUNT_BOTTOM: u32 = 4u;
const COUNT_LEFT: u32 = 0u;
const COUNT_RIGHT: u32 = 4u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

// The number of the taps at start, start + dilation, .. in begin..end.
fn taps_inside(start: u32, taps: u32, dilation: u32, begin: u32, end: u32) -> u32 {
    let inside = taps_on(start, taps, dilation, begin, end - begin);
    return inside.y - inside.x;
}

@compute @workgroup_size(64)
fn avg_pool2d(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&y) {
        return;
    }
    let top = (i / Q % P) * STRIDE_H;
    let left = (i % Q) * STRIDE_W;
    let plane = i / (P * Q) * (H * W);

    var sum = 0.0;
    var rows = vec2(0u, R);
    if CLIPPED_H == 1u {
        rows = taps_on(top, R, DILATION_H, PAD_TOP, H);
    }
    var columns = vec2(0u, S);
    if CLIPPED_W == 1u {
        columns = taps_on(left, S, DILATION_W, PAD_LEFT, W);
    }
    for (var r = rows.x; r < rows.y; r++) { // rounds: R
        for (var s = columns.x; s < columns.y; s++) { // rounds: S
            // A coordinate above or left of the input wraps to a large number.
            let h = top + r * DILATION_H - PAD_TOP;
            let w = left + s * DILATION_W - PAD_LEFT;
            if TESTED == 0u || (h < H && w < W) {
                sum += x[plane + h * W + w];
            }
        }
    }
    var taps = R * S;
    if DIVISORS_DIFFER == 1u {
        taps = taps_inside(top, R, DILATION_H, COUNT_TOP, COUNT_BOTTOM)
            * taps_inside(left, S, DILATION_W, COUNT_LEFT, COUNT_RIGHT);
    }
    y[i] = sum / f32(max(taps, 1u));
}
