// What: dx[o,r,i] = y[o,r,i] * (dy[o,r,i] - sum[o,i]), where previous dispatches compute sum, that of y * dy over r
// Shapes: y, dy, dx [outer, R, INNER], sum [outer, INNER]; one invocation per element

@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> sum: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

const R: u32 = 1000u;
const INNER: u32 = 1u;

@compute @workgroup_size(64)
fn softmax_grad_staged(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&dx) {
        return;
    }
    dx[i] = y[i] * (dy[i] - sum[i / (R * INNER) * INNER + i % INNER]);
}
