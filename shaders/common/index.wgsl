
// The number of this workgroup in a grid that was folded to keep each axis below the device's limit.
fn workgroup_index(id: vec3<u32>, grid: vec3<u32>) -> u32 {
    return id.x + id.y * grid.x;
}
