// What: loss = sum over n of each[n][0] / sum over n of each[n][1]; 0 if that is 0
// Shapes: each [N,2] losses and weights, loss []; one invocation, because N is small

@group(0) @binding(0) var<storage, read> each: array<f32>;
@group(0) @binding(1) var<storage, read_write> loss: array<f32>;

const N: u32 = 64u;

@compute @workgroup_size(1)
fn softmax_cross_entropy_mean() {
    var sum = 0.0;
    var weight = 0.0;
    for (var n = 0u; n < N; n++) {
        sum += each[2u * n];
        weight += each[2u * n + 1u];
    }
    loss[0] = sum / select(weight, 1.0, weight == 0.0);
}
