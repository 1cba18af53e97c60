// What: loss = sum over n of each[n][0] / max(sum over n of each[n][1], 1)
// Shapes: each [N,2] losses and counts, loss []; one invocation, N is small

@group(0) @binding(0) var<storage, read> each: array<f32>;
@group(0) @binding(1) var<storage, read_write> loss: array<f32>;

const N: u32 = 64u;

@compute @workgroup_size(1)
fn softmax_cross_entropy_mean() {
    var sum = 0.0;
    var count = 0.0;
    for (var n = 0u; n < N; n++) {
        sum += each[2u * n];
        count += each[2u * n + 1u];
    }
    loss[0] = sum / max(count, 1.0);
}
