//! Training history on the GPU: one row per step, read back occasionally.
//!
//! - **Formula**: `history[step] = loss, correct, counted`, as by [`Graph::softmax_cross_entropy`] and
//!   [`Graph::count_correct`], the loss weighted if there are class weights; then `step += 1`. A step beyond the last
//!   row is not recorded.
//! - **Shapes**: history `f32[L,3]` and step `u32[1]`, both variables; logits f32 `[N,C]`, labels u32 `[N]`, weights
//!   f32 `[C]`.
//! - **Gradient**: none.
//! - **Cost**: a softmax, then sums over the rows in a fixed order.

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::losses::classes::over_classes;
use crate::ops::losses::cross_entropy::{
    CountCorrect, SoftmaxCrossEntropy, rows, rows_dispatch, weighted, weighted_rows,
};
use crate::ops::losses::softmax::{LineStrategy, line_stages};
use crate::ops::reductions::reduce::sum_to_few;
use crate::shape::TensorType;
use crate::tensor::View;
use crate::{Result, shader};

const RECORD: Shader = shader!("training/record");
const SCORE: Shader = shader!("training/score");
const SCORE_STAGED: Shader = shader!("training/score_staged");

impl Graph {
    /// Records the loss of a batch, its number of correct rows and its number of counted rows in row `step` of
    /// `history`, and advances `step`. With class weights the mean of the losses is weighted. See
    /// [`crate::ops::training::record`].
    ///
    /// Errors: a history that is not f32 `[L,3]`; a step that is not u32 `[1]`; logits that are not `[N,C]`; labels
    /// that are not u32 `[N]`; weights that are not f32 `[C]`.
    pub fn record(
        &mut self,
        history: NodeId,
        step: NodeId,
        logits: NodeId,
        labels: NodeId,
        weights: Option<NodeId>,
    ) -> Result<NodeId> {
        let mut inputs = vec![history, step, logits, labels];
        inputs.extend(weights);
        self.append(Record, &inputs)
    }
}

#[derive(Debug)]
struct Record;

fn extents(io: &Io<'_>) -> [usize; 2] {
    rows(io.inputs[2], io.inputs[3]).expect("inferred when built")
}

impl Op for Record {
    fn name(&self) -> &'static str {
        "record"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [history, step, of_batch @ ..]
                if history.shape.len() == 2
                    && **history == TensorType::f32([history.shape[0], 3])
                    && **step == TensorType::u32([1]) =>
            {
                weighted_rows(of_batch)?;
                Ok(TensorType::f32([history.shape.elements() + 1]))
            }
            _ => Err(format!(
                "takes history f32[L, 3], step u32[1], logits, labels and optional weights, found {inputs:?}"
            )),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let [history, step] = [0, 1].map(|i| inputs[i].f64());
        let (rows, next) = out.split_at_mut(history.len());
        rows.copy_from_slice(history);
        if let Some(row) = rows.chunks_mut(3).nth(step[0] as usize) {
            row.fill(0.0);
            let (loss, counts) = row.split_at_mut(1);
            SoftmaxCrossEntropy.eval(&inputs[2..], loss);
            CountCorrect.eval(&inputs[2..], counts);
        }
        next[0] = (step[0] + 1.0) % 2f64.powi(32);
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let [n, c] = extents(io);
        let logits = Operand::Input(2);
        let weights = (io.inputs.len() > 4).then_some(Operand::Input(4));
        let columns = if weights.is_some() { 4 } else { 3 };
        let kernel = |way: &LineStrategy| {
            let each = Operand::Scratch(0);
            let scratch = vec![TensorType::f32([n, columns])];
            let mut kernel = Kernel { name: SCORE.name, dispatches: vec![], scratch };
            let score =
                |shader| rows_dispatch(shader, n).constant("COLUMNS", columns).reads([logits, Operand::Input(3)]);
            match way {
                LineStrategy::Line => {
                    kernel.dispatches.push(weighted(score(SCORE).constant("C", c).writes(each), weights))
                }
                LineStrategy::Staged => {
                    kernel.name = SCORE_STAGED.name;
                    let of_rows = line_stages([n, c, 1], logits, &mut kernel);
                    let score = weighted(score(SCORE_STAGED).reads(of_rows).writes(each), weights);
                    over_classes([n, c], logits, score, &mut kernel);
                }
            }
            let (few, left) = sum_to_few([1, n, columns], each, &mut kernel);
            let record =
                Dispatch::new(RECORD).constants([("ROWS", io.inputs[0].shape[0]), ("N", left), ("COLUMNS", columns)]);
            let variables = record.writes(Operand::Input(0)).writes(Operand::Input(1));
            kernel.dispatches.push(variables.reads([few]));
            kernel
        };
        LineStrategy::candidates([n, c, 1]).iter().map(kernel).collect()
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        SoftmaxCrossEntropy.error_scale(&inputs[2..])
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let [n, c] = extents(io);
        Traits { reduction: n * c, updates: &[0, 1], ..Traits::default() }
    }
}
