// What: a grid of tiles, each showing the values of one map by color; magenta for NaN. Tile t starts in column floor(t
// (width + GAP) / COLUMNS) and ends GAP before the next; a texel shows the value at its center. With BARS, each value
// is a bar whose length is its position in the range, from below (1) or from the left (2), on the first color of the
// map.
// Shapes: x[OFFSET..] [TILES, PLANES, H, W]; PLANES 1, or 3 for red, green and blue; ranges [1], or [TILES] if
// OWN_RANGES
// joined with common/texture.wgsl

alias Picture = texture_storage_2d<rgba8unorm, write>;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> ranges: array<vec2<f32>>;
@group(0) @binding(2) var picture: Picture;

const OFFSET: u32 = 0u;
const TILES: u32 = 6u;
const PLANES: u32 = 1u;
const H: u32 = 5u;
const W: u32 = 5u;
const COLUMNS: u32 = 3u;
const ROWS: u32 = 2u;
const GAP: u32 = 1u;
const OWN_RANGES: u32 = 1u;
const BARS: u32 = 0u;
// Position in the color map of the values of an empty range.
const EMPTY: f32 = 0.5;
// Equidistant colors of the map, 0xrrggbb.
const ANCHORS: u32 = 2u;
const COLOURS = array<u32, 2>(0u, 16777215u);

fn background() -> vec4<f32> { return vec4<f32>(0.1, 0.1, 0.1, 1.0); }
fn shown(t: vec4<f32>) -> vec4<f32> { return t; }

// The position of a value in its range, from 0 to 1. Scaled by 1/32, because WGSL divides by at most 2^126 and the
// reciprocal of a divisor near that may become 0. Infinite values are excluded, because their quotient is
// indeterminate.
fn share(v: f32, range: vec2<f32>) -> f32 {
    let span = range.y * 0.03125 - range.x * 0.03125;
    if span > 0.0 {
        if v <= range.x || v >= range.y {
            return select(0.0, 1.0, v >= range.y);
        }
        return at_most(at_least((v * 0.03125 - range.x * 0.03125) / span, 0.0), 1.0);
    }
    return EMPTY;
}

fn anchor(i: u32) -> vec3<f32> {
    let c = COLOURS[i];
    return vec3(f32(c >> 16u), f32((c >> 8u) & 255u), f32(c & 255u)) / 255.0;
}

fn colour(share: f32) -> vec3<f32> {
    let at = share * f32(ANCHORS - 1u);
    let i = min(u32(at), ANCHORS - 2u);
    let far = at - f32(i);
    return anchor(i) * (1.0 - far) + anchor(i + 1u) * far;
}

fn colour_at(at: vec2<u32>, size: vec2<u32>) -> vec4<f32> {
    let grid = vec2(COLUMNS, ROWS);
    let cell = ((at + 1u) * grid - 1u) / (size + GAP);
    let begin = cell * (size + GAP) / grid;
    let end = (cell + 1u) * (size + GAP) / grid - GAP;
    let tile = cell.y * COLUMNS + cell.x;
    if tile >= TILES || any(at >= end) {
        return background();
    }
    let texel = 2u * (at - begin) + 1u;
    let extent = 2u * (end - begin);
    let place = texel * vec2(W, H) / extent;
    let range = ranges[tile * OWN_RANGES];
    var shares = vec3<f32>();
    for (var c = 0u; c < PLANES; c++) {
        let v = x[OFFSET + ((tile * PLANES + c) * H + place.y) * W + place.x];
        if is_nan(v) {
            return vec4(1.0, 0.0, 1.0, 1.0);
        }
        shares[c] = share(v, range);
    }
    if (BARS == 1u && f32(extent.y - texel.y) >= shares.x * f32(extent.y)) ||
        (BARS == 2u && f32(texel.x) >= shares.x * f32(extent.x)) {
        return vec4(anchor(0u), 1.0);
    }
    if PLANES == 3u {
        return vec4(shares, 1.0);
    }
    return vec4(colour(shares.x), 1.0);
}

@compute @workgroup_size(64)
fn texture_picture(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let size = textureDimensions(picture);
    let k = workgroup_index(workgroup, grid) * 64u + lane;
    if k >= size.x * size.y {
        return;
    }
    let at = vec2(k % size.x, k / size.x);
    textureStore(picture, at, shown(colour_at(at, size)));
}
