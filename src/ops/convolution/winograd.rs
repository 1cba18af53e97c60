//! Convolutions of 3x3 taps by Winograd's minimal filtering F(2x2,3x3): forward, and backward to the input. Each tile of
//! 2x2 outputs costs 16 products a channel instead of 36, and additions before and after.
//!
//! `y = Aᵀ [ Σ_c (G w Gᵀ) ⊙ (Bᵀ d B) ] A`: filters and the 4x4 of x under each tile are transformed, the sums over the
//! channels are 16 products of matrices, and what they leave is transformed back. An output depends on what lies under its
//! own window alone. Its terms are sums over that window though, so its error follows the window's largest products rather
//! than each: with few channels, where most of a window lies in the padding, that misses the bounds of kernels. There it is
//! no candidate.
//!
//! **Source**: Lavin & Gray 2016, arXiv:1509.09308, section 4.1.

use crate::kernel::{Dispatch, Kernel, Limits, Operand, Shader};
use crate::ops::convolution::extents::Extents;
use crate::ops::matrices::matmul::products;
use crate::shader;
use crate::shape::TensorType;

const FILTER: Shader = shader!("convolution/winograd_filter");
const INPUT: Shader = shader!("convolution/winograd_input");
const OUTPUT: Shader = shader!("convolution/winograd_output");

/// What lies between the dispatches: transformed filters, transformed tiles, their products summed over the channels.
const FILTERS: Operand = Operand::Scratch(0);
const TILES: Operand = Operand::Scratch(1);
const SUMS: Operand = Operand::Scratch(2);
/// Elements of a transformed tile: as many products of matrices.
const ELEMENTS: usize = 16;
/// Fewest channels over which errors even out. Of random windows with a tap or four inside the picture the worst of
/// 160,000 takes 0.09 of the bound with 16 channels, the worst of a million 0.45 with 8; with 4 some miss it.
const FEWEST_CHANNELS: usize = 16;
/// Most floats that lie between the dispatches.
const MOST_SCRATCH: usize = 1 << 25;

/// How the weights lie: between those of neighbouring filters, of neighbouring channels, and where a tap is among them.
struct Taps {
    w_k: usize,
    w_c: usize,
    place_of: &'static str,
}

/// The products: filters by channels, channels by tiles. Tiles go by fours along a row, channels and filters by fours.
struct Grid {
    k: usize,
    c: usize,
    tiles: usize,
    tiles_p: usize,
    tiles_q: usize,
}

impl Grid {
    /// `None` for other windows than 3x3 without stride and dilation, for groups, for few channels, and where too much
    /// would lie between the dispatches.
    fn of(e: &Extents) -> Option<Self> {
        let (window, [p, q]) = (e.window, e.placed.out);
        let is_plain = window.size == [3, 3] && window.stride == [1, 1] && window.dilation == [1, 1];
        let (tiles_p, tiles_q) = (p.div_ceil(2), q.div_ceil(2).next_multiple_of(4));
        let [k, c, tiles] = [e.k, e.c, e.n * tiles_p * tiles_q].map(|extent| extent.next_multiple_of(4));
        let grid = Self { k, c, tiles, tiles_p, tiles_q };
        (is_plain && e.groups == 1 && e.c >= FEWEST_CHANNELS && grid.scratch() <= MOST_SCRATCH).then_some(grid)
    }

    /// Types of what lies between the dispatches.
    fn types(&self) -> [TensorType; 3] {
        let Self { k, c, tiles, .. } = *self;
        [[k, c], [c, tiles], [k, tiles]].map(|[rows, columns]| TensorType::f32([ELEMENTS, rows, columns]))
    }

    /// Its floats.
    fn scratch(&self) -> usize {
        ELEMENTS * (self.k * self.c + self.c * self.tiles + self.k * self.tiles)
    }

    /// Whether the products are so many for each element transformed, and so few of the tiles' outputs for nothing, that
    /// this takes less time than the kernel whose subgroups share: measured with subgroups of eight on llvmpipe.
    fn pays(&self, e: &Extents) -> bool {
        let outputs = e.n * e.placed.out[0] * e.placed.out[1];
        self.k * self.c * self.tiles >= self.scratch() && 4 * (4 * self.tiles) <= 5 * outputs
    }
}

