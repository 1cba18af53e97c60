// What: last[i] = 0: no value has index i yet.
// Shapes: any.
// Cost: one pass over memory.

@group(0) @binding(0) var<storage, read_write> last: array<u32>;

@compute @workgroup_size(64)
fn max_unpool2d_clear(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i < arrayLength(&last) {
        last[i] = 0u;
    }
}
