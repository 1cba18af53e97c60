// What: dlogits[n] = (softmax(logits[n]) - onehot(labels[n])) * dy * weight / count, with the class weight of the
// label, 1 without class weights; 0 if the label is IGNORE or the count is 0
// Shapes: logits, dlogits [N,C], labels [N], dy [], count [], weights [C]; one invocation per row
// Range: logits of any magnitude; NaN for a label that is neither a class nor IGNORE

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> count: array<f32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(5) var<storage, read> weights: array<f32>;

const N: u32 = 64u;
const C: u32 = 10u;
const IGNORE: u32 = 4294967295u;

// The weight of a row with this label.
fn weight_of(label: u32) -> f32 { return weights[min(label, C - 1u)]; }

// The factor of a row with this label in the gradient of the mean.
fn share(label: u32) -> f32 {
    // WGSL has no literal for NaN; these bits are a NaN for any label.
    return select(dy[0] / select(count[0], 1.0, count[0] == 0.0) * weight_of(label), bitcast<f32>(label | 0x7fc00000u), label >= C);
}

fn largest_of(n: u32) -> f32 {
    var largest = logits[n * C];
    for (var c = 1u; c < C; c++) {
        let v = logits[n * C + c];
        largest = select(largest, v, v > largest);
    }
    return largest;
}

fn value(i: u32) -> f32 {
    let n = i / C;
    let label = labels[n];
    let largest = largest_of(n);
    var sum = 0.0;
    for (var c = 0u; c < C; c++) {
        sum += exp(logits[n * C + c] - largest);
    }
    let d = (exp(logits[i] - largest) / sum - select(0.0, 1.0, i % C == label)) * share(label);
    return select(d, 0.0, label == IGNORE);
}

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
    let largest = largest_of(n);
    var sum = 0.0;
    for (var c = 0u; c < C; c++) {
        let e = exp(logits[n * C + c] - largest);
        dlogits[n * C + c] = e;
        sum += e;
    }
    for (var c = 0u; c < C; c++) {
        let d = (dlogits[n * C + c] / sum - select(0.0, 1.0, c == label)) * share(label);
        dlogits[n * C + c] = select(d, 0.0, label == IGNORE);
    }
}
