// What: y[i, j] = rows[order[step*BATCH + i], j] / 255; zeros beyond the end of the order and for an index that is not
// a row
// Shapes: rows [ROWS,ROW] bytes, four per word; order [ORDER]; step [1]; y [BATCH,ROW]
// Each invocation unpacks four adjacent bytes of a row.

@group(0) @binding(0) var<storage, read> rows: array<u32>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read> step_number: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const BATCH: u32 = 64u;
const ROWS: u32 = 60000u;
const ROW: u32 = 784u;
const ORDER: u32 = 60032u;

const QUADS = (ROW + 3u) / 4u;

// Offset of the first byte of a row of y in the set; beyond the end for a padding row.
fn first_byte(row: u32) -> u32 {
    let position = min(step_number[0], ORDER / BATCH) * BATCH + row;
    let index = select(ROWS, order[min(position, ORDER - 1u)], position < ORDER);
    return min(index, ROWS) * ROW;
}

fn value(i: u32) -> f32 {
    let first = first_byte(i / ROW);
    let byte = min(first, (ROWS - 1u) * ROW) + i % ROW;
    return select(0.0, unpack4x8unorm(rows[byte / 4u] >> (byte % 4u * 8u)).x, first < ROWS * ROW);
}

@compute @workgroup_size(64)
fn gather_images(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= BATCH * QUADS {
        return;
    }
    let row = i / QUADS;
    let column = i % QUADS * 4u;
    let start = first_byte(row);

    // Rows need not start at a word, so four bytes may straddle two words.
    let byte = min(start, (ROWS - 1u) * ROW) + column;
    let first = byte / 4u;
    let shift = byte % 4u * 8u;
    let low = rows[first] >> shift;
    let last = (ROWS * ROW - 1u) / 4u;
    let high = select(0u, rows[min(first + 1u, last)] << ((32u - shift) & 31u), shift > 0u);
    let pixels = select(vec4<f32>(), unpack4x8unorm(low | high), start < ROWS * ROW);
    for (var j = 0u; j < 4u; j++) {
        if column + j < ROW {
            y[row * ROW + column + j] = pixels[j];
        }
    }
}
