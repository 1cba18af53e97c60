// What: dx = direct - FACTOR * x * sum of through over the channels from c - BEFORE to c + AFTER
// Shapes: x, direct, through, dx [N, C, INNER]; one invocation per element

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> direct: array<f32>;
@group(0) @binding(2) var<storage, read> through: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

const C: u32 = 5u;
const INNER: u32 = 9u;
const BEFORE: u32 = 2u;
const AFTER: u32 = 2u;
const FACTOR: f32 = 0.00015;

@compute @workgroup_size(64)
fn local_response_norm_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&dx) {
        return;
    }
    let c = i / INNER % C;
    var sum = 0.0;
    for (var d = c - min(BEFORE, c); d < min(c + AFTER + 1u, C); d++) { // rounds: BEFORE + AFTER + 1u
        sum += through[i - c * INNER + d * INNER];
    }
    dx[i] = direct[i] - FACTOR * x[i] * sum;
}
