// What: y[o,r,i] = exp(x[o,r,i] - largest[o,i]) / sum[o,i], where previous dispatches compute largest and sum
// Shapes: x, y [outer, R, INNER], largest, sum [outer, INNER]; one invocation per element. Range: x of any magnitude.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> largest: array<f32>;
@group(0) @binding(2) var<storage, read> sum: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const R: u32 = 1000u;
const INNER: u32 = 1u;

@compute @workgroup_size(64)
fn softmax_staged(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&y) {
        return;
    }
    let line = i / (R * INNER) * INNER + i % INNER;
    y[i] = exp(x[i] - largest[line]) / sum[line];
}
