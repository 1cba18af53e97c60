// What: dx[i] = f(v[i], dy[i]), any length; v is the function's argument or value, as its row of the table defines.

@group(0) @binding(0) var<storage, read> v: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

fn f(v: f32, dy: f32) -> f32 { return dy * v; }

fn value(i: u32) -> f32 {
    return f(v[i], dy[i]);
}

@compute @workgroup_size(64)
fn unary_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i < arrayLength(&dx) {
        dx[i] = value(i);
    }
}
