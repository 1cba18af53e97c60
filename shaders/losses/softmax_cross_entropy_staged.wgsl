// What: each[n] = (weight * (log(sum[n]) + largest[n] - logits[n][labels[n]]), weight), with the class weight of the
// label, 1 without class weights; (0, 0) if the label is IGNORE; previous dispatches compute largest, the maximum of
// the row, and sum, that of exp(logits - largest)
// Shapes: logits [N,C], labels, largest, sum [N], each [N,2], weights [C]; one invocation per row
// Range: logits of any magnitude; NaN for a label that is neither a class nor IGNORE

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> largest: array<f32>;
@group(0) @binding(3) var<storage, read> sum: array<f32>;
@group(0) @binding(4) var<storage, read_write> each: array<f32>;
@group(0) @binding(5) var<storage, read> weights: array<f32>;

const N: u32 = 64u;
const C: u32 = 1000u;
const IGNORE: u32 = 4294967295u;

// The weight of a row with this label.
fn weight_of(label: u32) -> f32 { return weights[min(label, C - 1u)]; }

@compute @workgroup_size(64)
fn softmax_cross_entropy_staged(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = workgroup_index(workgroup, grid) * 64u + lane;
    if n >= N {
        return;
    }
    let label = labels[n];
    // WGSL has no literal for NaN; these bits are a NaN for any label.
    var loss = bitcast<f32>(label | 0x7fc00000u);
    if label < C {
        loss = log(sum[n]) + (largest[n] - logits[n * C + label]);
    }
    each[2u * n] = select(weight_of(label) * loss, 0.0, label == IGNORE);
    each[2u * n + 1u] = select(weight_of(label), 0.0, label == IGNORE);
}
