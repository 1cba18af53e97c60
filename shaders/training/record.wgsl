// What: history[step] = (sum of the losses scores[n][0] / sum of the weights scores[n][COLUMNS-1], or 0 if that is 0;
// sum of scores[n][1]; sum of scores[n][2]) over n; then step += 1. A step beyond the last row is not recorded.
// Shapes: history [ROWS,3], step [1], scores [N,COLUMNS]; one invocation, because N is small

@group(0) @binding(0) var<storage, read_write> history: array<f32>;
@group(0) @binding(1) var<storage, read_write> step_number: array<u32>;
@group(0) @binding(2) var<storage, read> scores: array<f32>;

const ROWS: u32 = 938u;
const N: u32 = 64u;
// 4 with class weights, else 3, where the count is the weight.
const COLUMNS: u32 = 3u;

@compute @workgroup_size(1)
fn record() {
    var loss = 0.0;
    var right = 0.0;
    var counted = 0.0;
    var weight = 0.0;
    for (var n = 0u; n < N; n++) {
        loss += scores[COLUMNS * n];
        right += scores[COLUMNS * n + 1u];
        counted += scores[COLUMNS * n + 2u];
        weight += scores[COLUMNS * n + COLUMNS - 1u];
    }
    let row = step_number[0];
    if row < ROWS {
        history[row * 3u] = loss / select(weight, 1.0, weight == 0.0);
        history[row * 3u + 1u] = right;
        history[row * 3u + 2u] = counted;
    }
    step_number[0] = row + 1u;
}
