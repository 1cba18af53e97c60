//! Dropout: sets random elements, or whole channels, to zero during training.
//!
//! - **Formula**: `y[i] = x[i] / (1 − p)` where the 32 random bits of i's unit are at least `p·2³²`, else 0, so that
//!   the expectation is x. A unit is an element, or (spatial dropout) one channel of one image. The bits are word
//!   `u mod 4` of Philox4x32-10 with the counter `(u div 4, step, stream, 0)` and the seed as key: integers only, so
//!   all devices draw the same mask, and no mask is stored for the backward pass.
//! - **Shapes**: any, kept; spatial: `[N, C, ..]`. f32; step `u32[1]`.
//! - **Gradient**: dy with the same mask.
//! - **Errors**: p outside `[0, 1)`.
//! - **Cost**: one pass over memory.
//! - **Source**: Srivastava et al. 2014; spatial: Tompson et al. 2015 (arXiv:1411.4280), section 3.2; generator: Salmon
//!   et al. 2011, *Parallel random numbers: as easy as 1, 2, 3*.

use rayon::prelude::*;

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::training::random::philox;
use crate::shape::{DType, Shape, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

const DROPOUT: Shader = shader!("training/dropout");

impl Graph {
    /// Dropout: sets each element of `x` to zero with probability `p` and multiplies the others by `1 / (1 − p)`. The
    /// mask depends on `step` (`u32[1]`, see [`Graph::clock`]), on `seed` and on the number of the node in the graph.
    /// For training only: evaluation uses `x` itself.
    ///
    /// Errors: `p` outside `[0, 1)`; a step that is not `u32[1]`.
    pub fn dropout(&mut self, x: NodeId, step: NodeId, p: f32, seed: u64) -> Result<NodeId> {
        self.append(Dropout { p, spatial: false, seed, stream: self.len() as u32 }, &[x, step])
    }

    /// Spatial dropout: [`Graph::dropout`] by whole channels of `x` `[N, C, ..]`; all elements of one channel of one
    /// image share one random number.
    ///
    /// Errors: as [`Graph::dropout`]; fewer than two axes.
    pub fn spatial_dropout(&mut self, x: NodeId, step: NodeId, p: f32, seed: u64) -> Result<NodeId> {
        self.append(Dropout { p, spatial: true, seed, stream: self.len() as u32 }, &[x, step])
    }
}

/// Dropout. It is linear in x and uses one mask both ways, so it is its own gradient.
#[derive(Clone, Debug)]
struct Dropout {
    p: f32,
    spatial: bool,
    seed: u64,
    /// Number of the node in the graph, so that two layers draw different masks.
    stream: u32,
}

impl Dropout {
    /// Elements per unit.
    fn plane(&self, x: &Shape) -> usize {
        if self.spatial { x[2..].iter().product() } else { 1 }
    }

    /// Smallest random number that keeps a unit.
    fn threshold(&self) -> u32 {
        (f64::from(self.p) * 2f64.powi(32)) as u32
    }

    /// Random bits of the units `4·block` to `4·block + 3`.
    fn words(&self, block: u32, step: u32) -> [u32; 4] {
        philox([block, step, self.stream, 0], [self.seed as u32, (self.seed >> 32) as u32])
    }
}

/// Elements per CPU task: a multiple of four, so that every task starts at a block of random bits.
const ELEMENTS_PER_TASK: usize = 4096;

impl Op for Dropout {
    fn name(&self) -> &'static str {
        if self.spatial { "spatial_dropout" } else { "dropout" }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let x = match inputs {
            _ if !(0.0..1.0).contains(&self.p) => {
                return Err(format!("p must be at least 0 and below 1, is {}", self.p));
            }
            [x, step] if x.dtype == DType::F32 && **step == TensorType::u32([1]) => x,
            _ => return Err(format!("takes an f32 tensor and a step u32[1], found {inputs:?}")),
        };
        match self.spatial && x.shape.len() < 2 {
            true => Err(format!("x must be [N, C, ..], is {}", x.shape)),
            false => Ok((*x).clone()),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (x, step) = (inputs[0].f64(), inputs[1].f64()[0] as u32);
        let (plane, threshold, scale) =
            (self.plane(inputs[0].shape), self.threshold(), 1.0 / (1.0 - f64::from(self.p)));
        let tasks = out.par_chunks_mut(ELEMENTS_PER_TASK).zip(x.par_chunks(ELEMENTS_PER_TASK)).enumerate();
        tasks.for_each(|(task, (y, x))| {
            let mut drawn = (u32::MAX, [0; 4]);
            for (i, (y, x)) in (task * ELEMENTS_PER_TASK..).zip(y.iter_mut().zip(x)) {
                let unit = i / plane;
                let block = (unit / 4) as u32;
                if drawn.0 != block {
                    drawn = (block, self.words(block, step));
                }
                *y = if drawn.1[unit % 4] >= threshold { scale * x } else { 0.0 };
            }
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let step = graph.node(node).inputs()[1];
        Ok(vec![Some(graph.append(self.clone(), &[dy, step])?), None])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(DROPOUT)
            .constant("PLANE", self.plane(&io.output.shape))
            .constant("THRESHOLD", self.threshold())
            .constant("SCALE", (1.0 / (1.0 - f64::from(self.p))) as f32)
            .constant("STREAM", self.stream)
            .constant("SEED_LOW", self.seed as u32)
            .constant("SEED_HIGH", (self.seed >> 32) as u32)
            .reads_inputs(2)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements().div_ceil(4), 64);
        vec![Kernel::single(dispatch)]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { overwrites: &[0], ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(op: &Dropout, shape: impl Into<Shape>, step: f64) -> Vec<f64> {
        let (shape, one) = (shape.into(), [1].into());
        let (x, mut y) = (vec![1.0; shape.elements()], vec![0.0; shape.elements()]);
        op.eval(&[View::new(&shape, &x), View::new(&one, &[step])], &mut y);
        y
    }

    #[test]
    fn the_dropped_fraction_is_p_and_the_mean_is_kept() {
        let op = Dropout { p: 0.3, spatial: false, seed: 5, stream: 2 };
        let y = drop(&op, [100, 1000], 7.0);
        let dropped = y.iter().filter(|y| **y == 0.0).count() as f64 / 1e5;
        assert!((dropped - 0.3).abs() < 0.005, "{dropped}");
        assert!((y.iter().sum::<f64>() / 1e5 - 1.0).abs() < 0.01);
        assert_eq!(y, drop(&op, [100, 1000], 7.0));
        for other in [Dropout { seed: 6, ..op.clone() }, Dropout { stream: 3, ..op.clone() }] {
            assert_ne!(y, drop(&other, [100, 1000], 7.0));
        }
        assert_ne!(y, drop(&op, [100, 1000], 8.0));
    }

    #[test]
    fn spatial_dropout_drops_whole_channels() {
        let op = Dropout { p: 0.5, spatial: true, seed: 1, stream: 0 };
        let y = drop(&op, [8, 16, 3, 5], 0.0);
        assert!(y.chunks(15).all(|plane| plane.iter().all(|v| v == &plane[0])));
        let dropped = y.chunks(15).filter(|plane| plane[0] == 0.0).count();
        assert!((32..96).contains(&dropped), "{dropped} of 128");
    }

    #[test]
    fn options_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([3])).unwrap();
        let step = graph.input("step", TensorType::u32([1])).unwrap();
        let error = graph.dropout(x, step, 1.0, 1).unwrap_err().to_string();
        assert!(error.contains("dropout: p must be at least 0 and below 1, is 1"), "{error}");
        assert!(graph.dropout(x, step, f32::NAN, 1).is_err());
        assert!(graph.dropout(x, x, 0.5, 1).unwrap_err().to_string().contains("a step u32[1]"));
        assert!(graph.spatial_dropout(x, step, 0.5, 1).unwrap_err().to_string().contains("x must be [N, C, ..]"));
    }
}
