//! Convolutions whose subgroups share what they load: forward, backward to the weights, and for strides of 1 backward to
//! the input.

use std::ops::Range;

use crate::graph::Pooling;
use crate::kernel::{Dispatch, Kernel, Limits, MOST_ROUNDS, Operand, Shader};
use crate::ops::convolution::extents::{Extents, MOST_PARTIAL, add_bias, sum_parts, tile};
use crate::shader;
use crate::shape::Window;

const SUBGROUP: Shader = shader!("convolution/conv2d_subgroup");
const SLIDING: Shader = shader!("convolution/conv2d_sliding_subgroup");
const GRAD_WEIGHT: Shader = shader!("convolution/conv2d_grad_weight_subgroup");

/// The size of subgroups that it is written for: software drivers on processors with 256-bit vectors, some GPUs.
const LANES: usize = 8;
/// Fewest filters for which sharing pays.
const SHALLOWEST: usize = 4;
/// Most filters of a register tile.
const TILE_DEPTH: usize = 16;
/// Most columns of it.
const TILE_COLUMNS: usize = 8;
/// Most filters and columns of one of two rows of windows that are pooled, which few loads suffice for.
const POOLED_TILE: [usize; 2] = [8, 14];
/// Most multiply-adds written out in it, or in a row of it that is pooled: compilers take longer than linear time.
const MOST_COPIES: usize = 640;
/// Most elements of a row that it keeps in registers.
const LONGEST_STRIP: usize = 64;
/// Rows and most columns of a tile of which one filter after another is made: its sums are what registers hold.
const SLIDING_TILE: [usize; 2] = [2, 14];
/// Most elements of rows of x that are kept for it.
const MOST_SLIDING: usize = 128;
/// Most columns of windows in the gradient to the weights.
const TILE_WIDTH: usize = 14;
/// Most multiply-adds written out in it or for a sliding tile, sums, and elements of rows of x that it keeps.
const MOST_PRODUCTS: usize = 1000;
const MOST_SUMS: usize = 160;
const MOST_STRIPS: usize = 96;
/// What a load and a sum that is kept in memory cost in it, counted in multiply-adds.
const LOAD_COST: usize = 28;
const SUM_COST: usize = 2;
/// Invocations for which what keeps rows of x is cut into parts: processors with subgroups of eight have few cores, and
/// each part loads the rows under its first windows anew.
const ENOUGH_INVOCATIONS: usize = 128;

/// What one invocation works on: filters, columns of windows, and the columns of x under those.
struct Tile {
    k: usize,
    q: usize,
    strip: usize,
}

/// What one invocation of the gradient to the weights works on: filters, rows of taps, columns of windows; and how many
/// lanes share those windows.
struct GradTile {
    lane_taps: usize,
    k: usize,
    r: usize,
    q: usize,
}

impl Extents {
    /// The kernel for y of x, w and b; `None` where there is too little to share or too much to write out, or where
    /// subgroups have another size.
    pub fn subgroup(&self, limits: &Limits, bias: Option<Operand>) -> Option<Kernel> {
        let plane = self.window.size[0] * self.window.size[1];
        let operands = [Operand::Input(0), Operand::Input(1)];
        self.shared(limits, [self.group_c * plane, plane], "r * S + s", operands, bias)
    }

    /// As [`Extents::subgroup`], for the gradient to x: the convolution of dy whose filters are the channels of this
    /// one, with the taps turned round. `None` also where windows skip elements or lie outside.
    pub fn grad_input_subgroup(
        &self,
        limits: &Limits,
        w: Operand,
        dy: Operand,
        bias: Option<Operand>,
    ) -> Option<Kernel> {
        let plane = self.window.size[0] * self.window.size[1];
        let tap = "(R - 1u - r) * S + (S - 1u - s)";
        self.turned()?.shared(limits, [plane, self.group_c * plane], tap, [dy, w], bias)
    }

    /// The kernel for the gradient to w, and perhaps a bias, of x and dy; `None` as for [`Extents::subgroup`].
    pub fn grad_weight_subgroup(&self, limits: &Limits, bias: &Range<usize>) -> Option<Kernel> {
        let [p, q] = self.placed.out;
        let GradTile { lane_taps, k, r, q: tile_q } = self.grad_tile(limits)?;
        let lane_parts = LANES / lane_taps;
        let (rows, blocks_q) = (self.n * p, q.div_ceil(tile_q));
        let tasks = self.groups * self.group_k.div_ceil(k) * self.tap_rows(r).div_ceil(lane_taps);
        let parts = (ENOUGH_INVOCATIONS / (LANES * tasks)).clamp(1, rows.div_ceil(lane_parts));
        let rows_a_part = rows.div_ceil(parts * lane_parts).min((MOST_ROUNDS / (blocks_q * (1 + r))).max(1));
        let parts = rows.div_ceil(rows_a_part * lane_parts);
        let fits = parts.saturating_mul(bias.end) <= MOST_PARTIAL && blocks_q * (1 + r) <= MOST_ROUNDS;
        if !fits {
            return None;
        }
        let partial = self
            .grad_weight_dispatch(GRAD_WEIGHT, bias)
            .constants([("TILE_K", k), ("TILE_R", r), ("TILE_Q", tile_q), ("STRIP", self.strip(tile_q))])
            .constants([("LANE_TAPS", lane_taps), ("LOADS", tile_q.div_ceil(lane_taps))])
            .constants([("ROWS", rows_a_part), ("PARTS", parts)])
            .constant("RAGGED", !(self.lies_inside() && q.is_multiple_of(tile_q)))
            .reads_inputs(2)
            .writes(if parts == 1 { Operand::Output } else { Operand::Scratch(0) })
            .invocations(parts * tasks, 1);
        Some(sum_parts(Kernel::single(partial), parts, bias.end))
    }

