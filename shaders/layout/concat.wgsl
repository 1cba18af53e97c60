// What: copies one part of a concatenation: CHUNK contiguous elements of x to START in each row of ROW elements of y
// Shapes: x [rows, CHUNK], y [rows, ROW]; one invocation per element of x

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

const CHUNK: u32 = 12u;
const ROW: u32 = 44u;
const START: u32 = 12u;

@compute @workgroup_size(64)
fn concat(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i < arrayLength(&x) {
        y[i / CHUNK * ROW + START + i % CHUNK] = x[i];
    }
}
