// Functions shared by the shaders that read or write textures.

// The area of an image to read: x, y, width, height, clipped to the image; all of it if the width is 0.
fn area_of(rectangle: vec4<u32>, size: vec2<u32>) -> vec4<u32> {
    if rectangle.z == 0u {
        return vec4(0u, 0u, size);
    }
    let corner = min(rectangle.xy, size - 1u);
    return vec4(corner, min(rectangle.zw, size - corner));
}

// The range (first, end) of the `texels` adjacent texels that contribute to value p of `values`. In units of 1 / (2
// values) of a texel, the center of the value is (2p + 1) texels, that of texel i is (2i + 1) values, and the support
// of the triangle is 2 max(texels, values). Integers suffice: extents are at most 2^14.
fn texels_of(p: u32, texels: u32, values: u32, nearest: bool) -> vec2<u32> {
    let center = (2u * p + 1u) * texels;
    if nearest {
        return vec2(center / (2u * values), center / (2u * values) + 1u);
    }
    let reach = 2u * max(texels, values);
    let behind = min(texels, (center + reach + values - 1u) / (2u * values));
    if center < reach + values {
        return vec2(0u, behind);
    }
    return vec2((center - reach - values) / (2u * values) + 1u, behind);
}

// The weight of texel i in value p: 1 - distance / support.
fn triangle(i: u32, p: u32, texels: u32, values: u32) -> f32 {
    let reach = 2 * max(i32(texels), i32(values));
    let distance = abs((2 * i32(i) + 1) * i32(values) - (2 * i32(p) + 1) * i32(texels));
    return f32(reach - distance) / f32(reach);
}

// sRGB transfer function (IEC 61966-2-1): linear light to encoded.
fn encoded(v: f32) -> f32 {
    if v <= 0.0031308 {
        return 12.92 * v;
    }
    return 1.055 * power(v, 1.0 / 2.4) - 0.055;
}

// sRGB transfer function: encoded to linear light.
fn decoded(v: f32) -> f32 {
    if v <= 0.04045 {
        return v / 12.92;
    }
    return power((v + 0.055) / 1.055, 2.4);
}

fn encoded_rgb(t: vec4<f32>) -> vec4<f32> {
    return vec4(encoded(t.x), encoded(t.y), encoded(t.z), t.w);
}

fn decoded_rgb(t: vec4<f32>) -> vec4<f32> {
    return vec4(decoded(t.x), decoded(t.y), decoded(t.z), t.w);
}

// The bytes, divided by 255, of a texture of encoded bytes; corrects the rounding of the driver's decoding.
fn bytes_of(t: vec4<f32>) -> vec4<f32> {
    return floor(encoded_rgb(t) * 255.0 + 0.5) / 255.0;
}
