//! The matrix product that operations share: its extents, its loops on the CPU and its kernels.

use std::ops::Range;

use rayon::prelude::*;

use crate::kernel::{ALIGNMENT, Constant, Dispatch, Kernel, Limits, MOST_ROUNDS, Operand, Shader};
use crate::ops::loops::reference::axpy;
use crate::ops::loops::simd::{Panels, Runs, add_dots, add_rows};
use crate::ops::loops::strided::Strided;
use crate::ops::matrices::block::{Block, with_block};
use crate::shader;
use crate::shape::{DType, Shape, TensorType};
use crate::tensor::View;

const TILE: Shader = shader!("matrices/matmul_tile");
const BLOCK: Shader = shader!("matrices/matmul_block");
const SUBGROUP: Shader = shader!("matrices/matmul_subgroup");
const SUM_PARTS: Shader = shader!("matrices/matmul_sum_parts");

/// Minimum length of a part of K.
const MIN_PART: usize = 256;
/// Maximum length of K per invocation, which may also have to clear the gap before the column sums.
const MAX_PART: usize = MOST_ROUNDS - ALIGNMENT / 4;
/// Maximum ratio of computed to needed outputs of a block.
const MAX_WASTE: usize = 4;
/// Number of invocations that fill a GPU: with fewer, K is split.
const TARGET_INVOCATIONS: usize = 2048;

/// A product of matrices, or of batches of them, either operand transposed or not.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Product {
    pub transpose_a: bool,
    pub transpose_b: bool,
}

/// Transposes each of the row-major matrices `[rows, columns]`.
fn transposed(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let mut out = Vec::with_capacity(a.len());
    for a in a.chunks(rows * columns) {
        out.extend((0..rows * columns).map(|i| a[i % rows * columns + i / rows]));
    }
    out
}

/// Extents of a batched product.
pub(in crate::ops) struct Extents {
    pub output: Shape,
    /// Offsets of the matrix pairs in the operands.
    batch: Strided<2>,
    pub m: usize,
    pub k: usize,
    pub n: usize,
    /// Whether there is a bias, the third input.
    has_bias: bool,
    /// Range of the column sums of b behind c; empty unless requested.
    sums: Range<usize>,
}

impl Extents {
    /// Requests the column sums of b, behind c at the next offset to which a buffer can be bound.
    pub fn with_sums(self) -> Self {
        let start = (self.m * self.n).next_multiple_of(ALIGNMENT / 4);
        Self { sums: start..start + self.n, ..self }
    }

    /// Elements of the output.
    pub fn total(&self) -> usize {
        self.sums.end
    }

    pub fn multiply_adds(&self) -> u64 {
        (self.pairs() * self.m * self.k * self.n) as u64
    }

    /// Number of matrix pairs.
    fn pairs(&self) -> usize {
        self.batch.shape.iter().product()
    }

    /// Offsets of the matrices of each pair.
    fn starts(&self) -> Vec<[usize; 2]> {
        let mut starts = vec![];
        let [a, b] = self.batch.steps();
        self.batch.runs(|range, [first_a, first_b]| {
            starts.extend((0..range.len()).map(|i| [first_a + i * a, first_b + i * b]));
        });
        starts
    }
}

/// The leading axes, and the rows and columns of the matrix.
fn batch(shape: &Shape, operand: &str) -> Result<(Shape, [usize; 2]), String> {
    match &**shape {
        [lead @ .., rows, columns] => Ok((lead.into(), [*rows, *columns])),
        _ => Err(format!("{operand} must be a matrix or a batch of matrices, is {shape}")),
    }
}

