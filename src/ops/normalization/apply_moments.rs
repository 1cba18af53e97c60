//! Normalization by given moments, and its gradients: the core of batch, layer, group, instance and RMS normalization.
//!
//! - **Formula**: `y = z·w[c] + b[c]` with `z = (x − μ[g]) / √(σ²[g] + ε)`, g the element's group and c its channel.
//! - **Shapes**: x any; moments `[2, groups]`; w and b `[channels]`. f32.
//! - **Gradient**: `dw = Σ dy·z` and `db = Σ dy` over a channel. If the moments are those of x,
//!   `dx = (dy·w − (Σ dy·w + z·Σ dy·w·z) / n) / √(σ² + ε)` with sums over a group of n elements (without the first sum
//!   if x is not centered); if they are fixed, `dx = dy·w / √(σ² + ε)`.
//! - **Source**: Ioffe & Szegedy 2015 (arXiv:1502.03167).
//! - **Cost**: one pass forward; one per sum and one for dx backward.

use rayon::prelude::*;

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::normalization::moments::{ELEMENTS_PER_TASK, Extents, parts, population, runs, sum_parts};
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Result, Tensor, shader};

const APPLY: Shader = shader!("normalization/apply_moments");
const GRAD: Shader = shader!("normalization/apply_moments_grad");
const SUMS: Shader = shader!("normalization/apply_moments_sums");

/// Origin of the moments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moments {
    /// Mean and variance of x.
    Own,
    /// Mean square of x, without a mean.
    OwnAboutZero,
    /// Constants that do not depend on x.
    Fixed,
}

/// The normalization of x in groups, with an affine transformation per channel. Inputs x, moments, w, b.
#[derive(Clone, Copy, Debug)]
pub(super) struct ApplyMoments {
    pub groups: Extents,
    pub channels: Extents,
    pub moments: Moments,
    pub epsilon: f32,
}

impl ApplyMoments {
    /// Checks the types of x, moments and one value per channel; the caller checks the other inputs.
    fn check(&self, inputs: &[&TensorType], expected: &str) -> Result<(), String> {
        let (groups, channels) = (TensorType::f32([2, self.groups[1]]), TensorType::f32([self.channels[1]]));
        match inputs {
            _ if !(self.epsilon > 0.0 && self.epsilon.is_finite()) => {
                Err(format!("epsilon must be finite and above 0, is {}", self.epsilon))
            }
            [x, moments, w, ..]
                if x.dtype == DType::F32
                    && x.shape.elements() == self.groups.iter().product::<usize>()
                    && x.shape.elements() == self.channels.iter().product::<usize>()
                    && **moments == groups
                    && **w == channels =>
            {
                Ok(())
            }
            _ => Err(format!("takes x f32, moments {groups}, {expected} {channels}, found {inputs:?}")),
        }
    }

    /// The group and the channel of an element.
    fn group_and_channel(&self, i: usize) -> (usize, usize) {
        (i / self.groups[2] % self.groups[1], i / self.channels[2] % self.channels[1])
    }

    /// Mean and reciprocal standard deviation of each group.
    fn scales<'a>(&self, moments: &'a [f64]) -> (&'a [f64], Vec<f64>) {
        let (means, variances) = moments.split_at(self.groups[1]);
        (means, variances.iter().map(|v| 1.0 / (v + f64::from(self.epsilon)).sqrt()).collect())
    }

    fn dispatch(&self, shader: Shader) -> Dispatch {
        Dispatch::new(shader)
            .constants([("GROUPS", self.groups[1]), ("GROUP_INNER", self.groups[2])])
            .constants([("CHANNELS", self.channels[1]), ("CHANNEL_INNER", self.channels[2])])
            .constant("EPSILON", self.epsilon)
    }

    /// The largest `(|x| + |μ|) / √(σ² + ε)`, bounded from above, and the largest `1 / √(σ² + ε)`.
    fn extremes(&self, x: &View<'_>, moments: &View<'_>) -> [f64; 2] {
        let (means, rs) = self.scales(moments.f64());
        let r = rs.iter().copied().filter(|r| r.is_finite()).fold(0.0, f64::max);
        let mean = means.iter().map(|m| m.abs()).filter(|m| m.is_finite()).fold(0.0, f64::max);
        [(x.magnitude() + mean) * r, r]
    }
}