    /// Runs of `r` rows of taps that lie in one channel.
    fn tap_rows(&self, r: usize) -> usize {
        self.group_c * (self.window.size[0] / r)
    }

    /// The tile of the gradient to the weights that takes least time for each product, by what was measured on lavapipe.
    fn grad_tile(&self, limits: &Limits) -> Option<GradTile> {
        let Window { size: [r_size, s], stride, dilation, .. } = self.window;
        let q_size = self.placed.out[1];
        let tiles = [1, 2, 4, 8].into_iter().flat_map(|lane_taps| {
            let rows = [1, r_size].into_iter();
            let filters = rows.flat_map(|r| (1..=TILE_DEPTH.min(self.group_k)).map(move |k| (r, k)));
            filters.flat_map(move |(r, k)| (1..=q_size.min(TILE_WIDTH)).map(move |q| GradTile { lane_taps, k, r, q }))
        });
        let cost = |tile: &GradTile| {
            let GradTile { lane_taps, k, r, q } = *tile;
            let new_rows = if dilation[0] == 1 { stride[0].min(r) } else { r };
            let loads = k * q.div_ceil(lane_taps) + new_rows * self.strip(q);
            let cycles = LOAD_COST * loads + k * r * s * (q + SUM_COST);
            let waste = |extent: usize, tile: usize| (extent.div_ceil(tile) * tile) as f64 / extent as f64;
            let wasted = waste(self.tap_rows(r), lane_taps) * waste(self.group_k, k) * waste(q_size, q);
            cycles as f64 * wasted / (k * r * s * q) as f64
        };
        let fits = |tile: &GradTile| {
            let GradTile { k, r, q, .. } = *tile;
            k * r * s * q <= MOST_PRODUCTS && k * r * s <= MOST_SUMS && r * self.strip(q) <= MOST_STRIPS
        };
        let shares = limits.subgroup == Some(LANES as u32) && self.group_k >= SHALLOWEST;
        tiles.filter(|tile| shares && fits(tile)).min_by(|a, b| cost(a).total_cmp(&cost(b)))
    }

    /// Most filters and columns of windows of a tile: more columns where a tile as wide as the row leaves out what lies in
    /// the padding.
    fn largest_tile(&self) -> [usize; 2] {
        let (s, q) = (self.window.size[1], self.placed.out[1]);
        let leaves_out = !self.lies_inside() && q <= 2 * TILE_COLUMNS;
        match self.pooling == Pooling::NONE {
            false => POOLED_TILE,
            true if leaves_out && s * tile(self.group_k, TILE_DEPTH) * q <= MOST_COPIES => [TILE_DEPTH, q],
            true => [TILE_DEPTH, TILE_COLUMNS],
        }
    }

    /// The register tile of at most so many filters and columns; `None` where there is too little to share or too much to
    /// write out, or where subgroups have another size.
    fn tile(&self, limits: &Limits, [most_k, most_q]: [usize; 2]) -> Option<Tile> {
        let (s, across) = (self.window.size[1], self.pooling.size[1]);
        let k = tile(self.group_k, most_k);
        let windows = most_q.min(MOST_COPIES / (s * k)) / across;
        let q = across * tile(self.placed.out[1] / across, windows.max(1));
        let strip = self.strip(q);
        let fits = limits.subgroup == Some(LANES as u32)
            && self.group_k >= SHALLOWEST
            && s * k * q <= MOST_COPIES
            && strip <= LONGEST_STRIP;
        fits.then_some(Tile { k, q, strip })
    }

