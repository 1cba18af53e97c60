// What: targets[n,c] = weights[c] * (KEEP * (c == labels[n]) + SHARE), 0 in rows whose label is IGNORE
// Shapes: labels [N], weights [C], targets [N,C]; one invocation per element
// Range: NaN for a label that is neither a class nor IGNORE

@group(0) @binding(0) var<storage, read> labels: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> targets: array<f32>;

const C: u32 = 10u;
const KEEP: f32 = 0.9;
const SHARE: f32 = 0.01;
const IGNORE: u32 = 4294967295u;

@compute @workgroup_size(64)
fn class_targets(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&targets) {
        return;
    }
    let label = labels[i / C];
    var target_share = SHARE + select(0.0, KEEP, i % C == label);
    if label >= C {
        // WGSL has no literal for NaN; these bits are a NaN for any label.
        target_share = bitcast<f32>(label | 0x7fc00000u);
    }
    targets[i] = select(weights[i % C] * target_share, 0.0, label == IGNORE);
}
