//! Confusion matrix on the GPU: accumulated batch by batch, read back at the end.
//!
//! - **Formula**: for each row whose label `l` is a class, adds 1 to `tally[l, g]`, where g is the argmax of the logits
//!   (the first of equals), and adds 1 to `tally[l, C+1]` if fewer than [`TOP`] classes rank before l. A row with NaN
//!   adds 1 to `tally[l, C]` only.
//! - **Shapes**: tally `u32[C,C+2]`, a variable; logits `f32[N,C]`; labels `u32[N]`.
//! - **Range**: counts are exact and wrap at 2³².
//! - **Gradient**: none.
//! - **Cost**: one pass over the logits and two atomic additions per row, of integers, whose order does not matter.

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, MOST_ROUNDS, Operand, Shader};
use crate::ops::losses::cross_entropy::{largest, rows};
use crate::shape::TensorType;
use crate::tensor::View;
use crate::{Result, shader};

const TALLY: Shader = shader!("training/tally");

/// The k of top-k accuracy.
pub const TOP: usize = 5;

impl Graph {
    /// Adds the predictions of `logits` for `labels` to the confusion matrix `tally`. See
    /// [`crate::ops::training::tally`].
    ///
    /// Errors: logits that are not `[N,C]`; labels that are not u32 `[N]`; a tally that is not u32 `[C,C+2]`; more than
    /// 12,000 classes.
    pub fn tally(&mut self, tally: NodeId, logits: NodeId, labels: NodeId) -> Result<NodeId> {
        self.append(Tally, &[tally, logits, labels])
    }
}

#[derive(Debug)]
struct Tally;

impl Op for Tally {
    fn name(&self) -> &'static str {
        "tally"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [tally, logits, labels] = inputs else {
            return Err(format!("takes a tally, logits and labels, found {inputs:?}"));
        };
        let [_, c] = rows(logits, labels)?;
        match **tally == TensorType::u32([c, c + 2]) {
            _ if c > MOST_ROUNDS => Err(format!("takes at most {MOST_ROUNDS} classes, found {c}")),
            true => Ok((*tally).clone()),
            false => Err(format!("the tally of {c} classes must be u32[{c}, {}], is {tally}", c + 2)),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let c = inputs[1].shape[1];
        out.copy_from_slice(inputs[0].f64());
        for (x, &label) in inputs[1].f64().chunks(c).zip(inputs[2].f64()) {
            let label = label as usize;
            let Some(&own) = x.get(label) else { continue };
            let counts = &mut out[label * (c + 2)..][..c + 2];
            let mut add = |column: usize| counts[column] = (counts[column] + 1.0) % 2f64.powi(32);
            if x.iter().any(|v| v.is_nan()) {
                add(c);
                continue;
            }
            add(largest(x).0);
            let before = x.iter().enumerate().filter(|&(k, &v)| v > own || (v == own && k < label)).count();
            if before < TOP {
                add(c + 1);
            }
        }
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let [n, c] = rows(io.inputs[1], io.inputs[2]).expect("inferred when built");
        let dispatch = Dispatch::new(TALLY)
            .constants([("N", n), ("C", c), ("TOP", TOP)])
            .writes(Operand::Input(0))
            .reads([Operand::Input(1), Operand::Input(2)])
            .invocations(n, 64);
        vec![Kernel::single(dispatch)]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { updates: &[0], ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_of_the_tally_is_checked() {
        let mut graph = Graph::new();
        let logits = graph.input("logits", TensorType::f32([4, 3])).unwrap();
        let labels = graph.input("labels", TensorType::u32([4])).unwrap();
        let [right, wrong] = [5, 3].map(|columns| graph.variable("tally", TensorType::u32([3, columns])).unwrap());
        assert!(graph.tally(right, logits, labels).is_ok());
        let error = graph.tally(wrong, logits, labels).unwrap_err().to_string();
        assert!(error.contains("the tally of 3 classes must be u32[3, 5], is u32[3, 3]"), "{error}");
    }

    #[test]
    fn ties_go_to_the_first_class_and_nan_to_none() {
        let logits = [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, f64::NAN, 1.0, 1.0, 1.0, 1.0, 1.0];
        let labels = [5.0, 4.0, 0.0];
        let (matrix, rows, counts) = ([3, 6].into(), [3].into(), [6, 8].into());
        let (logits, labels) = (View::new(&matrix, &logits), View::new(&rows, &labels));
        let mut out = [0.0; 48];
        Tally.eval(&[View::new(&counts, &[0.0; 48]), logits, labels], &mut out);
        let counted: Vec<usize> = (0..48).filter(|&i| out[i] == 1.0).collect();
        assert_eq!(counted, [6, 4 * 8, 4 * 8 + 7, 5 * 8]);
        assert_eq!(out.iter().sum::<f64>(), 4.0);
    }
}
