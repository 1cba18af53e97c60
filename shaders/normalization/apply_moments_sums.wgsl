// What: sums[row, part] = sum of term(dy * w[c], z) over the part's 64 elements, z = (x - mean[g]) / sqrt(variance[g] + EPSILON)
// Shapes: x, dy [ROWS, INNER], sums [ROWS, PARTS]; moments [2, GROUPS], means, then variances; w [CHANNELS];
//         g = i / GROUP_INNER mod GROUPS, c = i / CHANNEL_INNER mod CHANNELS

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

const GROUPS: u32 = 3u;
const GROUP_INNER: u32 = 5u;
const CHANNELS: u32 = 3u;
const CHANNEL_INNER: u32 = 5u;
const EPSILON: f32 = 1e-5;
const ROWS: u32 = 12u;
const INNER: u32 = 5u;
const PARTS: u32 = 1u;

fn term(v: f32, z: f32) -> f32 { return v * z; }

@compute @workgroup_size(64)
fn apply_moments_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = workgroup_index(workgroup, grid) * 64u + lane;
    if k >= ROWS * PARTS {
        return;
    }
    let first = k % PARTS * 64u;
    var sum = 0.0;
    for (var r = first; r < min(first + 64u, INNER); r++) { // rounds: 64u
        let i = k / PARTS * INNER + r;
        let g = i / GROUP_INNER % GROUPS;
        let c = i / CHANNEL_INNER % CHANNELS;
        let z = (x[i] - moments[g]) / sqrt(moments[GROUPS + g] + EPSILON);
        sum += term(dy[i] * w[c], z);
    }
    sums[k] = sum;
}