impl Product {
    pub fn extents(&self, inputs: &[&TensorType]) -> Result<Extents, String> {
        let (a, b, bias) = match inputs {
            [a, b] => (a, b, None),
            [a, b, bias] => (a, b, Some(bias)),
            _ => return Err(format!("takes two matrices and an optional bias, found {} inputs", inputs.len())),
        };
        if [a, b].iter().any(|t| t.dtype != DType::F32) {
            return Err(format!("takes f32 matrices, found {a} and {b}"));
        }
        let ordered = |[r, c]: [usize; 2], flip| if flip { [c, r] } else { [r, c] };
        let (lead_a, matrix_a) = batch(&a.shape, "the left operand")?;
        let (lead_b, matrix_b) = batch(&b.shape, "the right operand")?;
        let [m, k] = ordered(matrix_a, self.transpose_a);
        let [bk, n] = ordered(matrix_b, self.transpose_b);
        if k != bk {
            let flipped = |t: bool| if t { " transposed" } else { "" };
            let (ta, tb) = (flipped(self.transpose_a), flipped(self.transpose_b));
            return Err(format!("inner extents differ: {k} of {}{ta} and {bk} of {}{tb}", a.shape, b.shape));
        }
        if let Some(bias) = bias
            && **bias != TensorType::f32([n])
        {
            return Err(format!("the bias of {n} outputs must be f32[{n}], is {bias}"));
        }
        let lead = Shape::broadcast(&lead_a, &lead_b)
            .map_err(|reason| format!("leading axes of {} and {}: {reason}", a.shape, b.shape))?;
        let starts = |own: &Shape, size: usize| own.broadcast_strides(&lead).iter().map(|s| s * size).collect();
        let batch = Strided::new(&lead, [starts(&lead_a, m * k), starts(&lead_b, k * n)]);
        let output: Shape = lead.iter().copied().chain([m, n]).collect::<Vec<_>>().into();
        let (elements, has_bias) = (output.elements(), bias.is_some());
        let whole = Extents { output, batch, m, k, n, has_bias, sums: elements..elements };
        if self.flattens(&lead_b) {
            // All left matrices multiply the same right matrix: a single product.
            return Ok(Extents { batch: Strided::new(&[], [vec![], vec![]]), m: m * lead.elements(), ..whole });
        }
        Ok(whole)
    }

    /// Whether the leading axes of the left operand can be merged with its rows: the right operand is a single matrix.
    pub fn flattens(&self, lead_b: &[usize]) -> bool {
        !self.transpose_a && lead_b.iter().all(|&extent| extent == 1)
    }

    /// A dispatch with the constants that all kernels of a product share: extents, strides and batch offsets.
    fn dispatch(&self, e: &Extents, shader: Shader) -> Dispatch {
        let [a_m, a_k] = if self.transpose_a { [1, e.m] } else { [e.k, 1] };
        let [b_k, b_n] = if self.transpose_b { [1, e.k] } else { [e.n, 1] };
        Dispatch::new(shader)
            .constants([("M", e.m), ("N", e.n), ("K", e.k)])
            .constants([("A_M", a_m), ("A_K", a_k), ("B_K", b_k), ("B_N", b_n)])
            .constants([("SUMS_AT", e.sums.start), ("TOTAL", e.sums.end)])
            .constants([("BATCH", e.pairs()), ("BATCH_RANK", e.batch.shape.len())])
            .constant("BATCH_SHAPE", e.batch.shape.as_slice())
            .constant("A_BATCH", e.batch.strides[0].as_slice())
            .constant("B_BATCH", e.batch.strides[1].as_slice())
            .reads_inputs(2)
    }

    /// The kernel that shares loads of a within subgroups of eight; `None` if its vec4 loads would not be aligned, or
    /// if there is only one block of work.
    fn subgroup(&self, e: &Extents, limits: &Limits) -> Option<Kernel> {
        let blocks = e.pairs() * e.m.div_ceil(16) * e.n.div_ceil(32);
        let aligned = [e.m, e.k, e.n].iter().all(|extent| extent.is_multiple_of(4));
        let fits = limits.subgroup == Some(8) && aligned && blocks > 1 && e.k / 4 <= MAX_PART;
        fits.then(|| {
            let bias = if e.has_bias { "bias_of[n / 4u]" } else { "vec4<f32>(0.0)" };
            let dispatch = self.dispatch(e, SUBGROUP).function("bias", bias).invocations(blocks, 1);
            Kernel::single(dispatch.writes(Operand::Output).reads(e.has_bias.then_some(Operand::Input(2))))
        })
    }

