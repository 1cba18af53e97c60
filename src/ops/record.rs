//! The history of a run, kept on the GPU: one row a step, read back now and then.
//!
//! **What**: `history[step] = values`, then `step += 1`; a step past the last row is not recorded · **Shapes**: history
//! `f32[L,V]` and step `u32[1]`, both variables; values: scalars and vectors with V elements in all · **Gradient**: none.

use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::shader;
use crate::shape::TensorType;
use crate::tensor::View;

const RECORD: Shader = shader!("record");

impl Graph {
    /// Writes a loss (scalar) and two counts to the row of `history` that `step` names, and advances `step`.
    pub fn record(&mut self, history: NodeId, step: NodeId, loss: NodeId, counts: NodeId) -> Result<NodeId> {
        self.append(Record, &[history, step, loss, counts])
    }
}

#[derive(Debug)]
struct Record;

impl Op for Record {
    fn name(&self) -> &'static str {
        "record"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [history, step, loss, counts]
                if history.shape.len() == 2
                    && **history == TensorType::f32([history.shape[0], 3])
                    && **step == TensorType::u32([1])
                    && **loss == TensorType::f32([])
                    && **counts == TensorType::f32([2]) =>
            {
                Ok(TensorType::f32([history.shape.elements() + 1]))
            }
            _ => Err(format!("takes history f32[L, 3], step u32[1], loss f32[], counts f32[2], found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let [history, step, loss, counts] = [0, 1, 2, 3].map(|i| inputs[i].f64());
        let (rows, next) = out.split_at_mut(history.len());
        rows.copy_from_slice(history);
        let row = step[0] as usize;
        if let Some(row) = rows.chunks_mut(3).nth(row) {
            row.copy_from_slice(&[loss[0], counts[0], counts[1]]);
        }
        next[0] = (step[0] + 1.0) % 2f64.powi(32);
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(RECORD)
            .constant("ROWS", io.inputs[0].shape[0])
            .writes(Operand::Input(0))
            .writes(Operand::Input(1))
            .reads([Operand::Input(2), Operand::Input(3)]);
        vec![Kernel::single(dispatch)]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { updates: &[0, 1], ..Traits::default() }
    }
}
