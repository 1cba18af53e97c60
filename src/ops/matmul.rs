//! Matrix products, with either side transposed without a copy, and the dense layer built on them.
//!
//! **What**: `c[m,n] = bias[n] + Σ_k a[m,k] · b[k,n]`, where a side marked transposed is stored the other way round ·
//! **Shapes**: a `[M,K]` (`[K,M]` transposed), b `[K,N]` (`[N,K]` transposed), bias `[N]`, c `[M,N]` · **Gradient**:
//! `da = dc·bᵀ`, `db = aᵀ·dc`, `dbias = Σ_m dc` · **Cost**: M·N·K multiply-adds · **Source**: Goto & van de Geijn 2008,
//! "Anatomy of High-Performance Matrix Multiplication", for the register tile.

use rayon::prelude::*;

use super::reference::axpy;
use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::shader;
use crate::shape::{DType, TensorType};
use crate::tensor::View;

const TILE: Shader = shader!("matmul_tile");
const SUM_PARTS: Shader = shader!("matmul_sum_parts");

/// Shortest part of K worth an invocation of its own.
const SHORTEST_PART: usize = 256;
/// Longest run of K in one invocation: software drivers end loops after 65,536 rounds.
const LONGEST_PART: usize = 16_384;
/// Invocations that fill a GPU: with fewer, K is split.
const ENOUGH_INVOCATIONS: usize = 2048;

impl Graph {
    /// The product of two matrices. A side marked transposed is stored `[K,M]` or `[N,K]`.
    ///
    /// Errors: an operand that is no matrix; inner extents that differ.
    pub fn matmul(&mut self, a: NodeId, b: NodeId, transpose_a: bool, transpose_b: bool) -> Result<NodeId> {
        self.append(Matmul { name: "matmul", transpose_a, transpose_b }, &[a, b])
    }

    /// The dense layer `x·w + b`: x `[N,in]`, w `[in,out]`, b `[out]` or none.
    ///
    /// Errors: as [`Graph::matmul`]; a bias of another length.
    pub fn dense(&mut self, x: NodeId, w: NodeId, b: Option<NodeId>) -> Result<NodeId> {
        let inputs: Vec<NodeId> = [x, w].into_iter().chain(b).collect();
        self.append(Matmul { name: "dense", transpose_a: false, transpose_b: false }, &inputs)
    }
}

struct Matmul {
    name: &'static str,
    transpose_a: bool,
    transpose_b: bool,
}

impl std::fmt::Debug for Matmul {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match (self.transpose_a, self.transpose_b) {
            (false, false) => "Matmul",
            (true, false) => "Matmul aᵀ·b",
            (false, true) => "Matmul a·bᵀ",
            (true, true) => "Matmul aᵀ·bᵀ",
        })
    }
}

/// `a` of `[rows, columns]` in row-major order, the other way round.
fn transposed(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..rows * columns).map(|i| a[i % rows * columns + i / rows]).collect()
}

impl Matmul {
    /// M, K, N.
    fn extents(&self, inputs: &[&TensorType]) -> Result<[usize; 3], String> {
        let (a, b, bias) = match inputs {
            [a, b] => (a, b, None),
            [a, b, bias] => (a, b, Some(bias)),
            _ => return Err(format!("takes two matrices and an optional bias, found {} inputs", inputs.len())),
        };
        if [a, b].iter().any(|t| t.dtype != DType::F32) {
            return Err(format!("takes f32 matrices, found {a} and {b}"));
        }
        let ordered = |[r, c]: [usize; 2], flip| if flip { [c, r] } else { [r, c] };
        let [m, k] = ordered(a.shape.matrix("the left operand")?, self.transpose_a);
        let [bk, n] = ordered(b.shape.matrix("the right operand")?, self.transpose_b);
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
        Ok([m, k, n])
    }

