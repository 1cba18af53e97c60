// What: y[o,r,i] = x[o,r,i] - max over r - log of the sum over r of exp(x[o,r,i] - max over r)
// Shapes: x, y [outer, R, INNER], LINES = outer * INNER; one invocation per line. Range: x of any magnitude.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

const LINES: u32 = 64u;
const R: u32 = 10u;
const INNER: u32 = 1u;

@compute @workgroup_size(64)
fn log_softmax(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let line = workgroup_index(workgroup, grid) * 64u + lane;
    if line >= LINES {
        return;
    }
    let start = line / INNER * (R * INNER) + line % INNER;
    var largest = x[start];
    for (var r = 1u; r < R; r++) {
        let v = x[start + r * INNER];
        largest = select(largest, v, v > largest);
    }
    var sum = 0.0;
    for (var r = 0u; r < R; r++) {
        sum += exp(x[start + r * INNER] - largest);
    }
    let share = log(sum);
    for (var r = 0u; r < R; r++) {
        y[start + r * INNER] = (x[start + r * INNER] - largest) - share;
    }
}
