//! Which block of a matrix product a workgroup computes through workgroup memory: `shaders/common/block.wgsl`.

use crate::kernel::{Kernel, Limits, MOST_ROUNDS};

/// Workgroups that fill a GPU.
const ENOUGH_WORKGROUPS: usize = 256;
/// Fewest steps worth a part of their own, whose sums another dispatch has to add.
const FEWEST_STEPS: usize = 8;
/// Most parts.
const MOST_PARTS: usize = 64;

/// A square block, and how its work is divided.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::ops) struct Block {
    /// Quads of rows, and of columns, of one invocation.
    quads: usize,
    /// Invocations along its rows, and along its columns.
    side: usize,
    /// Terms of one invocation in one step.
    tile_k: usize,
    /// Groups of invocations that split the terms of a step.
    slices: usize,
    /// Workgroups, each with a run of steps, that share a block.
    pub parts: usize,
    /// Steps of each.
    pub steps: usize,
}

impl Block {
    /// The sizes there are, from the one that computes most for each element it loads; the most slices whose terms
    /// and sums fit WebGPU's 16 KiB; and what they cost, the first one's being 1, for the same work.
    const SIZES: [(Self, usize, f64); 3] =
        [(Self::one(2, 8, 16), 2, 1.0), (Self::one(1, 8, 16), 4, 1.4), (Self::one(1, 4, 8), 16, 2.0)];

    const fn one(quads: usize, side: usize, tile_k: usize) -> Self {
        Self { quads, side, tile_k, slices: 1, parts: 1, steps: 1 }
    }

    /// The block for so many products of `rows` by `columns`, each of them a sum of `terms`: the cheapest if all of a
    /// GPU works on it.
    pub fn of(products: usize, rows: usize, columns: usize, terms: usize) -> Self {
        let sized = |(size, most_slices, cost): (Self, usize, f64)| {
            let mut block = size;
            let count = block.count(products, rows, columns);
            // Workgroups of one size can run side by side: most slices, but where there is much to do no more than there
            // are terms for, and of the largest block only as many as fill a GPU.
            let is_small = count < ENOUGH_WORKGROUPS;
            let fills = |b: &Self| b.quads > 1 && count * b.slices >= 4 * ENOUGH_WORKGROUPS;
            let wants_more = |b: &Self| is_small || b.depth() < terms && !fills(b);
            while block.slices < most_slices && wants_more(&block) {
                block.slices *= 2;
            }
            let steps = terms.div_ceil(block.depth());
            let parts = (ENOUGH_WORKGROUPS / count).min(steps / FEWEST_STEPS).clamp(1, MOST_PARTS);
            block.steps = steps.div_ceil(parts).min(MOST_ROUNDS / 2);
            block.parts = steps.div_ceil(block.steps);
            let idle = (ENOUGH_WORKGROUPS as f64 / (count * block.parts) as f64).max(1.0);
            (block, cost * idle * (count * size.extent() * size.extent()) as f64)
        };
        let [first, rest @ ..] = Self::SIZES.map(sized);
        rest.into_iter().fold(first, |best, other| if other.1 < best.1 { other } else { best }).0
    }

    /// Rows, and columns, of the block.
    fn extent(&self) -> usize {
        4 * self.quads * self.side
    }

    /// Terms of a step.
    pub fn depth(&self) -> usize {
        self.slices * self.tile_k
    }

    /// Blocks of so many products of `rows` by `columns`.
    pub fn count(&self, products: usize, rows: usize, columns: usize) -> usize {
        products * rows.div_ceil(self.extent()) * columns.div_ceil(self.extent())
    }

    /// Whether at most so many outputs are computed for each that is wanted, or there are so few that it does not matter.
    pub fn suits(&self, products: usize, rows: usize, columns: usize, most: usize) -> bool {
        let count = self.count(products, rows, columns);
        let outputs = count * self.extent() * self.extent();
        count < 4 * ENOUGH_WORKGROUPS || outputs <= most * products * rows * columns
    }

    /// The same block in one part. `None` if an invocation would take too long.
    pub fn in_one(self, terms: usize) -> Option<Self> {
        let steps = terms.div_ceil(self.depth());
        (steps <= MOST_ROUNDS).then_some(Self { parts: 1, steps, ..self })
    }

    /// What the shaders call it.
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

/// The candidates with the kernel of a block among them, where it suits: first on devices that are to take it.
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
    fn a_gpu_is_filled() {
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
    fn tiny_products_by_the_thousand_are_for_other_kernels() {
        assert!(!Block::of(100_000, 3, 5, 2).suits(100_000, 3, 5, 4));
        assert!(Block::of(1, 1, 10, 84).suits(1, 1, 10, 4));
        assert!(Block::of(9, 300, 300, 300).suits(9, 300, 300, 4));
    }
}
