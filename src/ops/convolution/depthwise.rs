//! Depthwise convolution: forward, gradient to the weights, and gradient to the input for a stride of 1. Channels share
//! nothing, so the kernels are bound by memory and load each element once.

use std::ops::Range;

use crate::kernel::{Dispatch, Kernel, MOST_KEPT, MOST_ROUNDS, Operand, Shader};
use crate::ops::convolution::extents::{Extents, MAX_PARTIAL, add_bias, sum_parts};
use crate::shader;

const DEPTHWISE: Shader = shader!("convolution/conv2d_depthwise");
const GRAD_WEIGHT: Shader = shader!("convolution/conv2d_grad_weight_depthwise");

/// Maximum filters per channel, or channels per filter: each filter loads its channels itself.
const MAX_SHARED: usize = 4;
/// Maximum rows of a register tile.
const TILE_ROWS: usize = 4;
/// Maximum columns of a register tile: 4x8 is the fastest of 4x8, 2x8, 4x16 and 2x16 on llvmpipe.
const TILE_COLUMNS: usize = 8;
/// Maximum unrolled multiply-adds: shader compilers take more than linear time.
const MAX_COPIES: usize = 640;
/// Number of invocations that fill a GPU; the weight gradient is split until it has as many.
const TARGET_INVOCATIONS: usize = 8192;

/// The work of one invocation: rows and columns of outputs, and the rows and vec4s of inputs that they need.
struct Tile {
    p: usize,
    q: usize,
    rows: usize,
    quads: usize,
    /// Columns between the first vec4 boundary and the first column needed.
    shift: usize,
}

impl Tile {
    /// `None` if both `group_c` and `group_k` exceed 1, or one of them exceeds the maximum; if rows are not a multiple
    /// of four; if the window is too large to unroll.
    fn of(e: &Extents) -> Option<Self> {
        let ([r, s], [p, q]) = (e.window.size, e.placed.out);
        let is_depthwise = e.groups > 1 && e.group_c.min(e.group_k) == 1 && e.group_c.max(e.group_k) <= MAX_SHARED;
        let tile_q = if q <= 4 { 4 } else { TILE_COLUMNS };
        let tile_p = TILE_ROWS.min(p).min(MAX_COPIES / (r * s * tile_q));
        let shift = e.placed.begin[1].next_multiple_of(4) - e.placed.begin[1];
        let rows = tile_p.checked_sub(1)? * e.window.stride[0] + (r - 1) * e.window.dilation[0] + 1;
        let quads = (shift + e.strip(tile_q)).div_ceil(4);
        let fits =
            is_depthwise && [e.w, q].iter().all(|row| row.is_multiple_of(4)) && 4 * rows * quads <= MOST_KEPT / 2;
        fits.then_some(Self { p: tile_p, q: tile_q, rows, quads, shift })
    }

    /// Sets the constants of the tile.
    fn set_constants(&self, dispatch: Dispatch) -> Dispatch {
        let Self { p, q, rows, quads, shift } = *self;
        let dispatch = dispatch.constants([("TILE_P", p), ("TILE_Q", q), ("ROWS", rows)]);
        dispatch.constants([("QUADS", quads), ("SHIFT", shift), ("QUADS_Y", q / 4)])
    }
}

impl Extents {
    /// The kernel for y from x, w and b; `None` as for [`Tile::of`].
    pub fn depthwise(&self, bias: Option<Operand>) -> Option<Kernel> {
        self.planewise("tap", [Operand::Input(0), Operand::Input(1)], bias)
    }

    /// The kernel for the gradient to x; `None` as for [`Extents::depthwise`] and [`Extents::flipped`].
    pub fn grad_input_depthwise(&self, w: Operand, dy: Operand, bias: Option<Operand>) -> Option<Kernel> {
        self.flipped()?.planewise("R * S - 1u - tap", [dy, w], bias)
    }

    /// The kernel for the gradient to w, and optionally the bias, from x and dy; `None` as for [`Extents::depthwise`].
    pub fn grad_weight_depthwise(&self, bias: &Range<usize>) -> Option<Kernel> {
        let [p, q] = self.placed.out;
        let tile = Tile::of(self)?;
        let (blocks, tiles) = (q.div_ceil(tile.q), self.n * p.div_ceil(tile.p));
        let runs = (TARGET_INVOCATIONS / (self.k * blocks)).clamp(1, tiles);
        let a_run = tiles.div_ceil(runs).clamp(2, MOST_ROUNDS / 2);
        let parts = blocks * tiles.div_ceil(a_run);
        if self.group_c > 1 || parts.saturating_mul(bias.end) > MAX_PARTIAL {
            return None;
        }
        let partial = tile
            .set_constants(self.grad_weight_dispatch(GRAD_WEIGHT, bias))
            .constants([("TILES", a_run), ("PARTS", parts)])
            .reads_inputs(2)
            .writes(if parts == 1 { Operand::Output } else { Operand::Scratch(0) })
            .invocations(self.k * parts, 64);
        Some(sum_parts(Kernel::single(partial), parts, bias.end))
    }

    /// The kernel whose weights are indexed by `place_of`, the WGSL expression of a tap's offset.
    fn planewise(&self, place_of: &str, operands: [Operand; 2], bias: Option<Operand>) -> Option<Kernel> {
        let (tile, [p, q]) = (Tile::of(self)?, self.placed.out);
        let dispatch = tile
            .set_constants(self.dispatch(DEPTHWISE))
            .function("place_of", place_of)
            .reads(operands)
            .writes(Operand::Output)
            .invocations(self.n * self.k * p.div_ceil(tile.p) * q.div_ceil(tile.q), 64);
        Some(add_bias(Kernel::single(dispatch), bias.map(|bias| (bias, "b[k]"))))
    }
}
