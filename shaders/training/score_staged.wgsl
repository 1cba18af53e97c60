// What: scores[n] = (weight * (log(sum[n]) + largest[n] - logits[n][labels[n]]), 1 if the argmax of logits[n] is
// labels[n] else 0, 1, weight), or zeros if the label is IGNORE; without class weights, which are then 1, the last two
// columns are one; previous dispatches compute largest, the maximum of the row, and sum, that of exp(logits - largest)
// Shapes: logits [N,C], labels, largest, sum [N], scores [N,COLUMNS], weights [C]; one invocation per row
// Range: logits of any magnitude; NaN for a label that is neither a class nor IGNORE

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> largest: array<f32>;
@group(0) @binding(3) var<storage, read> sum: array<f32>;
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;
@group(0) @binding(5) var<storage, read> weights: array<f32>;
@group(0) @binding(6) var<storage, read> candidates: array<u32>;

const N: u32 = 64u;
const C: u32 = 1000u;
// Number of classes to compare: all, or the candidates of largest_class.
const COUNT: u32 = 1000u;
// 4 with class weights, else 3.
const COLUMNS: u32 = 3u;
const IGNORE: u32 = 4294967295u;

fn class_of(row: u32, k: u32) -> u32 { return candidates[row * COUNT + k]; }

// The weight of a row with this label.
fn weight_of(label: u32) -> f32 { return weights[min(label, C - 1u)]; }

@compute @workgroup_size(64)
fn score_staged(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = workgroup_index(workgroup, grid) * 64u + lane;
    if n >= N {
        return;
    }
    let label = labels[n];
    var most = logits[n * C];
    var best = 0u;
    for (var k = 0u; k < COUNT; k++) {
        let c = class_of(n, k);
        let v = logits[n * C + c];
        if v > most {
            most = v;
            best = c;
        }
    }
    // WGSL has no literal for NaN; these bits are a NaN for any label.
    var loss = bitcast<f32>(label | 0x7fc00000u);
    if label < C {
        loss = log(sum[n]) + (largest[n] - logits[n * C + label]);
    }
    let counts = label != IGNORE;
    scores[COLUMNS * n] = select(0.0, weight_of(label) * loss, counts);
    scores[COLUMNS * n + 1u] = select(0.0, 1.0, best == label);
    scores[COLUMNS * n + 2u] = select(0.0, 1.0, counts);
    if COLUMNS > 3u {
        scores[COLUMNS * n + 3u] = select(0.0, weight_of(label), counts);
    }
}
