//! Convolution kernels that share loads within a subgroup: forward, gradient to the weights, and gradient to the input
//! for a stride of 1.

use std::ops::Range;

use crate::graph::Pooling;
use crate::kernel::{Dispatch, Kernel, Limits, MOST_ROUNDS, Operand, Shader};
use crate::ops::convolution::extents::{Extents, MAX_PARTIAL, add_bias, sum_parts, tile};
use crate::shader;
use crate::shape::Window;

const SUBGROUP: Shader = shader!("convolution/conv2d_subgroup");
const SLIDING: Shader = shader!("convolution/conv2d_sliding_subgroup");
const GRAD_WEIGHT: Shader = shader!("convolution/conv2d_grad_weight_subgroup");

/// The subgroup size these kernels require: software drivers on CPUs with 256-bit vectors, some GPUs.
const LANES: usize = 8;
/// Minimum number of filters for which sharing pays off.
const MIN_FILTERS: usize = 4;
/// Maximum filters of a register tile.
const TILE_DEPTH: usize = 16;
/// Maximum columns of a register tile.
const TILE_COLUMNS: usize = 8;
/// Maximum filters and columns of a register tile of two rows whose output is pooled, which needs few loads.
const POOLED_TILE: [usize; 2] = [8, 14];
/// Maximum unrolled multiply-adds, per row if pooled: shader compilers take more than linear time.
const MAX_COPIES: usize = 640;
/// Maximum elements of an input row kept in registers.
const MAX_STRIP: usize = 64;
/// Rows and maximum columns of a sliding tile, which computes one filter after another with its sums in registers.
const SLIDING_TILE: [usize; 2] = [2, 14];
/// Maximum elements of x kept in registers by a sliding tile.
const MAX_SLIDING: usize = 128;
/// Maximum output columns of a tile of the weight gradient.
const TILE_WIDTH: usize = 14;
/// Maximum unrolled multiply-adds of the weight gradient or a sliding tile; maximum sums and kept elements of x of the
/// former.
const MAX_PRODUCTS: usize = 1000;
const MAX_SUMS: usize = 160;
const MAX_STRIPS: usize = 96;
/// Measured cost of a load and of a sum kept in memory in the weight gradient, in multiply-adds.
const LOAD_COST: usize = 28;
const SUM_COST: usize = 2;
/// Number of invocations up to which kernels that keep rows of x are split: CPUs with subgroups of eight have few
/// cores, and each part reloads the rows under its first windows.
const TARGET_INVOCATIONS: usize = 128;

/// The work of one invocation: filters, output columns, and the columns of x that they read.
struct Tile {
    k: usize,
    q: usize,
    strip: usize,
}

/// The work of one invocation of the weight gradient: filters, kernel rows, output columns, and the number of lanes
/// that share those columns.
struct GradTile {
    lane_taps: usize,
    k: usize,
    r: usize,
    q: usize,
}

impl Extents {
    /// The kernel for y from x, w and b; `None` if too little is shared, the unrolled code is too long, or the subgroup
    /// size differs.
    pub fn subgroup(&self, limits: &Limits, bias: Option<Operand>) -> Option<Kernel> {
        let plane = self.window.size[0] * self.window.size[1];
        let operands = [Operand::Input(0), Operand::Input(1)];
        self.shared(limits, [self.group_c * plane, plane], "r * S + s", operands, bias)
    }

    /// The kernel for the gradient to x: a convolution of dy with the flipped kernel, whose filters are the channels of
    /// this one. `None` as for [`Extents::subgroup`] and [`Extents::flipped`].
    pub fn grad_input_subgroup(
        &self,
        limits: &Limits,
        w: Operand,
        dy: Operand,
        bias: Option<Operand>,
    ) -> Option<Kernel> {
        let plane = self.window.size[0] * self.window.size[1];
        let tap = "(R - 1u - r) * S + (S - 1u - s)";
        self.flipped()?.shared(limits, [plane, self.group_c * plane], tap, [dy, w], bias)
    }

