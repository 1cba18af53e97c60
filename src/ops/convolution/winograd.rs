//! 3x3 convolution by Winograd's minimal filtering F(2x2,3x3): forward, and gradient to the input. Each tile of 2x2
//! outputs costs 16 products per channel instead of 36, plus additions for the transforms.
//!
//! `y = Aᵀ [ Σ_c (G w Gᵀ) ⊙ (Bᵀ d B) ] A`: filters and the 4x4 tiles d of x are transformed, the sums over the channels
//! are 16 matrix products, and their results are transformed back. Each output depends on the inputs of its own window
//! only, but its terms are sums over the window, so its rounding error scales with the largest products of the window.
//! With few channels, where padding covers most of a window, that error exceeds the tolerance of kernels; there it is
//! not a candidate.
//!
//! **Source**: Lavin & Gray 2016, arXiv:1509.09308, section 4.1.

use crate::kernel::{Dispatch, Kernel, Limits, Operand, Shader};
use crate::ops::convolution::extents::Extents;
use crate::ops::matrices::product::products;
use crate::shader;
use crate::shape::TensorType;

const FILTER: Shader = shader!("convolution/winograd_filter");
const INPUT: Shader = shader!("convolution/winograd_input");
const OUTPUT: Shader = shader!("convolution/winograd_output");

/// Scratch buffers: transformed filters, transformed tiles, and their products summed over the channels.
const FILTERS: Operand = Operand::Scratch(0);
const TILES: Operand = Operand::Scratch(1);
const SUMS: Operand = Operand::Scratch(2);
/// Elements of a transformed tile, and the number of matrix products.
const ELEMENTS: usize = 16;
/// Minimum channels for which rounding errors average out. Of random windows with one to four taps inside the image,
/// the worst of 160,000 uses 0.09 of the tolerance with 16 channels, the worst of a million 0.45 with 8; with 4 some
/// exceed it.
const MIN_CHANNELS: usize = 16;
/// Maximum scratch memory, in floats.
const MAX_SCRATCH: usize = 1 << 25;

/// Layout of the weights: strides between filters and between channels, and the WGSL expression of a tap's offset.
struct Taps {
    w_k: usize,
    w_c: usize,
    place_of: &'static str,
}

/// Extents of the products: filters by channels, channels by tiles, each padded to a multiple of four.
struct Grid {
    k: usize,
    c: usize,
    tiles: usize,
    tiles_p: usize,
    tiles_q: usize,
}

impl Grid {
    /// `None` unless the window is 3x3 with stride and dilation 1; for grouped convolutions, for few channels, and if
    /// the scratch memory exceeds its maximum.
    fn of(e: &Extents) -> Option<Self> {
        let (window, [p, q]) = (e.window, e.placed.out);
        let is_plain = window.size == [3, 3] && window.stride == [1, 1] && window.dilation == [1, 1];
        let (tiles_p, tiles_q) = (p.div_ceil(2), q.div_ceil(2).next_multiple_of(4));
        let [k, c, tiles] = [e.k, e.c, e.n * tiles_p * tiles_q].map(|extent| extent.next_multiple_of(4));
        let grid = Self { k, c, tiles, tiles_p, tiles_q };
        (is_plain && e.groups == 1 && e.c >= MIN_CHANNELS && grid.scratch() <= MAX_SCRATCH).then_some(grid)
    }

    /// Types of the scratch buffers.
    fn types(&self) -> [TensorType; 3] {
        let Self { k, c, tiles, .. } = *self;
        [[k, c], [c, tiles], [k, tiles]].map(|[rows, columns]| TensorType::f32([ELEMENTS, rows, columns]))
    }

    /// Total scratch memory, in floats.
    fn scratch(&self) -> usize {
        ELEMENTS * (self.k * self.c + self.c * self.tiles + self.k * self.tiles)
    }

    /// Whether there are enough products per transformed element, and few enough wasted outputs, for this to be faster
    /// than the subgroup kernel: measured with subgroups of eight on llvmpipe.
    fn pays(&self, e: &Extents) -> bool {
        let outputs = e.n * e.placed.out[0] * e.placed.out[1];
        self.k * self.c * self.tiles >= self.scratch() && 4 * (4 * self.tiles) <= 5 * outputs
    }
}

impl Extents {
    /// `others` plus the Winograd candidates for y from x, w and b.
    pub fn with_winograd(&self, limits: &Limits, bias: Option<Operand>, others: Vec<Kernel>) -> Vec<Kernel> {
        let operands = [Operand::Input(0), Operand::Input(1)];
        self.with_filtering(limits, &Taps { w_k: self.c * 9, w_c: 9, place_of: "tap" }, operands, bias, others)
    }

    /// [`Extents::with_winograd`] for the gradient to x.
    pub fn grad_input_with_winograd(
        &self,
        limits: &Limits,
        w: Operand,
        dy: Operand,
        bias: Option<Operand>,
        others: Vec<Kernel>,
    ) -> Vec<Kernel> {
        let taps = Taps { w_k: 9, w_c: self.c * 9, place_of: "8u - tap" };
        match self.flipped() {
            Some(flipped) => flipped.with_filtering(limits, &taps, [dy, w], bias, others),
            None => others,
        }
    }

    /// Adds the Winograd candidates. Where their speed was not measured they come last, for `lenslet tune` to find.
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

    /// The Winograd kernel around the kernel of the matrix products.
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
