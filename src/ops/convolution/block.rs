//! Convolution as tiled matrix products through workgroup memory: forward, gradient to the weights, and gradient to the
//! input for a stride of 1. Written for hardware GPUs; grouped convolutions are not supported.

use std::ops::Range;

use crate::kernel::{Kernel, Operand, Shader};
use crate::ops::convolution::extents::{Extents, MAX_PARTIAL, add_bias, sum_parts};
use crate::ops::matrices::block::Block;
use crate::shader;

const BLOCK: Shader = shader!("convolution/conv2d_block");
const GRAD_WEIGHT: Shader = shader!("convolution/conv2d_grad_weight_block");

/// Maximum ratio of computed to needed output positions of a tile: beyond it the direct kernel, which wastes none, is
/// faster.
const MAX_WASTE: usize = 2;
/// Minimum number of input channels for which loads of four channels at a time pay off.
const MIN_CHANNELS: usize = 4;

impl Extents {
    /// The kernel for y from x, w and b; `None` for grouped convolutions and for few channels.
    pub fn block(&self, bias: Option<Operand>) -> Option<Kernel> {
        let plane = self.window.size[0] * self.window.size[1];
        self.product([self.group_c * plane, plane], "tap", [Operand::Input(0), Operand::Input(1)], bias)
    }

    /// The kernel for the gradient to x; `None` as for [`Extents::block`] and [`Extents::flipped`].
    pub fn grad_input_block(&self, w: Operand, dy: Operand, bias: Option<Operand>) -> Option<Kernel> {
        let plane = self.window.size[0] * self.window.size[1];
        self.flipped()?.product([plane, self.group_c * plane], "R * S - 1u - tap", [dy, w], bias)
    }

    /// The kernel for the gradient to w, and optionally the bias, from x and dy; `None` for grouped convolutions.
    pub fn grad_weight_block(&self, bias: &Range<usize>) -> Option<Kernel> {
        let [p, q] = self.placed.out;
        let (columns, terms) = (self.taps() + usize::from(!bias.is_empty()), self.n * p * q.next_multiple_of(4));
        let block = Block::of(1, self.k, columns, terms);
        let parts = block.parts;
        let mut partial = self
            .grad_weight_dispatch(GRAD_WEIGHT, bias)
            .constant("IS_INSIDE", self.is_inside())
            .constants(block.constants())
            .constant("PARTS", parts)
            .reads_inputs(2)
            .writes(if parts == 1 { Operand::Output } else { Operand::Scratch(0) });
        partial.workgroups = (parts * block.count(1, self.k, columns)) as u64;
        let fits = self.groups == 1 && parts.saturating_mul(bias.end) <= MAX_PARTIAL;
        fits.then(|| sum_parts(Kernel::single(partial), parts, bias.end))
    }

    /// The kernel for a convolution whose weights have these strides between filters and between channels; `place_of`
    /// is the WGSL expression of a tap's offset within one filter and channel.
    fn product(
        &self,
        [w_k, w_c]: [usize; 2],
        place_of: &str,
        operands: [Operand; 2],
        bias: Option<Operand>,
    ) -> Option<Kernel> {
        let places = self.n * self.placed.out[0] * self.placed.out[1];
        let terms = self.window.size[0] * self.window.size[1] * self.group_c.next_multiple_of(4);
        let block = Block::of(1, self.k, places, terms).in_one(terms)?;
        // Each invocation computes four adjacent output positions.
        let taps = self.pooling.size[0] * self.pooling.size[1];
        let fits = self.groups == 1
            && self.c >= MIN_CHANNELS
            && block.suits(1, self.k, places, MAX_WASTE)
            && 4usize.is_multiple_of(taps);
        let mut dispatch = self
            .dispatch(BLOCK)
            .constants([("W_K", w_k), ("W_C", w_c), ("TAPS", taps), ("WINDOWS", 4 / taps)])
            .constant("IS_INSIDE", self.is_inside())
            .constants(block.constants())
            .function("place_of", place_of)
            .reads(operands)
            .writes(Operand::Output);
        dispatch.workgroups = block.count(1, self.k, places) as u64;
        fits.then(|| self.pool_kernel(add_bias(Kernel::single(dispatch), bias.map(|bias| (bias, "b[k]")))))
    }
}
