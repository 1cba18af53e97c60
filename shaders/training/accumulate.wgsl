// What: y[i] = shares[step] * x[i], plus sum[i] unless the step is a multiple of EVERY
// Shapes: sum, x, y of one length; shares [any length; its last element applies to further steps]; step [1]

@group(0) @binding(0) var<storage, read> sum: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> shares: array<f32>;
@group(0) @binding(3) var<storage, read> step_number: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const EVERY: u32 = 4u;

@compute @workgroup_size(64)
fn accumulate(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&y) {
        return;
    }
    let step = step_number[0];
    let before = select(sum[i], 0.0, step % EVERY == 0u);
    y[i] = before + shares[min(step, arrayLength(&shares) - 1u)] * x[i];
}
