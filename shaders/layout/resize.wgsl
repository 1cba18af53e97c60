// What: y[o,p,i] = x[o, floor(p FROM / TO), i] or, if LINEAR, linear interpolation at (p + 0.5) FROM / TO - 0.5, at
// least 0; coordinates are exact fractions
// Shapes: x [outer, FROM, INNER], y [outer, TO, INNER], FROM and TO below 2^15; one invocation per output

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

const FROM: u32 = 3u;
const TO: u32 = 6u;
const INNER: u32 = 5u;
const LINEAR: u32 = 1u;

@compute @workgroup_size(64)
fn resize(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = workgroup_index(workgroup, grid) * 64u + lane;
    if k >= arrayLength(&y) {
        return;
    }
    let i = k % INNER;
    let p = k / INNER % TO;
    let start = k / (INNER * TO) * (FROM * INNER) + i;
    if LINEAR == 0u {
        y[k] = x[start + p * FROM / TO * INNER];
        return;
    }
    let at = max((2u * p + 1u) * FROM, TO) - TO;
    let first = at / (2u * TO);
    let second = min(first + 1u, FROM - 1u);
    // Both weights from integers: 1 - weight would lose the digits of a small one.
    let past = at % (2u * TO);
    let near = f32(2u * TO - past) / f32(2u * TO);
    let far = f32(past) / f32(2u * TO);
    y[k] = near * x[start + first * INNER] + far * x[start + second * INNER];
}
