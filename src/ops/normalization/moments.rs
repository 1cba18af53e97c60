//! Mean and variance of groups of elements, and their running averages.
//!
//! - **Formula**: `μ = Σ x / n`, `σ² = Σ (x − μ)² / n` over the n elements of each group (biased; about 0 instead of μ
//!   without centering); running averages `r ← (1 − m)·r + m·(μ, σ²·n/(n − 1))` (unbiased, as PyTorch).
//! - **Shapes**: x as `[outer, groups, inner]`, where a group is all its outer and inner elements; output
//!   `[2, groups]`, the means (0 without centering), then the variances. f32.
//! - **Range**: a variance beyond the largest f32 (standard deviation of about 1.8e19) is infinite; the sum of a group
//!   must be finite.
//! - **Gradient**: none here; see [`crate::ops::normalization::apply_moments`].
//! - **Cost**: two passes over x, by one invocation per group or by partial sums of 64.

use rayon::prelude::*;

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::losses::softmax::LineStrategy;
use crate::ops::reductions::reduce::{MAX_COMBINED, sum_stages};
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

const DIRECT: Shader = shader!("normalization/moments_direct");
const SQUARES: Shader = shader!("normalization/moments_squares");
const STAGED: Shader = shader!("normalization/moments_staged");
const TRACK: Shader = shader!("normalization/track_moments");

/// A tensor's elements as `[outer, middle, inner]`: the middle index of an element is its group, or its channel.
pub(in crate::ops) type Extents = [usize; 3];

/// Elements per group.
pub(super) fn population([outer, _, inner]: Extents) -> usize {
    outer * inner
}

/// The index ranges of one group.
pub(in crate::ops) fn runs(
    [outer, middle, inner]: Extents,
    group: usize,
) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..outer).map(move |o| (o * middle + group) * inner).map(move |first| first..first + inner)
}

/// Approximate number of elements per CPU task.
pub(in crate::ops) const ELEMENTS_PER_TASK: usize = 4096;

/// Number of partial sums of a row if invocations sum up to [`MAX_COMBINED`] values each.
pub(in crate::ops) fn parts(inner: usize) -> usize {
    inner.div_ceil(MAX_COMBINED)
}

/// Appends the dispatches that sum `from` over the outer and inner axes, where their extent exceeds 1, into `output`.
fn sum_outer_and_inner([outer, middle, inner]: Extents, from: Operand, output: Operand, kernel: &mut Kernel) {
    let mut from = from;
    if inner > 1 {
        let mut rows = output;
        if outer > 1 {
            rows = Operand::Scratch(kernel.scratch.len());
            kernel.scratch.push(TensorType::f32([outer, middle]));
        }
        kernel.dispatches.extend(sum_stages([outer * middle, inner, 1], from, rows, &mut kernel.scratch));
        from = rows;
    }
    if outer > 1 {
        kernel.dispatches.extend(sum_stages([1, outer, middle], from, output, &mut kernel.scratch));
    }
}

/// Appends `part`, which writes partial sums `[outer, middle, parts]`, and the dispatches that add them into `output`.
pub(in crate::ops) fn sum_parts([outer, middle, parts]: Extents, part: Dispatch, output: Operand, kernel: &mut Kernel) {
    if outer * parts == 1 {
        kernel.dispatches.push(part.writes(output));
        return;
    }
    let partial = Operand::Scratch(kernel.scratch.len());
    kernel.scratch.push(TensorType::f32([outer, middle, parts]));
    kernel.dispatches.push(part.writes(partial));
    sum_outer_and_inner([outer, middle, parts], partial, output, kernel);
}

impl Graph {
    /// The moments of `x`; see the module.
    pub(super) fn moments(&mut self, x: NodeId, groups: Extents, centered: bool) -> Result<NodeId> {
        self.append(Moments { groups, centered }, &[x])
    }

    /// Updates the running averages in the variable `running` `[2, C]` with `moments`, computed from n elements each.
    pub(super) fn track_moments(
        &mut self,
        running: NodeId,
        moments: NodeId,
        n: usize,
        momentum: f32,
    ) -> Result<NodeId> {
        self.append(TrackMoments { n, momentum }, &[running, moments])
    }
}

#[derive(Debug)]
struct Moments {
    groups: Extents,
    centered: bool,
}

