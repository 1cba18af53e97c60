// What: v[4i+j, c, t] = sum over a,b of B[a,i] * B[b,j] * d[a,b], where d is the 4x4 tile of x[n,c] under tile t of 2x2
// outputs, and transposed B maps a column to [d0 - d2, d1 + d2, d2 - d1, d1 - d3]
// Shapes: x [N,C,H,W], padded with zeros; v [16, C rounded up to a multiple of 4, N*TILES_P*TILES_Q], where TILES_Q is
// the number of tiles per row, rounded up to a multiple of 4
// Source: Lavin & Gray 2016, arXiv:1509.09308, section 4.1.
// Each invocation transforms one channel of four adjacent tiles, one tile per vector component.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> v: array<vec4<f32>>;

const N: u32 = 1u;
const C: u32 = 64u;
const H: u32 = 32u;
const W: u32 = 32u;
const PAD_TOP: u32 = 1u;
const PAD_LEFT: u32 = 1u;
const TILES_P: u32 = 16u;
const TILES_Q: u32 = 16u;

const QUADS = TILES_Q / 4u;
const PLANES = (C + 3u) / 4u * 4u;
const A_PLANE = N * TILES_P * QUADS;

// Transposed B times a column vector.
fn spread(d: array<vec4<f32>, 4>) -> array<vec4<f32>, 4> {
    return array<vec4<f32>, 4>(d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]);
}

@compute @workgroup_size(64)
fn winograd_input(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= PLANES * A_PLANE {
        return;
    }
    let quad = i % QUADS;
    let p = i / QUADS % TILES_P * 2u;
    let n = i / (QUADS * TILES_P) % N;
    let c = i / A_PLANE;

    // The rows of d, each transformed along the columns.
    var rows: array<array<vec4<f32>, 4>, 4>;
    for (var r = 0u; r < 4u; r++) { // unroll
        // Coordinates above and left of the input wrap to large numbers.
        let row = p + r - PAD_TOP;
        let width = select(0u, W, row < H && c < C);
        let start = ((n * C + min(c, C - 1u)) * H + min(row, H - 1u)) * W;
        var strip: array<f32, 10>;
        for (var j = 0u; j < 10u; j++) { // unroll
            let column = quad * 8u + j - PAD_LEFT;
            strip[j] = select(0.0, x[start + min(column, W - 1u)], column < width);
        }
        var d: array<vec4<f32>, 4>;
        for (var s = 0u; s < 4u; s++) { // unroll
            d[s] = vec4<f32>(strip[s], strip[s + 2u], strip[s + 4u], strip[s + 6u]);
        }
        rows[r] = spread(d);
    }
    for (var s = 0u; s < 4u; s++) { // unroll
        let column = spread(array<vec4<f32>, 4>(rows[0][s], rows[1][s], rows[2][s], rows[3][s]));
        for (var r = 0u; r < 4u; r++) { // unroll
            v[(r * 4u + s) * (PLANES * A_PLANE) + i] = column[r];
        }
    }
}
