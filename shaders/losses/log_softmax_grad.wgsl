// What: dx[o,r,i] = dy[o,r,i] - exp(y[o,r,i]) * sum over r of dy[o,r,i]
// Shapes: y, dy, dx [outer, R, INNER], LINES = outer * INNER; one invocation per line

@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

const LINES: u32 = 64u;
const R: u32 = 10u;
const INNER: u32 = 1u;

@compute @workgroup_size(64)
fn log_softmax_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let line = workgroup_index(workgroup, grid) * 64u + lane;
    if line >= LINES {
        return;
    }
    let start = line / INNER * (R * INNER) + line % INNER;
    var sum = 0.0;
    for (var r = 0u; r < R; r++) {
        sum += dy[start + r * INNER];
    }
    for (var r = 0u; r < R; r++) {
        let k = start + r * INNER;
        dx[k] = dy[k] - exp(y[k]) * sum;
    }
}
