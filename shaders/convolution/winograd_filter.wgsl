// What: u[4i+j, k, c] = sum over r,s of G[i,r] * G[j,s] * w[k,c,r,s], G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1]
// Shapes: w [K,C,3,3], or exchanged by the strides W_K, W_C; u [16, K, C], both rounded up to a multiple of 4 with
// zeros
// Source: Lavin & Gray 2016, arXiv:1509.09308, section 4.1.
// Each invocation transforms one filter of one channel.

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read_write> u: array<f32>;

const C: u32 = 64u;
const K: u32 = 64u;
const W_K: u32 = 576u;
const W_C: u32 = 9u;

const ROWS = (K + 3u) / 4u * 4u;
const COLUMNS = (C + 3u) / 4u * 4u;

fn place_of(tap: u32) -> u32 { return tap; }

// G times a column vector.
fn spread(g: vec3<f32>) -> vec4<f32> {
    let ends = 0.5 * (g.x + g.z);
    return vec4<f32>(g.x, ends + 0.5 * g.y, ends - 0.5 * g.y, g.z);
}

@compute @workgroup_size(64)
fn winograd_filter(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= ROWS * COLUMNS {
        return;
    }
    let k = i / COLUMNS;
    let c = i % COLUMNS;
    var columns: array<vec4<f32>, 3>;
    if k < K && c < C {
        let start = k * W_K + c * W_C;
        for (var s = 0u; s < 3u; s++) { // unroll
            columns[s] = spread(vec3<f32>(
                w[start + place_of(s)],
                w[start + place_of(3u + s)],
                w[start + place_of(6u + s)],
            ));
        }
    }
    for (var r = 0u; r < 4u; r++) { // unroll
        let row = spread(vec3<f32>(columns[0][r], columns[1][r], columns[2][r]));
        for (var s = 0u; s < 4u; s++) { // unroll
            u[(r * 4u + s) * (ROWS * COLUMNS) + i] = row[s];
        }
    }
}
