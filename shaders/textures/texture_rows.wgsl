// What: y[OFFSET + (c,p,q)] = finish(sum over i of w[q,i] x[c,p,i] / sum over i of w[q,i], c), where w is a triangle
// around the center of q, scaled to the width of the rectangle
// Shapes: x [C, H, WIDTH], of which texture_columns wrote the rectangle's columns; y[OFFSET..] [C, H, W]
// joined with common/texture.wgsl

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var<uniform> rectangle: vec4<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const C: u32 = 3u;
const H: u32 = 8u;
const W: u32 = 8u;
const WIDTH: u32 = 20u;
const OFFSET: u32 = 0u;
const NEAREST: u32 = 0u;

fn finish(v: f32, c: u32) -> f32 { return v; }

@compute @workgroup_size(64)
fn texture_rows(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = workgroup_index(workgroup, grid) * 64u + lane;
    if k >= C * H * W {
        return;
    }
    let width = area_of(rectangle, textureDimensions(picture)).z;
    let texels = texels_of(k % W, width, W, NEAREST == 1u);
    var sum = 0.0;
    var total = 0.0;
    for (var i = texels.x; i < texels.y; i++) { // rounds: 16384u
        let weight = triangle(i, k % W, width, W);
        sum += weight * x[k / W * WIDTH + i];
        total += weight;
    }
    y[OFFSET + k] = finish(sum / total, k / (H * W));
}
