// What: history[step] = sum of scores[n][0] / max(sum of scores[n][2], 1), sum of scores[n][1], sum of scores[n][2], over n;
// then step += 1. A step past the last row is not recorded.
// Shapes: history [ROWS,3], step [1], scores [N,3]; one invocation, N is small

@group(0) @binding(0) var<storage, read_write> history: array<f32>;
@group(0) @binding(1) var<storage, read_write> step_number: array<u32>;
@group(0) @binding(2) var<storage, read> scores: array<f32>;

const ROWS: u32 = 938u;
const N: u32 = 64u;

@compute @workgroup_size(1)
fn record() {
    var loss = 0.0;
    var right = 0.0;
    var counted = 0.0;
    for (var n = 0u; n < N; n++) {
        loss += scores[3u * n];
        right += scores[3u * n + 1u];
        counted += scores[3u * n + 2u];
    }
    let row = step_number[0];
    if row < ROWS {
        history[row * 3u] = loss / max(counted, 1.0);
        history[row * 3u + 1u] = right;
        history[row * 3u + 2u] = counted;
    }
    step_number[0] = row + 1u;
}
