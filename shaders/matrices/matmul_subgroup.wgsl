// What: c[batch,m,n] = bias[n] + sum over k of a[.. + m*A_M + k*A_K] * b[.. + k*B_K + n*B_N]
// Shapes: c [TOTAL]: matrices [BATCH,M,N] and, if SUMS_AT < TOTAL, from SUMS_AT the sum over k of b[k,n]; the strides
// give the storage order of a and b and the offsets of the matrices of a batch of shape BATCH_SHAPE; a stride of 0
// repeats a matrix; all extents are multiples of 4
// A workgroup is one subgroup of eight, which computes 16 rows by 32 columns: each lane loads four columns of b for
// itself, and elements of a that it shuffles to all. All loads are vec4; no workgroup memory.

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias_of: array<vec4<f32>>;

const M: u32 = 64u;
const N: u32 = 120u;
const K: u32 = 400u;
const A_M: u32 = 400u;
const A_K: u32 = 1u; // 1 of A_M and A_K is 1
const B_K: u32 = 120u;
const B_N: u32 = 1u; // 1 of B_K and B_N is 1
const SUMS_AT: u32 = 7680u; // start of the column sums of b in c
const TOTAL: u32 = 7680u; // elements of c; SUMS_AT without column sums
const BATCH: u32 = 1u;
const BATCH_RANK: u32 = 1u;
const BATCH_SHAPE = array<u32, 1>(1u);
const A_BATCH = array<u32, 1>(0u);
const B_BATCH = array<u32, 1>(0u);

const BLOCKS_M = (M + 15u) / 16u;
const BLOCKS_N = (N + 31u) / 32u;

fn epilogue(v: f32, i: u32) -> f32 { return v; }
fn bias(n: u32) -> vec4<f32> { return bias_of[n / 4u]; }

// Four adjacent elements of a from row m or, if a is stored by columns, column k; beyond the end the last ones.
fn left(start: u32, m: u32, k: u32) -> vec4<f32> {
    return a[(start + min(m, M - 1u) * A_M + k * A_K) / 4u];
}

@compute @workgroup_size(8)
fn matmul_subgroup(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let block = workgroup_index(workgroup, grid);
    if block >= BATCH * BLOCKS_M * BLOCKS_N {
        return;
    }
    let own = block % BLOCKS_N * 32u + lane * 4u;
    let n0 = min(own, N - 4u);
    let m0 = block / BLOCKS_N % BLOCKS_M * 16u;
    let batch = block / (BLOCKS_N * BLOCKS_M);

    var a0 = 0u;
    var b0 = 0u;
    var rest = batch;
    for (var axis = BATCH_RANK; axis > 0u; axis--) {
        let extent = BATCH_SHAPE[axis - 1u];
        a0 += rest % extent * A_BATCH[axis - 1u];
        b0 += rest % extent * B_BATCH[axis - 1u];
        rest /= extent;
    }

    var sums: array<vec4<f32>, 16>;
    var column_sums: vec4<f32>;
    for (var quad = 0u; quad < K / 4u; quad++) {
        let k = quad * 4u;
        // 16 rows by 4 terms of k, eight vec4s per load.
        var shared_a: array<vec4<f32>, 2>;
        for (var load = 0u; load < 2u; load++) { // unroll
            if A_K == 1u {
                shared_a[load] = left(a0, m0 + load * 8u + lane, k);
            } else {
                shared_a[load] = left(a0, min(m0 + lane % 4u * 4u, M - 4u), k + load * 2u + lane / 4u);
            }
        }
        var right: array<vec4<f32>, 4>;
        for (var j = 0u; j < 4u; j++) { // unroll
            if B_N == 1u {
                right[j] = b[(b0 + (k + j) * B_K + n0) / 4u];
            } else {
                let column = b[(b0 + k + (n0 + j) * B_N) / 4u];
                right[0][j] = column[0];
                right[1][j] = column[1];
                right[2][j] = column[2];
                right[3][j] = column[3];
            }
        }
        for (var j = 0u; j < 4u; j++) { // unroll
            column_sums += right[j];
        }
        // All terms of a sum in sequence: drivers with few registers load and store it once.
        for (var m = 0u; m < 16u; m++) { // unroll
            for (var j = 0u; j < 4u; j++) { // unroll
                if A_K == 1u {
                    sums[m] += subgroupShuffle(shared_a[m / 8u][j], m % 8u) * right[j];
                } else {
                    sums[m] += subgroupShuffle(shared_a[j / 2u][m % 4u], j % 2u * 4u + m / 4u) * right[j];
                }
            }
        }
    }
    for (var m = 0u; m < 16u; m++) { // unroll
        if m0 + m < M && own < N {
            let v = sums[m] + bias(own);
            let i = (batch * M + m0 + m) * N + own;
            let first = vec2<f32>(epilogue(v.x, i), epilogue(v.y, i + 1u));
            c[i / 4u] = vec4<f32>(first, epilogue(v.z, i + 2u), epilogue(v.w, i + 3u));
        }
    }
    if SUMS_AT < TOTAL && m0 == 0u {
        if own < N {
            c[(SUMS_AT + own) / 4u] = column_sums;
        }
        if block == 0u {
            for (var gap = M * N / 4u + lane; gap < SUMS_AT / 4u; gap += 8u) { // rounds: 2u
                c[gap] = vec4<f32>();
            }
        }
    }
}
