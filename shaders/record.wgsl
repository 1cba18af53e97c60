// What: history[step] = loss, correct, counted; then step += 1. A step past the last row is not recorded.
// Shapes: history [ROWS,3], step [1], loss [1], counts [2]

@group(0) @binding(0) var<storage, read_write> history: array<f32>;
@group(0) @binding(1) var<storage, read_write> step_number: array<u32>;
@group(0) @binding(2) var<storage, read> loss: array<f32>;
@group(0) @binding(3) var<storage, read> counts: array<f32>;

const ROWS: u32 = 938u;

@compute @workgroup_size(1)
fn record() {
    let row = step_number[0];
    if row < ROWS {
        history[row * 3u] = loss[0];
        history[row * 3u + 1u] = counts[0];
        history[row * 3u + 2u] = counts[1];
    }
    step_number[0] = row + 1u;
}
