//! Weighted, label-smoothed target distributions from class labels, for a cross-entropy with options.
//!
//! - **Formula**: `targets[n,c] = weights[c] · ((1 − s) · [c = labels[n]] + s / C)` with the label smoothing s; rows
//!   labeled [`IGNORE`] are 0.
//! - **Shapes**: labels u32 `[N]`, weights f32 `[C]`, targets f32 `[N,C]`.
//! - **Range**: a label that is neither a class nor [`IGNORE`] makes its row NaN, so that the fault is visible.
//! - **Gradient**: none.
//! - **Cost**: one pass over the targets.

use crate::graph::{Graph, NodeId, Op};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::losses::cross_entropy::IGNORE;
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

const CLASS_TARGETS: Shader = shader!("losses/class_targets");

impl Graph {
    /// Targets `[N,C]` of a cross-entropy from labels `[N]` and class weights `[C]`; `smoothing` of each row is
    /// distributed evenly over the classes. Rows labeled [`IGNORE`] are 0; labels that are not classes make their row
    /// NaN.
    ///
    /// Errors: labels that are not u32 `[N]`; weights that are not f32 `[C]`; a smoothing outside 0 to 1.
    pub fn class_targets(&mut self, labels: NodeId, weights: NodeId, smoothing: f32) -> Result<NodeId> {
        self.append(ClassTargets { smoothing }, &[labels, weights])
    }
}

#[derive(Debug)]
struct ClassTargets {
    smoothing: f32,
}

impl Op for ClassTargets {
    fn name(&self) -> &'static str {
        "class_targets"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            _ if !(0.0..=1.0).contains(&self.smoothing) => {
                Err(format!("the smoothing must be 0 to 1, is {}", self.smoothing))
            }
            [l, w] if l.dtype == DType::U32 && w.dtype == DType::F32 && l.shape.len() == 1 && w.shape.len() == 1 => {
                Ok(TensorType::f32([l.shape[0], w.shape[0]]))
            }
            _ => Err(format!("takes labels u32[N] and class weights f32[C], found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (labels, weights) = (inputs[0].f64(), inputs[1].f64());
        let (classes, smoothing) = (weights.len(), f64::from(self.smoothing));
        for (row, &label) in out.chunks_mut(classes).zip(labels).filter(|(_, label)| **label != f64::from(IGNORE)) {
            match row.get_mut(label as usize) {
                Some(target) => *target = 1.0 - smoothing,
                None => row.fill(f64::NAN),
            }
            row.iter_mut().zip(weights).for_each(|(q, w)| *q = w * (*q + smoothing / classes as f64));
        }
    }

    fn grad(&self, _: &mut Graph, _: NodeId, _: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![None, None])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let classes = io.output.shape[1];
        let dispatch = Dispatch::new(CLASS_TARGETS)
            .constant("C", classes)
            .constant("KEEP", 1.0 - self.smoothing)
            .constant("SHARE", self.smoothing / classes as f32)
            .constant("IGNORE", IGNORE)
            .reads_inputs(2)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }
}