    /// The kernel for the gradient to w, and optionally the bias, from x and dy; `None` as for [`Extents::subgroup`].
    pub fn grad_weight_subgroup(&self, limits: &Limits, bias: &Range<usize>) -> Option<Kernel> {
        let [p, q] = self.placed.out;
        let GradTile { lane_taps, k, r, q: tile_q } = self.grad_tile(limits)?;
        let lane_parts = LANES / lane_taps;
        let (rows, blocks_q) = (self.n * p, q.div_ceil(tile_q));
        let tasks = self.groups * self.group_k.div_ceil(k) * self.tap_rows(r).div_ceil(lane_taps);
        let parts = (TARGET_INVOCATIONS / (LANES * tasks)).clamp(1, rows.div_ceil(lane_parts));
        let rows_a_part = rows.div_ceil(parts * lane_parts).min((MOST_ROUNDS / (blocks_q * (1 + r))).max(1));
        let parts = rows.div_ceil(rows_a_part * lane_parts);
        let fits = parts.saturating_mul(bias.end) <= MAX_PARTIAL && blocks_q * (1 + r) <= MOST_ROUNDS;
        if !fits {
            return None;
        }
        let partial = self
            .grad_weight_dispatch(GRAD_WEIGHT, bias)
            .constants([("TILE_K", k), ("TILE_R", r), ("TILE_Q", tile_q), ("STRIP", self.strip(tile_q))])
            .constants([("LANE_TAPS", lane_taps), ("LOADS", tile_q.div_ceil(lane_taps))])
            .constants([("ROWS", rows_a_part), ("PARTS", parts)])
            .constant("RAGGED", !(self.is_inside() && q.is_multiple_of(tile_q)))
            .reads_inputs(2)
            .writes(if parts == 1 { Operand::Output } else { Operand::Scratch(0) })
            .invocations(parts * tasks, 1);
        Some(sum_parts(Kernel::single(partial), parts, bias.end))
    }

    /// Number of groups of `r` kernel rows, each within one channel.
    fn tap_rows(&self, r: usize) -> usize {
        self.group_c * (self.window.size[0] / r)
    }

