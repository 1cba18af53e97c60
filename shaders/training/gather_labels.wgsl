// What: y[i] = rows[order[step*BATCH + i]]; 0xffffffff beyond the end of the order and for an index that is not a row
// Shapes: rows [ROWS] bytes, four per word; order [ORDER]; step [1]; y [BATCH]

@group(0) @binding(0) var<storage, read> rows: array<u32>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read> step_number: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

const BATCH: u32 = 64u;
const ROWS: u32 = 60000u;
const ORDER: u32 = 60032u;

@compute @workgroup_size(64)
fn gather_labels(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= BATCH {
        return;
    }
    let position = min(step_number[0], ORDER / BATCH) * BATCH + i;
    let index = order[min(position, ORDER - 1u)];
    let byte = min(index, ROWS - 1u);
    let label = (rows[byte / 4u] >> (byte % 4u * 8u)) & 0xffu;
    y[i] = select(0xffffffffu, label, position < ORDER && index < ROWS);
}
