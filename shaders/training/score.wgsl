// What: scores[n] = (-weight * log softmax(logits[n])[labels[n]], 1 if the argmax of logits[n] is labels[n] else 0, 1,
// weight), or zeros if the label is IGNORE; without class weights, which are then 1, the last two columns are one
// Shapes: logits [N,C], labels [N], scores [N,COLUMNS], weights [C]; one invocation per row
// Range: logits of any magnitude; NaN for a label that is neither a class nor IGNORE

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;

const N: u32 = 64u;
const C: u32 = 10u;
// 4 with class weights, else 3.
const COLUMNS: u32 = 3u;
const IGNORE: u32 = 4294967295u;

// The weight of a row with this label.
fn weight_of(label: u32) -> f32 { return weights[min(label, C - 1u)]; }

@compute @workgroup_size(64)
fn score(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = workgroup_index(workgroup, grid) * 64u + lane;
    if n >= N {
        return;
    }
    let label = labels[n];
    var largest = logits[n * C];
    var best = 0u;
    for (var c = 1u; c < C; c++) {
        let v = logits[n * C + c];
        if v > largest {
            largest = v;
            best = c;
        }
    }
    var sum = 0.0;
    for (var c = 0u; c < C; c++) {
        sum += exp(logits[n * C + c] - largest);
    }
    // WGSL has no literal for NaN; these bits are a NaN for any label.
    var loss = bitcast<f32>(label | 0x7fc00000u);
    if label < C {
        loss = log(sum) + (largest - logits[n * C + label]);
    }
    let counts = label != IGNORE;
    scores[COLUMNS * n] = select(0.0, weight_of(label) * loss, counts);
    scores[COLUMNS * n + 1u] = select(0.0, 1.0, best == label);
    scores[COLUMNS * n + 2u] = select(0.0, 1.0, counts);
    if COLUMNS > 3u {
        scores[COLUMNS * n + 3u] = select(0.0, weight_of(label), counts);
    }
}