    /// The tile of the weight gradient with the lowest cost per product, by a cost model measured on lavapipe.
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
            k * r * s * q <= MAX_PRODUCTS && k * r * s <= MAX_SUMS && r * self.strip(q) <= MAX_STRIPS
        };
        let shares = limits.subgroup == Some(LANES as u32) && self.group_k >= MIN_FILTERS;
        tiles.filter(|tile| shares && fits(tile)).min_by(|a, b| cost(a).total_cmp(&cost(b)))
    }

    /// Maximum filters and output columns of a tile: more columns if a tile as wide as the row can skip the padding.
    fn largest_tile(&self) -> [usize; 2] {
        let (s, q) = (self.window.size[1], self.placed.out[1]);
        let leaves_out = !self.is_inside() && q <= 2 * TILE_COLUMNS;
        match self.pooling == Pooling::NONE {
            false => POOLED_TILE,
            true if leaves_out && s * tile(self.group_k, TILE_DEPTH) * q <= MAX_COPIES => [TILE_DEPTH, q],
            true => [TILE_DEPTH, TILE_COLUMNS],
        }
    }

    /// The register tile within these maximum filters and columns; `None` if too little is shared, the unrolled code is
    /// too long, or the subgroup size differs.
    fn tile(&self, limits: &Limits, [most_k, most_q]: [usize; 2]) -> Option<Tile> {
        let (s, across) = (self.window.size[1], self.pooling.size[1]);
        let k = tile(self.group_k, most_k);
        let windows = most_q.min(MAX_COPIES / (s * k)) / across;
        let q = across * tile(self.placed.out[1] / across, windows.max(1));
        let strip = self.strip(q);
        let fits = limits.subgroup == Some(LANES as u32)
            && self.group_k >= MIN_FILTERS
            && s * k * q <= MAX_COPIES
            && strip <= MAX_STRIP;
        fits.then_some(Tile { k, q, strip })
    }

    /// The kernel for a convolution whose weights have these strides between filters and between channels; `tap` is the
    /// WGSL expression of the offset of tap r, s within one filter and channel.
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
            return Some(self.with_bias_and_pooling(dispatch, operands, bias));
        }
        let Tile { k: tile_k, q: tile_q, strip } = self.tile(limits, self.largest_tile())?;
        let whole_rows = tile_q == q && !self.is_inside();
        // Where few filters use a row of x, two rows of outputs share it.
        let adjacent_rows = r > 1 && p > 1 && self.window.stride[0] == 1 && self.window.dilation[0] == 1;
        let columns = if whole_rows { tile_q.min(self.w) } else { tile_q };
        let pays = down == 2 || tile_k <= 8 && 2 * s * tile_k * columns <= MAX_COPIES;
        let tile_p: usize = if adjacent_rows && pays { 2 } else { 1 };
        if self.group_c * r > MOST_ROUNDS || !tile_p.is_multiple_of(down) || !tile_q.is_multiple_of(across) {
            return None;
        }
        // Lanes that share an output row skip its padding taps together. Small batches fill the lanes with different
        // rows.
        let strips = self.n * q.div_ceil(tile_q);
        let lane_rows = (LANES / strips.min(LANES)).next_power_of_two();
        let blocks = strips.div_ceil(LANES / lane_rows) * p.div_ceil(tile_p).div_ceil(lane_rows);
        let dispatch = self
            .dispatch(SUBGROUP)
            .constants([("TILE_K", tile_k), ("TILE_Q", tile_q), ("STRIP", strip), ("LOADS", tile_k.div_ceil(LANES))])
            .constant("RAGGED", !(self.is_inside() && q.is_multiple_of(tile_q) && p.is_multiple_of(tile_p)))
            .constant("WHOLE_ROWS", whole_rows)
            .constants([("WINDOWS_P", tile_p / down), ("WINDOWS_Q", tile_q / across)])
            .constants([("TILE_P", tile_p), ("LANE_ROWS", lane_rows), ("W_K", w_k), ("W_C", w_c)])
            .function("tap", tap)
            .invocations(blocks * self.groups * self.group_k.div_ceil(tile_k), 1);
        Some(self.with_bias_and_pooling(dispatch, operands, bias))
    }

    /// The dispatch of a kernel that keeps the rows of x under a tile for all filters and for the next tile; `None` if
    /// the vertical stride or dilation is not 1, if too many products are summed per output, or if images do not fill
    /// the lanes.
    fn sliding(&self, limits: &Limits) -> Option<Dispatch> {
        let Window { size: [r, _], stride, dilation, .. } = self.window;
        let [p, q] = self.placed.out;
        let [down, across] = self.pooling.size;
        let [tile_p, most_q] = SLIDING_TILE;
        let tile_q = across * tile(q / across, (most_q / across).max(1));
        let (kept, strip, taps) = (tile_p + r - 1, self.strip(tile_q), self.taps());
        let (strips, tiles) = (self.n * q.div_ceil(tile_q), p.div_ceil(tile_p));
        let fits = limits.subgroup == Some(LANES as u32)
            && self.group_k >= MIN_FILTERS
            && (stride[0], dilation[0]) == (1, 1)
            && r > 1
            && p > 1
            && tile_p.is_multiple_of(down)
            && tile_q <= most_q
            && self.group_c * kept * strip <= MAX_SLIDING
            && taps * tile_p * tile_q <= MAX_PRODUCTS
            && kept + self.group_k <= MOST_ROUNDS
            && strips >= LANES;
        if !fits {
            return None;
        }
        let blocks = strips.div_ceil(LANES) * self.groups;
        let parts = (TARGET_INVOCATIONS / (LANES * blocks)).clamp(1, tiles);
        let rows = tiles.div_ceil(parts).min(MOST_ROUNDS / (1 + kept + self.group_k)).max(1);
        let parts = tiles.div_ceil(rows);
        let dispatch = self
            .dispatch(SLIDING)
            .constants([("TILE_P", tile_p), ("TILE_Q", tile_q), ("STRIP", strip), ("KEPT", kept)])
            .constants([("CHANNELS", self.group_c), ("LOADS", taps.div_ceil(LANES)), ("ROWS", rows), ("PARTS", parts)])
            .constants([("WINDOWS_P", tile_p / down), ("WINDOWS_Q", tile_q / across)])
            .constant("RAGGED", !(self.is_inside() && q.is_multiple_of(tile_q) && p == parts * rows * tile_p));
        Some(dispatch.invocations(blocks * parts, 1))
    }

    /// The kernel of a dispatch that reads x and w, with an optional bias and fused pooling.
    fn with_bias_and_pooling(&self, dispatch: Dispatch, operands: [Operand; 2], bias: Option<Operand>) -> Kernel {
        let dispatch = dispatch.reads(operands).writes(Operand::Output);
        self.pool_kernel(add_bias(Kernel::single(dispatch), bias.map(|bias| (bias, "b[k]"))))
    }
}
