// What: c[batch,m,n] = bias[n] + sum over parts of partial[part,batch,m,n]
// Shapes: partial [PARTS,BATCH,M,N], c [BATCH,M,N]

@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read_write> c: array<f32>;
@group(0) @binding(2) var<storage, read> bias_of: array<f32>;

const N: u32 = 120u;
const PARTS: u32 = 4u;

fn epilogue(v: f32, i: u32) -> f32 { return v; }
fn bias(n: u32) -> f32 { return bias_of[n]; }

@compute @workgroup_size(64)
fn matmul_sum_parts(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    let outputs = arrayLength(&c);
    if i >= outputs {
        return;
    }
    var sum = 0.0;
    for (var part = 0u; part < PARTS; part++) {
        sum += partial[part * outputs + i];
    }
    c[i] = epilogue(sum + bias(i % N), i);
}