    /// The register-tile kernel, with K in one part, or in several that are summed afterwards.
    fn tiled(&self, io: &Io<'_>, parts: usize) -> Kernel {
        let [m, k, n] = self.known_extents(io);
        let (tile_m, tile_n) = (m.min(8), n.min(4));
        let [a_m, a_k] = if self.transpose_a { [1, m] } else { [k, 1] };
        let [b_k, b_n] = if self.transpose_b { [1, k] } else { [n, 1] };
        let has_bias = io.inputs.len() == 3;
        let finish = |dispatch: Dispatch| {
            let bias = if has_bias { "bias_of[n]" } else { "0.0" };
            dispatch.function("bias", bias).writes(Operand::Output).reads(has_bias.then_some(Operand::Input(2)))
        };
        let tile = Dispatch::new(TILE)
            .constants([("M", m), ("N", n), ("K", k), ("TILE_M", tile_m), ("TILE_N", tile_n)])
            .constants([("A_M", a_m), ("A_K", a_k), ("B_K", b_k), ("B_N", b_n)])
            .constants([("PARTS", parts), ("K_PART", k.div_ceil(parts))])
            .invocations(parts * m.div_ceil(tile_m) * n.div_ceil(tile_n), 64)
            .reads_inputs(2);
        if parts == 1 {
            return Kernel::single(finish(tile));
        }
        let partial = tile.function("bias", "0.0").writes(Operand::Scratch(0));
        let sum = Dispatch::new(SUM_PARTS)
            .constants([("N", n), ("PARTS", parts)])
            .invocations(m * n, 64)
            .reads([Operand::Scratch(0)]);
        let scratch = vec![TensorType::f32([parts, m, n])];
        Kernel { name: SUM_PARTS.name, dispatches: vec![partial, finish(sum)], scratch }
    }

    fn known_extents(&self, io: &Io<'_>) -> [usize; 3] {
        self.extents(&io.inputs).expect("inferred when built")
    }
}

impl Op for Matmul {
    fn name(&self) -> &'static str {
        self.name
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.extents(inputs).map(|[m, _, n]| TensorType::f32([m, n]))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let types: Vec<_> = inputs.iter().map(|v| TensorType::f32(v.shape.clone())).collect();
        let [m, k, n] = self.extents(&types.iter().collect::<Vec<_>>()).expect("inferred when built");
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
        out.par_chunks_mut(n).zip(a.par_chunks(k)).for_each(|(c, a)| {
            if let Some(bias) = inputs.get(2) {
                c.copy_from_slice(bias.f64());
            }
            for (a, b) in a.iter().zip(b.chunks(n)) {
                axpy(c, *a, b, 0, 1);
            }
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dc: NodeId) -> Result<Vec<Option<NodeId>>> {
        let inputs = graph.node(node).inputs().to_vec();
        let (a, b) = (inputs[0], inputs[1]);
        let db = match self.transpose_b {
            false => graph.matmul(a, dc, !self.transpose_a, false)?,
            true => graph.matmul(dc, a, true, self.transpose_a)?,
        };
        let dbias = inputs.get(2).map(|_| graph.sum(dc, &[0], false)).transpose()?;
        let da = match self.transpose_a {
            false => graph.matmul(dc, b, false, !self.transpose_b)?,
            true => graph.matmul(b, dc, self.transpose_b, true)?,
        };
        Ok([Some(da), Some(db)].into_iter().chain(dbias.map(Some)).collect())
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let [m, k, n] = self.known_extents(io);
        let whole = (k <= LONGEST_PART).then(|| self.tiled(io, 1));
        let invocations = m.div_ceil(8) * n.div_ceil(4);
        let parts = (ENOUGH_INVOCATIONS / invocations).min(k / SHORTEST_PART).min(64).max(k.div_ceil(LONGEST_PART));
        let split = (parts > 1).then(|| self.tiled(io, parts));
        match k >= 8 * SHORTEST_PART {
            true => split.into_iter().chain(whole).collect(),
            false => whole.into_iter().chain(split).collect(),
        }
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let [m, k, n] = self.known_extents(io);
        Traits {
            reduction: k + 1,
            multilinear: true,
            takes_epilogue: true,
            multiply_adds: (m * k * n) as u64,
            ..Traits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_extents_must_agree() {
        let mut graph = Graph::new();
        let a = graph.input("a", TensorType::f32([3, 5])).unwrap();
        let b = graph.input("b", TensorType::f32([7, 5])).unwrap();
        let c = graph.matmul(a, b, false, true).unwrap();
        assert_eq!(**graph.shape(c), [3, 7]);
        let error = graph.matmul(a, b, false, false).unwrap_err().to_string();
        assert!(error.contains("5 of [3, 5] and 7 of [7, 5]"), "{error}");
        let error = graph.dense(a, b, Some(b)).unwrap_err().to_string();
        assert!(error.contains("inner extents"), "{error}");
    }
}
