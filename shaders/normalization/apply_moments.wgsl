// What: y = (x - mean[g]) / sqrt(variance[g] + EPSILON) * w[c] + b[c]
// Shapes: x, y of one length; moments [2, GROUPS], means, then variances; w, b [CHANNELS];
//         g = i / GROUP_INNER mod GROUPS, c = i / CHANNEL_INNER mod CHANNELS

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const GROUPS: u32 = 3u;
const GROUP_INNER: u32 = 5u;
const CHANNELS: u32 = 3u;
const CHANNEL_INNER: u32 = 5u;
const EPSILON: f32 = 1e-5;

@compute @workgroup_size(64)
fn apply_moments(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&y) {
        return;
    }
    let g = i / GROUP_INNER % GROUPS;
    let c = i / CHANNEL_INNER % CHANNELS;
    let z = (x[i] - moments[g]) / sqrt(moments[GROUPS + g] + EPSILON);
    y[i] = z * w[c] + b[c];
}
