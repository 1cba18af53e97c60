// What: positions[n, c, p, q] = h·W + w of the argmax of window (p, q): the first of equal maxima in row-major order,
// or the first NaN. Optionally y[n, c, p, q] = the maximum. One invocation per window.
// Shapes: x [N, C, H, W], positions (argmax indices) and y [N, C, P, Q]; every window has a tap on the input.
// Cost: R·S loads per window.

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

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> positions: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn keep(i: u32, v: f32) -> f32 { return written(i, v); }
fn written(i: u32, v: f32) -> f32 {
    y[i] = v;
    return v;
}

@compute @workgroup_size(64)
fn max_pool2d_positions(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&positions) {
        return;
    }
    let top = (i / Q % P) * STRIDE_H;
    let left = (i % Q) * STRIDE_W;
    let plane = i / (P * Q) * (H * W);

    var best = 0.0;
    var position = 0u;
    var found = false;
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
                let here = h * W + w;
                let v = x[plane + here];
                if !found | (!is_nan(best) & ((v > best) | is_nan(v))) {
                    best = v;
                    position = here;
                    found = true;
                }
            }
        }
    }
    positions[i] = position;
    keep(i, best);
}
