// What: squares[row, part] = sum of (x[row, i] - mean)^2 over the part's 64 i; mean = sums[group] / N if CENTERED, else 0
// Shapes: x [ROWS, INNER], squares [ROWS, PARTS], sums [GROUPS] (unused unless CENTERED); group = row mod GROUPS

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> squares: array<f32>;

const ROWS: u32 = 12u;
const GROUPS: u32 = 3u;
const INNER: u32 = 100u;
const PARTS: u32 = 2u;
const N: u32 = 400u;
const CENTERED: u32 = 1u; // 0 or 1

@compute @workgroup_size(64)
fn moments_squares(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = workgroup_index(workgroup, grid) * 64u + lane;
    if k >= ROWS * PARTS {
        return;
    }
    let row = k / PARTS;
    let first = k % PARTS * 64u;
    let mean = select(0.0, sums[row % GROUPS] / f32(N), CENTERED == 1u);
    var sum = 0.0;
    for (var i = first; i < min(first + 64u, INNER); i++) { // rounds: 64u
        let d = x[row * INNER + i] - mean;
        sum += d * d;
    }
    squares[k] = sum;
}