    /// The kernel with these distances between the weights of neighbouring filters and channels, and this place of a
    /// tap r, s among the weights of both.
    fn shared(
        &self,
        limits: &Limits,
        [w_k, w_c]: [usize; 2],
        tap: &str,
        operands: [Operand; 2],
        bias: Option<Operand>,
    ) -> Option<Kernel> {
        let [r, s] = self.window.size;
        let [p, q] = self.placed.out;
        let [down, across] = self.pooling.size;
        if let Some(sliding) = self.sliding(limits) {
            let dispatch = sliding.constants([("W_K", w_k), ("W_C", w_c)]).function("tap", tap);
            return Some(self.whole(dispatch, operands, bias));
        }
        let Tile { k: tile_k, q: tile_q, strip } = self.tile(limits, self.largest_tile())?;
        let whole_rows = tile_q == q && !self.lies_inside();
        // Where few filters use a row, two rows of outputs do.
        let neighbours = r > 1 && p > 1 && self.window.stride[0] == 1 && self.window.dilation[0] == 1;
        let columns = if whole_rows { tile_q.min(self.w) } else { tile_q };
        let pays = down == 2 || tile_k <= 8 && 2 * s * tile_k * columns <= MOST_COPIES;
        let tile_p: usize = if neighbours && pays { 2 } else { 1 };
        if self.group_c * r > MOST_ROUNDS || !tile_p.is_multiple_of(down) || !tile_q.is_multiple_of(across) {
            return None;
        }
        // Lanes of one row of windows skip its taps outside the picture together; few pictures fill the lanes with rows.
        let strips = self.n * q.div_ceil(tile_q);
        let lane_rows = (LANES / strips.min(LANES)).next_power_of_two();
        let blocks = strips.div_ceil(LANES / lane_rows) * p.div_ceil(tile_p).div_ceil(lane_rows);
        let dispatch = self
            .dispatch(SUBGROUP)
            .constants([("TILE_K", tile_k), ("TILE_Q", tile_q), ("STRIP", strip), ("LOADS", tile_k.div_ceil(LANES))])
            .constant("RAGGED", !(self.lies_inside() && q.is_multiple_of(tile_q) && p.is_multiple_of(tile_p)))
            .constant("WHOLE_ROWS", whole_rows)
            .constants([("WINDOWS_P", tile_p / down), ("WINDOWS_Q", tile_q / across)])
            .constants([("TILE_P", tile_p), ("LANE_ROWS", lane_rows), ("W_K", w_k), ("W_C", w_c)])
            .function("tap", tap)
            .invocations(blocks * self.groups * self.group_k.div_ceil(tile_k), 1);
        Some(self.whole(dispatch, operands, bias))
    }

    /// The dispatch of a kernel that keeps the rows of x under a tile for all filters and for the next tile; `None` where
    /// windows lie apart, where too many products are behind one y, or where pictures do not fill the lanes.
    fn sliding(&self, limits: &Limits) -> Option<Dispatch> {
        let Window { size: [r, _], stride, dilation, .. } = self.window;
        let [p, q] = self.placed.out;
        let [down, across] = self.pooling.size;
        let [tile_p, most_q] = SLIDING_TILE;
        let tile_q = across * tile(q / across, (most_q / across).max(1));
        let (kept, strip, taps) = (tile_p + r - 1, self.strip(tile_q), self.taps());
        let (strips, tiles) = (self.n * q.div_ceil(tile_q), p.div_ceil(tile_p));
        let fits = limits.subgroup == Some(LANES as u32)
            && self.group_k >= SHALLOWEST
            && (stride[0], dilation[0]) == (1, 1)
            && r > 1
            && p > 1
            && tile_p.is_multiple_of(down)
            && tile_q <= most_q
            && self.group_c * kept * strip <= MOST_SLIDING
            && taps * tile_p * tile_q <= MOST_PRODUCTS
            && kept + self.group_k <= MOST_ROUNDS
            && strips >= LANES;
        if !fits {
            return None;
        }
        let blocks = strips.div_ceil(LANES) * self.groups;
        let parts = (ENOUGH_INVOCATIONS / (LANES * blocks)).clamp(1, tiles);
        let rows = tiles.div_ceil(parts).min(MOST_ROUNDS / (1 + kept + self.group_k)).max(1);
        let parts = tiles.div_ceil(rows);
        let dispatch = self
            .dispatch(SLIDING)
            .constants([("TILE_P", tile_p), ("TILE_Q", tile_q), ("STRIP", strip), ("KEPT", kept)])
            .constants([("CHANNELS", self.group_c), ("LOADS", taps.div_ceil(LANES)), ("ROWS", rows), ("PARTS", parts)])
            .constants([("WINDOWS_P", tile_p / down), ("WINDOWS_Q", tile_q / across)])
            .constant("RAGGED", !(self.lies_inside() && q.is_multiple_of(tile_q) && p == parts * rows * tile_p));
        Some(dispatch.invocations(blocks * parts, 1))
    }

    /// The kernel of a dispatch that reads x and w, and adds a bias and pools if asked to.
    fn whole(&self, dispatch: Dispatch, operands: [Operand; 2], bias: Option<Operand>) -> Kernel {
        let dispatch = dispatch.reads(operands).writes(Operand::Output);
        self.pool_kernel(add_bias(Kernel::single(dispatch), bias.map(|bias| (bias, "b[k]"))))
    }
}