impl Op for Moments {
    fn name(&self) -> &'static str {
        "moments"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x] if x.dtype == DType::F32 && x.shape.elements() == self.groups.iter().product::<usize>() => {
                Ok(TensorType::f32([2, self.groups[1]]))
            }
            _ => Err(format!("takes one f32 tensor of {:?} elements, found {inputs:?}", self.groups)),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let x = inputs[0].f64();
        let n = population(self.groups);
        let (means, variances) = out.split_at_mut(self.groups[1]);
        let groups = means.par_iter_mut().zip(variances).enumerate();
        groups.with_min_len(ELEMENTS_PER_TASK.div_ceil(n)).for_each(|(group, (mean, variance))| {
            let sum = |f: &dyn Fn(&f64) -> f64| -> f64 {
                runs(self.groups, group).map(|run| x[run].iter().map(f).sum::<f64>()).sum::<f64>() / n as f64
            };
            *mean = if self.centered { sum(&|&x| x) } else { 0.0 };
            let mean = *mean;
            *variance = sum(&|x| (x - mean) * (x - mean));
            // Kernels overflow to infinity here.
            if *variance > f64::from(f32::MAX) {
                *variance = f64::INFINITY;
            }
        });
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let [outer, groups, inner] = self.groups;
        let n = population(self.groups);
        let x = Operand::Input(0);
        let dispatch = |shader| {
            let dispatch = Dispatch::new(shader).constant("GROUPS", groups).constant("CENTERED", self.centered);
            if shader == STAGED { dispatch.constant("N", n) } else { dispatch.constant("INNER", inner) }
        };
        let line = || {
            let dispatch = dispatch(DIRECT).constant("OUTER", outer).reads([x]).writes(Operand::Output);
            Kernel::single(dispatch.invocations(groups, 64))
        };
        let staged = || {
            let mut kernel = Kernel { name: STAGED.name, dispatches: vec![], scratch: vec![] };
            let totals = |kernel: &mut Kernel| {
                kernel.scratch.push(TensorType::f32([groups]));
                Operand::Scratch(kernel.scratch.len() - 1)
            };
            // Without centering there are no sums; the kernels bind x in their place and do not use it.
            let mut sums = x;
            if self.centered {
                sums = totals(&mut kernel);
                sum_outer_and_inner(self.groups, x, sums, &mut kernel);
            }
            let squares = totals(&mut kernel);
            let parts = parts(inner);
            let part = dispatch(SQUARES)
                .constants([("N", n), ("ROWS", outer * groups), ("PARTS", parts)])
                .reads([x, sums])
                .invocations(outer * groups * parts, 64);
            sum_parts([outer, groups, parts], part, squares, &mut kernel);
            let last = dispatch(STAGED).reads([sums, squares]).writes(Operand::Output);
            kernel.dispatches.push(last.invocations(groups, 64));
            kernel
        };
        let kernel = |way: &LineStrategy| if *way == LineStrategy::Line { line() } else { staged() };
        LineStrategy::candidates([groups, n, 1]).iter().map(kernel).collect()
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        inputs[0].magnitude()
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { reduction: population(self.groups), ..Traits::default() }
    }
}

/// Updates running averages. Inputs: the running averages (a variable), and the moments of this step.
#[derive(Debug)]
struct TrackMoments {
    n: usize,
    momentum: f32,
}

impl TrackMoments {
    /// Factor from the biased to the unbiased variance.
    fn correction(&self) -> f64 {
        self.n as f64 / (self.n as f64 - 1.0)
    }
}

impl Op for TrackMoments {
    fn name(&self) -> &'static str {
        "track_moments"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if self.n < 2 {
            return Err("the variance of one element is not defined: a channel needs at least two in training".into());
        }
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(format!("momentum must be from 0 to 1, is {}", self.momentum));
        }
        match inputs {
            [running, moments] if running == moments && **running == TensorType::f32([2, running.shape[1]]) => {
                Ok((*running).clone())
            }
            _ => Err(format!("takes running averages f32[2, C] and the moments of the step, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (momentum, channels) = (f64::from(self.momentum), out.len() / 2);
        for (i, (new, (old, now))) in out.iter_mut().zip(inputs[0].f64().iter().zip(inputs[1].f64())).enumerate() {
            let now = if i < channels { *now } else { now * self.correction() };
            *new = (1.0 - momentum) * old + momentum * now;
        }
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(TRACK)
            .constant("MOMENTUM", self.momentum)
            .constant("CORRECTION", self.correction() as f32)
            .writes(Operand::Input(0))
            .reads([Operand::Input(1)])
            .invocations(io.inputs[0].shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        inputs[0].magnitude().max(inputs[1].magnitude())
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { updates: &[0], ..Traits::default() }
    }
}
