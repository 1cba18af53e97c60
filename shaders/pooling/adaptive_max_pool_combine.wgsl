// What: positions[i] = the argmax of output i among its candidates: the first of equal maxima, or the first NaN. One
// invocation per output.
// Shapes: x [.., L, INNER], candidates [.., M, PARTS, INNER], positions (argmax indices) [.., M, INNER].
// Cost: 2·PARTS loads per output.

const L: u32 = 4u;
const M: u32 = 2u;
const INNER: u32 = 1u;
const PARTS: u32 = 2u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> candidates: array<u32>;
@group(0) @binding(2) var<storage, read_write> positions: array<u32>;

@compute @workgroup_size(64)
fn adaptive_max_pool_combine(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = workgroup_index(workgroup, grid) * 64u + lane;
    if at >= arrayLength(&positions) {
        return;
    }
    let line = at / (INNER * M) * (INNER * L) + at % INNER;
    let start = at / INNER * (PARTS * INNER) + at % INNER;
    var position = candidates[start];
    var best = x[line + position * INNER];
    for (var part = 1u; part < PARTS; part++) {
        let here = candidates[start + part * INNER];
        let v = x[line + here * INNER];
        if !is_nan(best) & ((v > best) | is_nan(v)) {
            best = v;
            position = here;
        }
    }
    positions[at] = position;
}