impl Op for ApplyMoments {
    fn name(&self) -> &'static str {
        "apply_moments"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.check(inputs, "w and b each")?;
        match inputs {
            [x, _, w, b] if b == w => Ok((*x).clone()),
            _ => Err(format!("takes x, moments, w, and b of w's shape, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let [x, moments, w, b] = [0, 1, 2, 3].map(|i| inputs[i].f64());
        let (means, rs) = self.scales(moments);
        let tasks = out.par_chunks_mut(ELEMENTS_PER_TASK).zip(x.par_chunks(ELEMENTS_PER_TASK)).enumerate();
        tasks.for_each(|(task, (y, x))| {
            for (k, (y, x)) in y.iter_mut().zip(x).enumerate() {
                let (g, c) = self.group_and_channel(task * ELEMENTS_PER_TASK + k);
                *y = (x - means[g]) * rs[g] * w[c] + b[c];
            }
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let &[x, moments, w, _] = graph.node(node).inputs() else { unreachable!("inferred when built") };
        let ones = graph.constant("ones", Tensor::from_fn([self.channels[1]], |_| 1.0))?;
        let by_channel = graph.reshape(dy, self.channels)?;
        let db = graph.sum(by_channel, &[0, 2], false)?;
        let scaled = |of, times_z| Sums { by: *self, of, times_z };
        let dw = graph.append(scaled(self.channels, true), &[x, moments, ones, dy])?;
        let [sum, sum_z] = match self.moments {
            Moments::Fixed => {
                let zeros = graph.constant("zeros", Tensor::from_fn([self.groups[1]], |_| 0.0))?;
                [zeros, zeros]
            }
            Moments::Own if self.groups == self.channels => [graph.mul(db, w)?, graph.mul(dw, w)?],
            Moments::Own => {
                let inputs = [x, moments, w, dy];
                [graph.append(scaled(self.groups, false), &inputs)?, graph.append(scaled(self.groups, true), &inputs)?]
            }
            Moments::OwnAboutZero => {
                let sum_z = graph.append(scaled(self.groups, true), &[x, moments, w, dy])?;
                [sum_z, sum_z]
            }
        };
        let dx = graph.append(ApplyMomentsGrad(*self), &[x, moments, w, dy, sum, sum_z])?;
        Ok(vec![Some(dx), None, Some(dw), Some(db)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = self.dispatch(APPLY).reads_inputs(4).writes(Operand::Output);
        vec![Kernel::single(dispatch.invocations(io.output.shape.elements(), 64))]
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        let [z, _] = self.extremes(&inputs[0], &inputs[1]);
        z * inputs[2].magnitude() + inputs[3].magnitude()
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { overwrites: &[0], ..Traits::default() }
    }
}

/// Gradient to x. Inputs x, moments, w, dy, and the sums over each group of `dy·w` (unused without centering) and of
/// `dy·w·z`.
#[derive(Debug)]
struct ApplyMomentsGrad(ApplyMoments);

impl Op for ApplyMomentsGrad {
    fn name(&self) -> &'static str {
        "apply_moments_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.0.check(inputs, "w")?;
        let sums = TensorType::f32([self.0.groups[1]]);
        match inputs {
            [x, _, _, dy, sum, sum_z] if dy == x && **sum == sums && **sum_z == sums => Ok((*x).clone()),
            _ => Err(format!("takes x, moments, w, dy of x's shape, and two sums {sums}, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let [x, moments, w, dy, sum, sum_z] = [0, 1, 2, 3, 4, 5].map(|i| inputs[i].f64());
        let (means, rs) = self.0.scales(moments);
        let n = population(self.0.groups) as f64;
        let centered = if self.0.moments == Moments::OwnAboutZero { 0.0 } else { 1.0 };
        let operands = x.par_chunks(ELEMENTS_PER_TASK).zip(dy.par_chunks(ELEMENTS_PER_TASK));
        out.par_chunks_mut(ELEMENTS_PER_TASK).zip(operands).enumerate().for_each(|(task, (dx, (x, dy)))| {
            for (k, (dx, (x, dy))) in dx.iter_mut().zip(x.iter().zip(dy)).enumerate() {
                let (g, c) = self.0.group_and_channel(task * ELEMENTS_PER_TASK + k);
                let z = (x - means[g]) * rs[g];
                *dx = (dy * w[c] - (centered * sum[g] + z * sum_z[g]) / n) * rs[g];
            }
        });
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = self
            .0
            .dispatch(GRAD)
            .constant("N", population(self.0.groups))
            .constant("CENTERED", self.0.moments != Moments::OwnAboutZero)
            .reads_inputs(6)
            .writes(Operand::Output);
        vec![Kernel::single(dispatch.invocations(io.output.shape.elements(), 64))]
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        let [z, r] = self.0.extremes(&inputs[0], &inputs[1]);
        let n = population(self.0.groups) as f64;
        let [w, dy, sum, sum_z] = [2, 3, 4, 5].map(|i| inputs[i].magnitude());
        (dy * w + (sum + z * sum_z) / n) * r
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { overwrites: &[3, 0], ..Traits::default() }
    }
}

/// The sum of `dy·w`, or of `dy·w·z`, over each group of `of`. Inputs x, moments, w, dy.
#[derive(Debug)]
struct Sums {
    by: ApplyMoments,
    of: Extents,
    times_z: bool,
}

impl Op for Sums {
    fn name(&self) -> &'static str {
        "apply_moments_sums"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.by.check(inputs, "w")?;
        match inputs {
            [x, _, _, dy] if dy == x => Ok(TensorType::f32([self.of[1]])),
            _ => Err(format!("takes x, moments, w, and dy of x's shape, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let [x, moments, w, dy] = [0, 1, 2, 3].map(|i| inputs[i].f64());
        let (means, rs) = self.by.scales(moments);
        let term = |i: usize| {
            let (g, c) = self.by.group_and_channel(i);
            dy[i] * w[c] * if self.times_z { (x[i] - means[g]) * rs[g] } else { 1.0 }
        };
        let min = ELEMENTS_PER_TASK.div_ceil(population(self.of));
        out.par_iter_mut().enumerate().with_min_len(min).for_each(|(middle, sum)| {
            *sum = runs(self.of, middle).map(|run| run.map(term).sum::<f64>()).sum();
        });
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let [outer, middle, inner] = self.of;
        let parts = parts(inner);
        let part = self
            .by
            .dispatch(SUMS)
            .constants([("ROWS", outer * middle), ("INNER", inner), ("PARTS", parts)])
            .function("term", if self.times_z { "v * z" } else { "v" })
            .reads_inputs(4)
            .invocations(outer * middle * parts, 64);
        let mut kernel = Kernel { name: SUMS.name, dispatches: vec![], scratch: vec![] };
        sum_parts([outer, middle, parts], part, Operand::Output, &mut kernel);
        vec![kernel]
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        let [z, _] = self.by.extremes(&inputs[0], &inputs[1]);
        inputs[2].magnitude() * inputs[3].magnitude() * if self.times_z { z } else { 1.0 }
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { reduction: population(self.of), ..Traits::default() }
    }
}
