// What: c[part,batch,m,n] = bias[n] + sum over a part's k of a[.. + m*A_M + k*A_K] * b[.. + k*B_K + n*B_N]
// Shapes: c [PARTS,TOTAL]: matrices [BATCH,M,N] and, if SUMS_AT < TOTAL, from SUMS_AT the sum over a part's k of
// b[k,n]; the strides give the storage order of a and b and the offsets of the matrices of a batch of shape
// BATCH_SHAPE; a stride of 0 repeats a matrix
// Each invocation computes TILE_M x TILE_N outputs in registers; no workgroup memory.

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<storage, read> bias_of: array<f32>;

const M: u32 = 64u;
const N: u32 = 120u;
const K: u32 = 400u;
const A_M: u32 = 400u;
const A_K: u32 = 1u;
const B_K: u32 = 120u;
const B_N: u32 = 1u;
const SUMS_AT: u32 = 7680u; // start of the column sums of b in a part of c
const TOTAL: u32 = 7680u; // elements of a part; SUMS_AT without column sums
const BATCH: u32 = 1u;
const BATCH_RANK: u32 = 1u;
const BATCH_SHAPE = array<u32, 1>(1u);
const A_BATCH = array<u32, 1>(0u);
const B_BATCH = array<u32, 1>(0u);
const TILE_M: u32 = 4u; // 1 to 8
const TILE_N: u32 = 4u; // 1 to 8
const PARTS: u32 = 1u; // summed by matmul_sum_parts if there are more
const K_PART: u32 = 400u;

const BLOCKS_M = (M + TILE_M - 1u) / TILE_M;
const BLOCKS_N = (N + TILE_N - 1u) / TILE_N;

fn epilogue(v: f32, i: u32) -> f32 { return v; }
fn bias(n: u32) -> f32 { return bias_of[n]; }

@compute @workgroup_size(64)
fn matmul_tile(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= PARTS * BATCH * BLOCKS_M * BLOCKS_N {
        return;
    }
    let n0 = i % BLOCKS_N * TILE_N;
    let m0 = i / BLOCKS_N % BLOCKS_M * TILE_M;
    let batch = i / (BLOCKS_N * BLOCKS_M) % BATCH;
    let part = i / (BLOCKS_N * BLOCKS_M * BATCH);

    var a0 = 0u;
    var b0 = 0u;
    var rest = batch;
    for (var axis = BATCH_RANK; axis > 0u; axis--) {
        let extent = BATCH_SHAPE[axis - 1u];
        a0 += rest % extent * A_BATCH[axis - 1u];
        b0 += rest % extent * B_BATCH[axis - 1u];
        rest /= extent;
    }

    var sums: array<array<f32, TILE_N>, TILE_M>;
    for (var m = 0u; m < TILE_M; m++) {
        for (var n = 0u; n < TILE_N; n++) {
            sums[m][n] = 0.0;
        }
    }
    var column_sums: array<f32, TILE_N>;
    for (var k = part * K_PART; k < min((part + 1u) * K_PART, K); k++) { // rounds: K_PART
        var row: array<f32, TILE_N>;
        for (var n = 0u; n < TILE_N; n++) {
            row[n] = b[b0 + k * B_K + min(n0 + n, N - 1u) * B_N];
            column_sums[n] += row[n];
        }
        for (var m = 0u; m < TILE_M; m++) {
            let left = a[a0 + min(m0 + m, M - 1u) * A_M + k * A_K];
            for (var n = 0u; n < TILE_N; n++) {
                sums[m][n] += left * row[n];
            }
        }
    }
    for (var m = 0u; m < TILE_M; m++) {
        if m0 + m < M {
            for (var n = 0u; n < TILE_N; n++) {
                if n0 + n < N {
                    let i = part * TOTAL + (batch * M + m0 + m) * N + n0 + n;
                    c[i] = epilogue(sums[m][n] + bias(n0 + n), i);
                }
            }
        }
    }
    if SUMS_AT < TOTAL && m0 == 0u {
        for (var n = 0u; n < TILE_N; n++) {
            if n0 + n < N {
                c[part * TOTAL + SUMS_AT + n0 + n] = column_sums[n];
            }
        }
        if n0 == 0u {
            for (var gap = M * N; gap < SUMS_AT; gap++) { // rounds: 63u
                c[part * TOTAL + gap] = 0.0;
            }
        }
    }
}
