// What: y[i] = (x[i] - moments[c]) / moments[CHANNELS + c] with c = i / RUN mod CHANNELS
// Shapes: x, y of one length; moments [2, CHANNELS], means, then standard deviations

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const CHANNELS: u32 = 3u;
const RUN: u32 = 5u;

fn value(i: u32) -> f32 {
    let c = i / RUN % CHANNELS;
    return (x[i] - moments[c]) / moments[CHANNELS + c];
}

@compute @workgroup_size(64)
fn normalize(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i < arrayLength(&y) {
        y[i] = value(i);
    }
}
