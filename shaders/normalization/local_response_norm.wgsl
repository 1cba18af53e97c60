// What: y = x / (K + SHARE * sum of x^2 over the channels from c - BEFORE to c + AFTER)^BETA
// Shapes: x, y [N, C, INNER]; one invocation per element

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

const C: u32 = 5u;
const INNER: u32 = 9u;
const BEFORE: u32 = 2u;
const AFTER: u32 = 2u;
const SHARE: f32 = 0.0001;
const BETA: f32 = 0.75;
const K: f32 = 1.0; // above 0

@compute @workgroup_size(64)
fn local_response_norm(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&y) {
        return;
    }
    let c = i / INNER % C;
    var squares = 0.0;
    for (var d = c - min(BEFORE, c); d < min(c + AFTER + 1u, C); d++) { // rounds: BEFORE + AFTER + 1u
        let v = x[i - c * INNER + d * INNER];
        squares += v * v;
    }
    let s = K + SHARE * squares;
    y[i] = x[i] * power(s, -BETA);
}
