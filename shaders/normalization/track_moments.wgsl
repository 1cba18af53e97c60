// What: running = (1 - MOMENTUM) * running + MOMENTUM * moments, variances times CORRECTION
// Shapes: running, moments [2, channels], means, then variances

@group(0) @binding(0) var<storage, read_write> running: array<f32>;
@group(0) @binding(1) var<storage, read> moments: array<f32>;

const MOMENTUM: f32 = 0.1; // 0 to 1
const CORRECTION: f32 = 1.0; // n / (n - 1)

@compute @workgroup_size(64)
fn track_moments(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&running) {
        return;
    }
    let now = moments[i] * select(1.0, CORRECTION, i >= arrayLength(&running) / 2u);
    running[i] = (1.0 - MOMENTUM) * running[i] + MOMENTUM * now;
}