    /// The register-tile kernel, with K in one part or in several partial sums.
    fn tiled(&self, e: &Extents, parts: usize) -> Kernel {
        let (m, k, n, pairs) = (e.m, e.k, e.n, e.pairs());
        let (tile_m, tile_n) = (m.min(8), n.min(4));
        let tile = self
            .dispatch(e, TILE)
            .constants([("TILE_M", tile_m), ("TILE_N", tile_n), ("PARTS", parts), ("K_PART", k.div_ceil(parts))])
            .invocations(parts * pairs * m.div_ceil(tile_m) * n.div_ceil(tile_n), 64);
        let kernel = with_final_sum(e, tile, parts);
        Kernel { name: if parts == 1 { TILE.name } else { SUM_PARTS.name }, ..kernel }
    }

    /// The kernel through workgroup memory, and whether it suits these extents.
    fn block(&self, e: &Extents) -> (Kernel, bool) {
        let (m, k, n, pairs) = (e.m, e.k, e.n, e.pairs());
        // An additional row of ones computes the column sums.
        let rows = m + usize::from(!e.sums.is_empty());
        let block = Block::of(pairs, rows, n, k);
        let mut dispatch = self.dispatch(e, BLOCK).constants(block.constants()).constant("PARTS", block.parts);
        dispatch.workgroups = (block.parts * block.count(pairs, rows, n)) as u64;
        // The contiguous extent of each operand.
        let lines = [if self.transpose_a { m } else { k }, if self.transpose_b { k } else { n }];
        for (side, line) in [("A", "a"), ("B", "b")].into_iter().zip(lines) {
            let ((alias, operand), aligned) = (side, line.is_multiple_of(4));
            let quad = match aligned {
                true => format!("{operand}[at / 4u]"),
                false => {
                    let next = |j| format!("{operand}[at + min({j}u, more)]");
                    format!("vec4<f32>({operand}[at], {}, {}, {})", next(1), next(2), next(3))
                }
            };
            let of_quad = if operand == "a" { "quad_a" } else { "quad_b" };
            dispatch = dispatch.constant(alias, Constant::Type(if aligned { "vec4<f32>" } else { "f32" }));
            dispatch = dispatch.function(of_quad, quad);
        }
        (with_final_sum(e, dispatch, block.parts), block.suits(pairs, rows, n, MAX_WASTE))
    }

    /// The candidates for a product of these extents.
    pub fn candidates(&self, e: &Extents, limits: &Limits) -> Vec<Kernel> {
        let (m, k, n) = (e.m, e.k, e.n);
        let whole = (k <= MAX_PART).then(|| self.tiled(e, 1));
        let invocations = e.pairs() * m.div_ceil(8) * n.div_ceil(4);
        let parts = (TARGET_INVOCATIONS / invocations).min(k / MIN_PART).min(64).max(k.div_ceil(MAX_PART));
        let split = (parts > 1).then(|| self.tiled(e, parts));
        let tiled: Vec<Kernel> = match k >= 8 * MIN_PART {
            true => split.into_iter().chain(whole).collect(),
            false => whole.into_iter().chain(split).collect(),
        };
        let (block, suits) = self.block(e);
        with_block(Some(block), suits, limits, self.subgroup(e, limits).into_iter().chain(tiled).collect())
    }

