// What: y = x * min(1, MOST / (sqrt(square) + 1e-6)), where square is the squared norm of x, computed before
// Shapes: x, y of one length, square []; one invocation per element

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> square: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const MOST: f32 = 1.0; // above 0

@compute @workgroup_size(64)
fn clip_norm(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&y) {
        return;
    }
    y[i] = x[i] * at_most(MOST / (sqrt(square[0]) + 1e-6), 1.0);
}
