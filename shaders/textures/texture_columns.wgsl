// What: y[c,p,u] = sum over i of w[p,i] v[c,i,u] / sum over i of w[p,i], where v is a channel of texel (x + u, y + i)
// of the image and w a triangle around the center of p
// Shapes: rectangle x, y, width, height; y [C, H, WIDTH], columns from width on are not written
// Adjacent invocations load adjacent texels.
// joined with common/texture.wgsl

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var<uniform> rectangle: vec4<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const C: u32 = 3u;
const H: u32 = 8u;
const WIDTH: u32 = 20u;
const NEAREST: u32 = 0u;

fn stored(t: vec4<f32>) -> vec4<f32> { return t; }
fn chosen(t: vec4<f32>) -> vec4<f32> { return t; }

@compute @workgroup_size(64)
fn texture_columns(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = workgroup_index(workgroup, grid) * 64u + lane;
    let u = k % WIDTH;
    let p = k / WIDTH;
    let area = area_of(rectangle, textureDimensions(picture));
    if p >= H || u >= area.z {
        return;
    }
    let texels = texels_of(p, area.w, H, NEAREST == 1u);
    var sum = vec4<f32>();
    var total = 0.0;
    for (var i = texels.x; i < texels.y; i++) { // rounds: 16384u
        let weight = triangle(i, p, area.w, H);
        sum += weight * chosen(stored(textureLoad(picture, area.xy + vec2(u, i), 0)));
        total += weight;
    }
    for (var c = 0u; c < C; c++) {
        y[(c * H + p) * WIDTH + u] = sum[c] / total;
    }
}
