
// The number of this workgroup in a grid that was folded to keep each axis below the device's limit.
fn workgroup_index(id: vec3<u32>, grid: vec3<u32>) -> u32 {
    return id.x + id.y * grid.x;
}

// By its bits: compilers may take comparisons of floats to be free of NaN.
fn is_nan(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}
