//! Block size of a matrix product through workgroup memory: `shaders/common/block.wgsl`.

use crate::kernel::{Kernel, Limits, MOST_ROUNDS};

/// Number of workgroups that fill a GPU.
const TARGET_WORKGROUPS: usize = 256;
/// Minimum steps per part: another dispatch has to add the parts.
const MIN_STEPS: usize = 8;
/// Maximum number of parts.
const MAX_PARTS: usize = 64;

/// A square block, and the division of its work.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::ops) struct Block {
    /// Groups of four rows, and of four columns, per invocation.
    quads: usize,
    /// Invocations along its rows, and along its columns.
    side: usize,
    /// Terms per invocation and step.
    tile_k: usize,
    /// Groups of invocations that split the terms of a step.
    slices: usize,
    /// Workgroups that share a block, each with a range of steps.
    pub parts: usize,
    /// Steps per part.
    pub steps: usize,
}

impl Block {
    /// Available sizes in order of decreasing arithmetic intensity; the maximum slices that fit WebGPU's 16 KiB of
    /// workgroup memory; and the relative cost for the same work.
    const SIZES: [(Self, usize, f64); 3] =
        [(Self::one(2, 8, 16), 2, 1.0), (Self::one(1, 8, 16), 4, 1.4), (Self::one(1, 4, 8), 16, 2.0)];

    const fn one(quads: usize, side: usize, tile_k: usize) -> Self {
        Self { quads, side, tile_k, slices: 1, parts: 1, steps: 1 }
    }

    /// The block for `products` products of `rows` by `columns`, each element a sum of `terms`: the cheapest by a cost
    /// model that assumes it occupies the whole GPU.
    pub fn of(products: usize, rows: usize, columns: usize, terms: usize) -> Self {
        let sized = |(size, most_slices, cost): (Self, usize, f64)| {
            let mut block = size;
            let count = block.count(products, rows, columns);
            // Workgroups of equal size run concurrently: use the maximum slices, but for large problems no more than
            // there are terms, and for the largest block only until the GPU is full.
            let is_small = count < TARGET_WORKGROUPS;
            let fills = |b: &Self| b.quads > 1 && count * b.slices >= 4 * TARGET_WORKGROUPS;
            let wants_more = |b: &Self| is_small || b.depth() < terms && !fills(b);
            while block.slices < most_slices && wants_more(&block) {
                block.slices *= 2;
            }
            let steps = terms.div_ceil(block.depth());
            let parts = (TARGET_WORKGROUPS / count).min(steps / MIN_STEPS).clamp(1, MAX_PARTS);
            block.steps = steps.div_ceil(parts).min(MOST_ROUNDS / 2);
            block.parts = steps.div_ceil(block.steps);
            let idle = (TARGET_WORKGROUPS as f64 / (count * block.parts) as f64).max(1.0);
            (block, cost * idle * (count * size.extent() * size.extent()) as f64)
        };
        let [first, rest @ ..] = Self::SIZES.map(sized);
        rest.into_iter().fold(first, |best, other| if other.1 < best.1 { other } else { best }).0
    }

    /// Rows, and columns, of the block.
    fn extent(&self) -> usize {
        4 * self.quads * self.side
    }

    /// Terms per step.
    pub fn depth(&self) -> usize {
        self.slices * self.tile_k
    }

    /// Number of blocks for `products` products of `rows` by `columns`.
    pub fn count(&self, products: usize, rows: usize, columns: usize) -> usize {
        products * rows.div_ceil(self.extent()) * columns.div_ceil(self.extent())
    }

    /// Whether at most `most` outputs are computed per needed output, or the total is small enough for it not to
    /// matter.
    pub fn suits(&self, products: usize, rows: usize, columns: usize, most: usize) -> bool {
        let count = self.count(products, rows, columns);
        let outputs = count * self.extent() * self.extent();
        count < 4 * TARGET_WORKGROUPS || outputs <= most * products * rows * columns
    }

    /// The block with a single part; `None` if that exceeds the iteration limit of an invocation.
    pub fn in_one(self, terms: usize) -> Option<Self> {
        let steps = terms.div_ceil(self.depth());
        (steps <= MOST_ROUNDS).then_some(Self { parts: 1, steps, ..self })
    }

    /// Constants for the shaders.
    pub fn constants(&self) -> [(&'static str, usize); 6] {
        let Self { quads, side, tile_k, slices, steps, .. } = *self;
        [
            ("QUADS", quads),
            ("SIDE", side),
            ("SLICES", slices),
            ("INVOCATIONS", side * side * slices),
            ("TILE_K", tile_k),
            ("STEPS", steps),
        ]
    }
}

/// `others` plus the kernel of a block: first if it suits and the device prefers workgroup memory, else last.
pub(in crate::ops) fn with_block(
    block: Option<Kernel>,
    suits: bool,
    limits: &Limits,
    mut others: Vec<Kernel>,
) -> Vec<Kernel> {
    let at = if suits && limits.prefers_workgroup_memory() { 0 } else { others.len() };
    others.splice(at..at, block);
    others
}

#[cfg(test)]
mod tests {
    use super::Block;

    /// Extent, slices and parts.
    fn chosen(products: usize, rows: usize, columns: usize, terms: usize) -> [usize; 3] {
        let block = Block::of(products, rows, columns, terms);
        assert!(block.parts * block.steps * block.depth() >= terms, "{block:?} does not reach {terms}");
        [block.extent(), block.slices, block.parts]
    }

    #[test]
    fn blocks_fill_a_gpu() {
        assert_eq!(chosen(1, 4096, 4096, 4096), [64, 1, 1]);
        assert_eq!(chosen(1, 1024, 1024, 1024), [64, 2, 1]);
        assert_eq!(chosen(1, 512, 512, 512), [32, 4, 1]);
        assert_eq!(chosen(1, 64, 120, 400), [16, 16, 1]);
        assert_eq!(chosen(1, 400, 120, 64), [16, 16, 1]);
        assert_eq!(chosen(1, 64, 576, 65_536), [64, 2, 28]);
        assert_eq!(chosen(1, 2, 2, 40_001), [16, 16, 35]);
        assert_eq!(chosen(100_000, 3, 5, 2), [16, 1, 1]);
    }

    #[test]
    fn many_tiny_products_do_not_suit() {
        assert!(!Block::of(100_000, 3, 5, 2).suits(100_000, 3, 5, 4));
        assert!(Block::of(1, 1, 10, 84).suits(1, 1, 10, 4));
        assert!(Block::of(9, 300, 300, 300).suits(9, 300, 300, 4));
    }
}
