// What: y[n,k,2t+i,2u+j] = b[k] + sum over a,b of A[a,i] * A[b,j] * m[4a+b, k, t], where transposed A maps a column to
// [m0 + m1 + m2, m1 - m2 - m3]
// Shapes: m [16, K rounded up to a multiple of 4, N*TILES_P*TILES_Q], where TILES_Q is the number of tiles per row,
// rounded up to a multiple of 4; y [N,K,P,Q], b [K] or absent
// Source: Lavin & Gray 2016, arXiv:1509.09308, section 4.1.
// Each invocation computes the outputs of one filter in four adjacent tiles, one tile per vector component.

@group(0) @binding(0) var<storage, read> m: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;

const N: u32 = 1u;
const K: u32 = 64u;
const P: u32 = 32u;
const Q: u32 = 32u;
const TILES_P: u32 = 16u;
const TILES_Q: u32 = 16u;

const QUADS = TILES_Q / 4u;
const A_PLANE = N * TILES_P * QUADS;
const PLANES = (K + 3u) / 4u * 4u;

fn epilogue(v: f32, i: u32) -> f32 { return v; }
fn bias(k: u32) -> f32 { return b[k]; }

@compute @workgroup_size(64)
fn winograd_output(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= K * A_PLANE {
        return;
    }
    let quad = i % QUADS;
    let p = i / QUADS % TILES_P * 2u;
    let n = i / (QUADS * TILES_P) % N;
    let k = i / A_PLANE;

    var upper: array<vec4<f32>, 4>;
    var lower: array<vec4<f32>, 4>;
    for (var s = 0u; s < 4u; s++) { // unroll
        var column: array<vec4<f32>, 4>;
        for (var r = 0u; r < 4u; r++) { // unroll
            column[r] = m[(r * 4u + s) * (PLANES * A_PLANE) + i];
        }
        upper[s] = column[0] + column[1] + column[2];
        lower[s] = column[1] - column[2] - column[3];
    }
    let offset = bias(k);
    for (var r = 0u; r < 2u; r++) { // unroll
        if p + r < P {
            var row = upper;
            if r == 1u {
                row = lower;
            }
            let even = row[0] + row[1] + row[2];
            let odd = row[1] - row[2] - row[3];
            let start = ((n * K + k) * P + p + r) * Q;
            for (var j = 0u; j < 8u; j++) { // unroll
                let q = quad * 8u + j;
                if q < Q {
                    y[start + q] = epilogue(select(even[j / 2u], odd[j / 2u], j % 2u == 1u) + offset, start + q);
                }
            }
        }
    }
}
