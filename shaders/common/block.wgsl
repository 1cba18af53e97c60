// A square block of a matrix product, computed by a workgroup: it loads DEPTH terms of all sums at a time into
// workgroup memory, and each invocation adds TILE_K of them to 4 * QUADS rows by 4 * QUADS columns in registers. The
// invocations form SLICES that share the block's outputs and split the terms; their sums are added at the end.
// A kernel defines QUADS, SIDE, SLICES, INVOCATIONS and TILE_K, and loads the terms.

// Groups of four rows, or of four columns, of the block.
const STRIP = QUADS * SIDE;
const BLOCK = 4u * STRIP;
// Terms in workgroup memory.
const DEPTH = SLICES * TILE_K;
// Number of 4x4 tiles to load of each operand. With twice as many invocations, the first half loads the left operand
// and the second half the right one; else each invocation loads one tile of both.
const LOADS = STRIP * DEPTH / 4u;

// By operand (left, then right), term and group of four.
var<workgroup> terms: array<vec4<f32>, 2u * DEPTH * STRIP>;

alias Sums = array<vec4<f32>, 4u * QUADS * QUADS>;

// Whether an invocation loads a tile of the left or of the right operand.
fn loads_left(lane: u32) -> bool { return LOADS == INVOCATIONS || lane < LOADS; }
fn loads_right(lane: u32) -> bool { return LOADS == INVOCATIONS || lane >= LOADS; }

// The first row or column, and the first term, of the tile that an invocation loads, relative to the block.
fn loads_at(lane: u32) -> u32 { return lane % STRIP * 4u; }
fn loads_term(lane: u32) -> u32 { return lane % LOADS / STRIP * 4u; }

// The tiles that an invocation has loaded, of the left and of the right operand: four terms by four rows or columns
// each.
alias Tiles = array<mat4x4<f32>, 2>;

// Stores the tiles in workgroup memory.
fn put(lane: u32, tiles: ptr<function, Tiles>) {
    let at = loads_term(lane) * STRIP + lane % STRIP;
    if loads_left(lane) {
        for (var j = 0u; j < 4u; j++) { // unroll
            terms[at + j * STRIP] = (*tiles)[0][j];
        }
    }
    if loads_right(lane) {
        for (var j = 0u; j < 4u; j++) { // unroll
            terms[DEPTH * STRIP + at + j * STRIP] = (*tiles)[1][j];
        }
    }
}

// The first row, or column, of an invocation's group of four, relative to the block.
fn row_of(lane: u32, quad: u32) -> u32 { return (lane / SIDE % SIDE + quad * SIDE) * 4u; }
fn column_of(lane: u32, quad: u32) -> u32 { return (lane % SIDE + quad * SIDE) * 4u; }

// Adds the products of the terms in workgroup memory to the sums of an invocation.
fn add_terms(lane: u32, sums: ptr<function, Sums>) {
    let slice = lane / (SIDE * SIDE) * TILE_K * STRIP;
    let row = slice + lane / SIDE % SIDE;
    let column = slice + DEPTH * STRIP + lane % SIDE;
    for (var k = 0u; k < TILE_K; k++) { // unroll
        var left: array<vec4<f32>, QUADS>;
        var right: array<vec4<f32>, QUADS>;
        for (var q = 0u; q < QUADS; q++) { // unroll
            left[q] = terms[row + k * STRIP + q * SIDE];
            right[q] = terms[column + k * STRIP + q * SIDE];
        }
        for (var q = 0u; q < QUADS; q++) { // unroll
            for (var i = 0u; i < 4u; i++) { // unroll
                for (var p = 0u; p < QUADS; p++) { // unroll
                    (*sums)[(q * 4u + i) * QUADS + p] += left[q][i] * right[p];
                }
            }
        }
    }
}

// Adds the sums of all slices to those of the first, in a fixed order.
fn add_slices(lane: u32, sums: ptr<function, Sums>) {
    for (var half = SLICES / 2u; half > 0u; half /= 2u) { // rounds: 4u
        let lanes = half * SIDE * SIDE;
        workgroupBarrier();
        if lane / lanes == 1u {
            for (var q = 0u; q < QUADS; q++) { // unroll
                for (var i = 0u; i < 4u; i++) { // unroll
                    for (var p = 0u; p < QUADS; p++) { // unroll
                        terms[((q * 4u + i) * QUADS + p) * lanes + lane % lanes] = (*sums)[(q * 4u + i) * QUADS + p];
                    }
                }
            }
        }
        workgroupBarrier();
        if lane < lanes {
            for (var q = 0u; q < QUADS; q++) { // unroll
                for (var i = 0u; i < 4u; i++) { // unroll
                    for (var p = 0u; p < QUADS; p++) { // unroll
                        (*sums)[(q * 4u + i) * QUADS + p] += terms[((q * 4u + i) * QUADS + p) * lanes + lane];
                    }
                }
            }
        }
    }
}
