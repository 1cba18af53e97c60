//! Convolutions in as many groups as there are channels: forward, backward to the weights, and for strides of 1 backward to
//! the input. Nothing is shared between channels, so what counts is that each element is loaded once.

use std::ops::Range;

use crate::kernel::{Dispatch, Kernel, MOST_KEPT, MOST_ROUNDS, Operand, Shader};
use crate::ops::convolution::extents::{Extents, MOST_PARTIAL, add_bias, sum_parts};
use crate::shader;

const DEPTHWISE: Shader = shader!("convolution/conv2d_depthwise");
const GRAD_WEIGHT: Shader = shader!("convolution/conv2d_grad_weight_depthwise");

/// Most filters of a channel, or channels of a filter: each filter loads them for itself.
const MOST_SHARED: usize = 4;
/// Most rows of a register tile.
const TILE_ROWS: usize = 4;
/// Most columns of it: of 4 by 8, 2 by 8, 4 by 16 and 2 by 16 the fastest on llvmpipe.
const TILE_COLUMNS: usize = 8;
/// Most multiply-adds written out in it: compilers take longer than linear time.
const MOST_COPIES: usize = 640;
/// Invocations that fill a GPU: into so many the gradient to the weights is cut.
const ENOUGH_INVOCATIONS: usize = 8192;

/// What one invocation works on: rows and columns of outputs, and what lies under them.
struct Tile {
    p: usize,
    q: usize,
    rows: usize,
    quads: usize,
    /// How many columns before the first one needed its fours begin.
    shift: usize,
}

impl Tile {
    /// `None` where filters see several channels and these have several filters, or either many; where rows do not go by
    /// fours; for windows too large to be written out.
    fn of(e: &Extents) -> Option<Self> {
        let ([r, s], [p, q]) = (e.window.size, e.placed.out);
        let is_depthwise = e.groups > 1 && e.group_c.min(e.group_k) == 1 && e.group_c.max(e.group_k) <= MOST_SHARED;
        let tile_q = if q <= 4 { 4 } else { TILE_COLUMNS };
        let tile_p = TILE_ROWS.min(p).min(MOST_COPIES / (r * s * tile_q));
        let shift = e.placed.begin[1].next_multiple_of(4) - e.placed.begin[1];
        let rows = tile_p.checked_sub(1)? * e.window.stride[0] + (r - 1) * e.window.dilation[0] + 1;
        let quads = (shift + e.strip(tile_q)).div_ceil(4);
        let fits =
            is_depthwise && [e.w, q].iter().all(|row| row.is_multiple_of(4)) && 4 * rows * quads <= MOST_KEPT / 2;
        fits.then_some(Self { p: tile_p, q: tile_q, rows, quads, shift })
    }

    /// The dispatch with the tile.
    fn of_dispatch(&self, dispatch: Dispatch) -> Dispatch {
        let Self { p, q, rows, quads, shift } = *self;
        let dispatch = dispatch.constants([("TILE_P", p), ("TILE_Q", q), ("ROWS", rows)]);
        dispatch.constants([("QUADS", quads), ("SHIFT", shift), ("QUADS_Y", q / 4)])
    }
}

impl Extents {
    /// The kernel for y of x, w and b; `None` as [`Tile::of`] says.
    pub fn depthwise(&self, bias: Option<Operand>) -> Option<Kernel> {
        self.planewise("tap", [Operand::Input(0), Operand::Input(1)], bias)
    }

    /// As [`Extents::depthwise`], for the gradient to x. `None` also where windows skip elements or lie outside.
    pub fn grad_input_depthwise(&self, w: Operand, dy: Operand, bias: Option<Operand>) -> Option<Kernel> {
        self.turned()?.planewise("R * S - 1u - tap", [dy, w], bias)
    }

    /// The kernel for the gradient to w, and perhaps a bias, of x and dy; `None` as for [`Extents::depthwise`].
    pub fn grad_weight_depthwise(&self, bias: &Range<usize>) -> Option<Kernel> {
        let [p, q] = self.placed.out;
        let tile = Tile::of(self)?;
        let (blocks, tiles) = (q.div_ceil(tile.q), self.n * p.div_ceil(tile.p));
        let runs = (ENOUGH_INVOCATIONS / (self.k * blocks)).clamp(1, tiles);
        let a_run = tiles.div_ceil(runs).clamp(2, MOST_ROUNDS / 2);
        let parts = blocks * tiles.div_ceil(a_run);
        if self.group_c > 1 || parts.saturating_mul(bias.end) > MOST_PARTIAL {
            return None;
        }
        let partial = tile
            .of_dispatch(self.grad_weight_dispatch(GRAD_WEIGHT, bias))
            .constants([("TILES", a_run), ("PARTS", parts)])
            .reads_inputs(2)
            .writes(if parts == 1 { Operand::Output } else { Operand::Scratch(0) })
            .invocations(self.k * parts, 64);
        Some(sum_parts(Kernel::single(partial), parts, bias.end))
    }

    /// The kernel with this place of a tap among the weights.
    fn planewise(&self, place_of: &str, operands: [Operand; 2], bias: Option<Operand>) -> Option<Kernel> {
        let (tile, [p, q]) = (Tile::of(self)?, self.placed.out);
        let dispatch = tile
            .of_dispatch(self.dispatch(DEPTHWISE))
            .function("place_of", place_of)
            .reads(operands)
            .writes(Operand::Output)
            .invocations(self.n * self.k * p.div_ceil(tile.p) * q.div_ceil(tile.q), 64);
        Some(add_bias(Kernel::single(dispatch), bias.map(|bias| (bias, "b[k]"))))
    }
}
