// What: y[i] = x[i] + v, where v is x[i] after ten thousand halvings and additions of its half

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn double_slow(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= arrayLength(&y) {
        return;
    }
    var v = x[id.x];
    for (var i = 0u; i < 10000u; i++) {
        v = v * 0.5 + x[id.x] * 0.5;
    }
    y[id.x] = x[id.x] + v;
}
