// Meant to be y[i] = 2 * x[i]; wrong from element 5 on, for the tests of the instruments.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn double_wrong(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if i < arrayLength(&y) {
        y[i] = 2.0 * x[i] + select(0.0, 1.0, i >= 5u);
    }
}
