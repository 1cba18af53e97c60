// A texture on a rectangle of the window, in the layout's own units.

@group(0) @binding(0) var<uniform> rectangle: vec4f; // x and y from the left upper corner, width, height; in shares
@group(0) @binding(1) var picture: texture_2d<f32>;
@group(0) @binding(2) var smoothly: sampler;

struct Vertex {
    @builtin(position) place: vec4f,
    @location(0) at: vec2f,
}

@vertex
fn corner(@builtin(vertex_index) vertex: u32) -> Vertex {
    let at = vec2f(f32(vertex % 2u), f32(vertex / 2u));
    let place = rectangle.xy + at * rectangle.zw;
    return Vertex(vec4f(2.0 * place.x - 1.0, 1.0 - 2.0 * place.y, 0.0, 1.0), at);
}

@fragment
fn texel(vertex: Vertex) -> @location(0) vec4f {
    return vec4f(textureSample(picture, smoothly, vertex.at).rgb, 1.0);
}
