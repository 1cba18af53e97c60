// What: counts[part] = sum over k of the class weights of labels[part + k * PARTS], 1 without class weights, 0 if the
// label is IGNORE
// Shapes: labels [N], counts [PARTS], weights [any], PARTS <= N

@group(0) @binding(0) var<storage, read> labels: array<u32>;
@group(0) @binding(1) var<storage, read_write> counts: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;

const N: u32 = 64u;
const PARTS: u32 = 1u;
const IGNORE: u32 = 4294967295u;

// The weight of a row with this label.
fn weight_of(label: u32) -> f32 { return weights[min(label, arrayLength(&weights) - 1u)]; }

@compute @workgroup_size(64)
fn count_labels(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let part = workgroup_index(workgroup, grid) * 64u + lane;
    if part >= PARTS {
        return;
    }
    var count = 0.0;
    for (var n = part; n < N; n += PARTS) { // rounds: (N + PARTS - 1u) / PARTS
        count += select(weight_of(labels[n]), 0.0, labels[n] == IGNORE);
    }
    counts[part] = count;
}
