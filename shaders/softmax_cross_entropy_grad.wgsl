// What: dlogits[n] = (softmax(logits[n]) - onehot(labels[n])) * dy / max(sum of counts, 1), 0 where the label is IGNORE
// Shapes: logits, dlogits [N,C], labels [N], dy [], counts [COUNTS]; one invocation a row
// Units: logits of any size; NaN for a label that is neither a class nor IGNORE

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> counts: array<f32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;

const N: u32 = 64u;
const C: u32 = 10u;
const COUNTS: u32 = 1u;
const IGNORE: u32 = 4294967295u;

@compute @workgroup_size(64)
fn softmax_cross_entropy_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = workgroup_index(workgroup, grid) * 64u + lane;
    if n >= N {
        return;
    }
    let label = labels[n];
    if label == IGNORE {
        for (var c = 0u; c < C; c++) {
            dlogits[n * C + c] = 0.0;
        }
        return;
    }
    var count = 0.0;
    for (var i = 0u; i < COUNTS; i++) {
        count += counts[i];
    }
    var share = dy[0] / max(count, 1.0);
    if label >= C {
        // WGSL has no literal for NaN; these bits are one whatever the label.
        share = bitcast<f32>(label | 0x7fc00000u);
    }
    var largest = logits[n * C];
    for (var c = 1u; c < C; c++) {
        let v = logits[n * C + c];
        largest = select(largest, v, v > largest);
    }
    var sum = 0.0;
    for (var c = 0u; c < C; c++) {
        let e = exp(logits[n * C + c] - largest);
        dlogits[n * C + c] = e;
        sum += e;
    }
    for (var c = 0u; c < C; c++) {
        let p = dlogits[n * C + c] / sum;
        dlogits[n * C + c] = (p - select(0.0, 1.0, c == label)) * share;
    }
}
