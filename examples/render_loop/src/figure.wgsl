// Strokes as tubes with round ends: each piece is a sphere cut in two, its halves apart, made out of the vertex's number.

const SLICES = 16u;
const RINGS = 8u; // of both halves, between the rings' 9 circles; 4 of them on each half

struct Figure {
    to_world: mat4x4f,
    to_clip: mat4x4f,
    colour: vec3f,
    radius: f32,
}

@group(0) @binding(0) var<uniform> figure: Figure;
@group(0) @binding(1) var<storage, read> pieces: array<vec4f>;

struct Vertex {
    @builtin(position) place: vec4f,
    @location(0) normal: vec3f,
}

@vertex
fn tube(@builtin(vertex_index) vertex: u32, @builtin(instance_index) instance: u32) -> Vertex {
    // The corner of a quad, two triangles, between two circles.
    let corner = array(0u, 1u, 2u, 2u, 1u, 3u)[vertex % 6u];
    let quad = vertex / 6u;
    let circle = quad / SLICES + corner / 2u; // 0 to 9: the fifth and the sixth are the tube between the halves
    let turn = 6.2831853 * f32(quad % SLICES + corner % 2u) / f32(SLICES);
    let is_end = circle > RINGS / 2u;
    let latitude = 3.1415927 * (f32(circle - u32(is_end)) / f32(RINGS) - 0.5);

    let piece = pieces[instance];
    let along = piece.zw - piece.xy;
    let axis = select(vec2f(1.0, 0.0), normalize(along), dot(along, along) > 0.0);
    let across = cos(latitude) * vec2f(cos(turn), sin(turn));
    let normal = vec3f(axis * sin(latitude) + vec2f(-axis.y, axis.x) * across.x, across.y);
    let middle = vec3f(select(piece.xy, piece.zw, is_end), 0.0);
    let place = figure.to_world * vec4f(middle + figure.radius * normal, 1.0);
    return Vertex(figure.to_clip * place, (figure.to_world * vec4f(normal, 0.0)).xyz);
}

@fragment
fn lit(vertex: Vertex) -> @location(0) vec4f {
    let light = normalize(vec3f(-0.4, 0.7, 0.8));
    let shade = max(dot(normalize(vertex.normal), light), 0.0);
    return vec4f(figure.colour * (0.55 + 0.45 * shade), 1.0);
}