    /// The products in f64: `out` holds zeros.
    pub fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let types: Vec<_> = inputs.iter().map(|v| TensorType::f32(v.shape.clone())).collect();
        let e = self.extents(&types.iter().collect::<Vec<_>>()).expect("inferred when built");
        let (m, k, n) = (e.m, e.k, e.n);
        let (mut a, mut b) = (inputs[0].f64(), inputs[1].f64());
        let (straight_a, straight_b);
        if self.transpose_a {
            straight_a = transposed(a, k, m);
            a = &straight_a;
        }
        if self.transpose_b {
            straight_b = transposed(b, n, k);
            b = &straight_b;
        }
        let starts = e.starts();
        out.par_chunks_mut(n).enumerate().for_each(|(row, c)| {
            let [a0, b0] = starts[row / m];
            let (a, b) = (&a[a0 + row % m * k..][..k], &b[b0..][..k * n]);
            if let Some(bias) = inputs.get(2) {
                c.copy_from_slice(bias.f64());
            }
            for (a, b) in a.iter().zip(b.chunks(n)) {
                axpy(c, *a, b, 0, 1);
            }
        });
    }

    /// The products in f32; `false` where there is no such path.
    pub fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        if self.transpose_a && self.transpose_b {
            return false;
        }
        let types: Vec<_> = inputs.iter().map(|v| TensorType::f32(v.shape.clone())).collect();
        let e = self.extents(&types.iter().collect::<Vec<_>>()).expect("inferred when built");
        let (m, k, n) = (e.m, e.k, e.n);
        let (a, b) = (inputs[0].f32(), inputs[1].f32());
        let every = |step: usize, count: usize| (0..count).map(|i| i * step).collect::<Vec<_>>();
        let (b_at, c_at) =
            (every(if self.transpose_b { k } else { n }, if self.transpose_b { n } else { k }), every(n, m));
        // Enough parts for many cores, each of whole panels.
        let rows = m.div_ceil(16).clamp(6, 48);
        out.par_chunks_mut(m * n).zip(e.starts()).for_each(|(c, [a0, b0])| {
            let b = &b[b0..][..k * n];
            c.par_chunks_mut(rows * n).enumerate().for_each(|(part, c)| {
                let (first, rows) = (part * rows, c.len() / n);
                match inputs.get(2) {
                    Some(bias) => c.chunks_mut(n).for_each(|c| c.copy_from_slice(bias.f32())),
                    None => c.fill(0.0),
                }
                if self.transpose_b {
                    let a = Runs { data: &a[a0 + first * k..], starts: &every(k, rows), image: 0 };
                    return add_dots(a, Runs { data: b, starts: &b_at, image: 0 }, 1, k, c);
                }
                let [begin, row, column] = if self.transpose_a { [first, 1, m] } else { [first * k, k, 1] };
                let panels = Panels::new(&a[a0 + begin..], [rows, k], [row, column]);
                add_rows(&panels, b, &b_at, n, c, &c_at[..rows]);
            });
        });
        true
    }
}

/// The preferred kernel for the product of matrices `[B,M,K]` and `[B,K,N]`.
pub(in crate::ops) fn products([a, b, _]: &[TensorType; 3], limits: &Limits) -> Kernel {
    let product = Product { transpose_a: false, transpose_b: false };
    let extents = product.extents(&[a, b]).expect("matrices of fitting extents");
    product.candidates(&extents, limits).swap_remove(0)
}

/// The kernel of `dispatch`, which writes partial sums over `parts` of K, plus a dispatch that adds them if there are
/// several. The last dispatch adds the bias.
fn with_final_sum(e: &Extents, dispatch: Dispatch, parts: usize) -> Kernel {
    let finish = |dispatch: Dispatch| {
        let bias = if e.has_bias { "bias_of[n]" } else { "0.0" };
        dispatch.function("bias", bias).writes(Operand::Output).reads(e.has_bias.then_some(Operand::Input(2)))
    };
    if parts == 1 {
        return Kernel::single(finish(dispatch));
    }
    let name = dispatch.shader.name;
    let partial = dispatch.function("bias", "0.0").writes(Operand::Scratch(0));
    let sum = Dispatch::new(SUM_PARTS)
        .constants([("N", e.n), ("PARTS", parts)])
        .invocations(e.total(), 64)
        .reads([Operand::Scratch(0)]);
    Kernel { name, dispatches: vec![partial, finish(sum)], scratch: vec![TensorType::f32([parts, e.total()])] }
}
