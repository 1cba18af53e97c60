// What: dlogits[n,c] = (exp(logits[n,c] - largest[n]) / sum[n] - (c == labels[n])) * dy * weight / count, with the
// class weight of the label, 1 without class weights; 0 if the label is IGNORE or the count is 0; previous dispatches
// compute largest, the maximum of the row, and sum, that of exp(logits - largest)
// Shapes: logits, dlogits [N,C], labels, largest, sum [N], dy [], count [], weights [C]; one invocation per element
// Range: logits of any magnitude; NaN for a label that is neither a class nor IGNORE

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> count: array<f32>;
@group(0) @binding(4) var<storage, read> largest: array<f32>;
@group(0) @binding(5) var<storage, read> sum: array<f32>;
@group(0) @binding(6) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(7) var<storage, read> weights: array<f32>;

const N: u32 = 64u;
const C: u32 = 1000u;
const IGNORE: u32 = 4294967295u;

// The weight of a row with this label.
fn weight_of(label: u32) -> f32 { return weights[min(label, C - 1u)]; }

@compute @workgroup_size(64)
fn softmax_cross_entropy_grad_staged(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= N * C {
        return;
    }
    let n = i / C;
    let label = labels[n];
    var share = dy[0] / select(count[0], 1.0, count[0] == 0.0) * weight_of(label);
    if label >= C {
        // WGSL has no literal for NaN; these bits are a NaN for any label.
        share = bitcast<f32>(label | 0x7fc00000u);
    }
    let d = (exp(logits[i] - largest[n]) / sum[n] - select(0.0, 1.0, i % C == label)) * share;
    dlogits[i] = select(d, 0.0, label == IGNORE);
}
