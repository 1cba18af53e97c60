
// The linear index of this workgroup in a grid that was folded to keep each axis within the device's limit.
fn workgroup_index(id: vec3<u32>, grid: vec3<u32>) -> u32 {
    return id.x + id.y * grid.x;
}

// Tests the bits, because compilers may assume that compared floats are not NaN.
fn is_nan(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

// Of the taps at start, start + dilation, .., the range (first, end) of those on an input of `size` elements behind
// `pad` elements of padding.
fn taps_on(start: u32, taps: u32, dilation: u32, pad: u32, size: u32) -> vec2<u32> {
    let first = (max(pad, start) - start + dilation - 1u) / dilation;
    let behind = (max(pad + size, start) - start + dilation - 1u) / dilation;
    return vec2(min(first, taps), min(max(behind, first), taps));
}
