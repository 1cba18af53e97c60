// What: dx = (dy * w[c] - (CENTERED * sum[g] + z * sum_z[g]) / N) / sqrt(variance[g] + EPSILON),
//       z = (x - mean[g]) / sqrt(variance[g] + EPSILON)
// Shapes: x, dy, dx of one length; moments [2, GROUPS], means, then variances; w [CHANNELS]; sum, sum_z [GROUPS];
//         g = i / GROUP_INNER mod GROUPS, c = i / CHANNEL_INNER mod CHANNELS

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read> sum: array<f32>;
@group(0) @binding(5) var<storage, read> sum_z: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;

const GROUPS: u32 = 3u;
const GROUP_INNER: u32 = 5u;
const CHANNELS: u32 = 3u;
const CHANNEL_INNER: u32 = 5u;
const EPSILON: f32 = 1e-5;
const N: u32 = 20u;
const CENTERED: u32 = 1u; // 0 or 1

@compute @workgroup_size(64)
fn apply_moments_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&dx) {
        return;
    }
    let g = i / GROUP_INNER % GROUPS;
    let c = i / CHANNEL_INNER % CHANNELS;
    let deviation = sqrt(moments[GROUPS + g] + EPSILON);
    let z = (x[i] - moments[g]) / deviation;
    let shared_by_group = select(0.0, sum[g], CENTERED == 1u) + z * sum_z[g];
    dx[i] = (dy[i] * w[c] - shared_by_group / f32(N)) / deviation;
}