impl Extents {
    /// The candidates for y of x, w and b, with those by this filtering among them.
    pub fn with_winograd(&self, limits: &Limits, bias: Option<Operand>, others: Vec<Kernel>) -> Vec<Kernel> {
        let operands = [Operand::Input(0), Operand::Input(1)];
        self.with_filtering(limits, &Taps { w_k: self.c * 9, w_c: 9, place_of: "tap" }, operands, bias, others)
    }

    /// As [`Extents::with_winograd`], for the gradient to x.
    pub fn grad_input_with_winograd(
        &self,
        limits: &Limits,
        w: Operand,
        dy: Operand,
        bias: Option<Operand>,
        others: Vec<Kernel>,
    ) -> Vec<Kernel> {
        let taps = Taps { w_k: 9, w_c: self.c * 9, place_of: "8u - tap" };
        match self.turned() {
            Some(turned) => turned.with_filtering(limits, &taps, [dy, w], bias, others),
            None => others,
        }
    }

    /// The candidates, with those for x and w. Where it was not measured it comes last, for `lenslet tune` to find.
    fn with_filtering(
        &self,
        limits: &Limits,
        taps: &Taps,
        operands: [Operand; 2],
        bias: Option<Operand>,
        mut others: Vec<Kernel>,
    ) -> Vec<Kernel> {
        let Some(grid) = Grid::of(self) else { return others };
        let kernel = |name, limits: &Limits| {
            let products = products(&grid.types(), limits);
            Kernel { name, ..self.filtering(&grid, products, taps, operands, bias) }
        };
        if limits.subgroup == Some(8) {
            let at = if limits.software && grid.pays(self) { 0 } else { others.len() };
            others.insert(at, kernel("winograd_subgroup", limits));
        }
        others.push(kernel("winograd", &Limits { subgroup: None, ..*limits }));
        others
    }

    /// The kernel around the one of the products.
    fn filtering(
        &self,
        grid: &Grid,
        products: Kernel,
        taps: &Taps,
        [x, w]: [Operand; 2],
        bias: Option<Operand>,
    ) -> Kernel {
        let &Grid { k, c, tiles, tiles_p, tiles_q } = grid;
        let extents = [("N", self.n), ("TILES_P", tiles_p), ("TILES_Q", tiles_q)];
        let filter = Dispatch::new(FILTER)
            .constants([("C", self.c), ("K", self.k), ("W_K", taps.w_k), ("W_C", taps.w_c)])
            .function("place_of", taps.place_of)
            .reads([w])
            .writes(FILTERS)
            .invocations(k * c, 64);
        let input = Dispatch::new(INPUT)
            .constants(extents)
            .constants([("C", self.c), ("H", self.h), ("W", self.w)])
            .constants([("PAD_TOP", self.placed.begin[0]), ("PAD_LEFT", self.placed.begin[1])])
            .reads([x])
            .writes(TILES)
            .invocations(c * tiles / 4, 64);
        let output = Dispatch::new(OUTPUT)
            .constants(extents)
            .constants([("K", self.k), ("P", self.placed.out[0]), ("Q", self.placed.out[1])])
            .function("bias", if bias.is_some() { "b[k]" } else { "0.0" })
            .reads([SUMS])
            .writes(Operand::Output)
            .reads(bias)
            .invocations(self.k * tiles / 4, 64);
        let types = grid.types();
        let mut between = products.dispatches;
        for binding in between.iter_mut().flat_map(|dispatch| &mut dispatch.bindings) {
            binding.operand = match binding.operand {
                Operand::Input(0) => FILTERS,
                Operand::Input(_) => TILES,
                Operand::Output => SUMS,
                Operand::Scratch(number) => Operand::Scratch(types.len() + number),
            };
        }
        let dispatches = [filter, input].into_iter().chain(between).chain([output]).collect();
        Kernel { dispatches, scratch: types.into_iter().chain(products.scratch).collect(), ..products }
    }
}
