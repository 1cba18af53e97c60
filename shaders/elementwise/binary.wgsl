// What: y[i] = f(a[i], b[i]), any length; the loader defines f from the table of arithmetic.

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn f(a: f32, b: f32) -> f32 { return a + b; }

fn value(i: u32) -> f32 {
    return f(a[i], b[i]);
}

@compute @workgroup_size(64)
fn binary(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i < arrayLength(&y) {
        y[i] = value(i);
    }
}
