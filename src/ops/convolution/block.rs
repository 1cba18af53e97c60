//! Convolutions as matrix products through workgroup memory: forward, backward to the weights, and for strides of 1
//! backward to the input. For GPUs; they take no groups.

use std::ops::Range;

use crate::kernel::{Kernel, Operand, Shader};
use crate::ops::convolution::extents::{Extents, MOST_PARTIAL, add_bias, sum_parts};
use crate::ops::matrices::block::Block;
use crate::shader;

const BLOCK: Shader = shader!("convolution/conv2d_block");
const GRAD_WEIGHT: Shader = shader!("convolution/conv2d_grad_weight_block");

/// Most places of y a block may compute for each that is wanted: the direct kernel, which computes no others, is faster then.
const MOST_FOR_ONE: usize = 2;
/// Fewest channels of which fours are worth it.
const FEWEST_CHANNELS: usize = 4;

impl Extents {
    /// The kernel for y of x, w and b; `None` for groups and for few channels.
    pub fn block(&self, bias: Option<Operand>) -> Option<Kernel> {
        let plane = self.window.size[0] * self.window.size[1];
        self.product([self.group_c * plane, plane], "tap", [Operand::Input(0), Operand::Input(1)], bias)
    }

    /// As [`Extents::block`], for the gradient to x. `None` also where windows skip elements or lie outside.
    pub fn grad_input_block(&self, w: Operand, dy: Operand, bias: Option<Operand>) -> Option<Kernel> {
        let plane = self.window.size[0] * self.window.size[1];
        self.turned()?.product([plane, self.group_c * plane], "R * S - 1u - tap", [dy, w], bias)
    }

    /// The kernel for the gradient to w, and perhaps a bias, of x and dy; `None` for groups.
    pub fn grad_weight_block(&self, bias: &Range<usize>) -> Option<Kernel> {
        let [p, q] = self.placed.out;
        let (columns, terms) = (self.taps() + usize::from(!bias.is_empty()), self.n * p * q.next_multiple_of(4));
        let block = Block::of(1, self.k, columns, terms);
        let parts = block.parts;
        let mut partial = self
            .grad_weight_dispatch(GRAD_WEIGHT, bias)
            .constant("IS_INSIDE", self.lies_inside())
            .constants(block.constants())
            .constant("PARTS", parts)
            .reads_inputs(2)
            .writes(if parts == 1 { Operand::Output } else { Operand::Scratch(0) });
        partial.workgroups = (parts * block.count(1, self.k, columns)) as u64;
        let fits = self.groups == 1 && parts.saturating_mul(bias.end) <= MOST_PARTIAL;
        fits.then(|| sum_parts(Kernel::single(partial), parts, bias.end))
    }

    /// The kernel with these distances between the weights of neighbouring filters and channels, and this place of
    /// a tap among the weights of both.
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
        // An invocation has four neighbouring places.
        let taps = self.pooling.size[0] * self.pooling.size[1];
        let fits = self.groups == 1
            && self.c >= FEWEST_CHANNELS
            && block.suits(1, self.k, places, MOST_FOR_ONE)
            && 4usize.is_multiple_of(taps);
        let mut dispatch = self
            .dispatch(BLOCK)
            .constants([("W_K", w_k), ("W_C", w_c), ("TAPS", taps), ("WINDOWS", 4 / taps)])
            .constant("IS_INSIDE", self.lies_inside())
            .constants(block.constants())
            .function("place_of", place_of)
            .reads(operands)
            .writes(Operand::Output);
        dispatch.workgroups = block.count(1, self.k, places) as u64;
        fits.then(|| self.pool_kernel(add_bias(Kernel::single(dispatch), bias.map(|bias| (bias, "b[k]")))))
    }
}
