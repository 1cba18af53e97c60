// What: positions[n, c, p, q] = columns[n, c, h, q] of the row h = p·STRIDE_H + r·DILATION_H − PAD_TOP where x at that
// index is the first maximum, or the first NaN. One invocation per window.
// Shapes: x [N, C, H, W], columns [N, C, H, Q] (argmax indices of each row of a window), positions [N, C, P, Q].
// Cost: 2·R loads per window.

const H: u32 = 4u;
const W: u32 = 4u;
const P: u32 = 2u;
const Q: u32 = 2u;
const R: u32 = 2u;
const STRIDE_H: u32 = 2u;
const DILATION_H: u32 = 1u;
const PAD_TOP: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> columns: array<u32>;
@group(0) @binding(2) var<storage, read_write> positions: array<u32>;

@compute @workgroup_size(64)
fn max_pool2d_positions_rows(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&positions) {
        return;
    }
    let top = i / Q % P * STRIDE_H;
    let image = i / (P * Q);
    let rows = taps_on(top, R, DILATION_H, PAD_TOP, H);
    var best = 0.0;
    var position = 0u;
    for (var r = rows.x; r < rows.y; r++) { // rounds: R
        let here = columns[(image * H + top + r * DILATION_H - PAD_TOP) * Q + i % Q];
        let v = x[image * (H * W) + here];
        if r == rows.x || (!is_nan(best) & ((v > best) | is_nan(v))) {
            best = v;
            position = here;
        }
    }
    positions[i] = position;
}
