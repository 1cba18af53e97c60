// What: y[i] = f(x[i]), any length; the loader defines f from the table of scalar functions.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

fn f(v: f32) -> f32 { return v; }

fn value(i: u32) -> f32 {
    return f(x[i]);
}

@compute @workgroup_size(64)
fn unary(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i < arrayLength(&y) {
        y[i] = value(i);
    }
}
