//! Softmax cross-entropy from logits, and the number of correctly classified rows.
//!
//! - **Formula**: `loss = mean of −log softmax(logits[n])[labels[n]]` over the rows whose label is not [`IGNORE`],
//!   weighted by `weights[labels[n]]` if there are weights; 0 if there are no such rows.
//! - **Shapes**: logits f32 `[N,C]`, labels u32 `[N]`, weights f32 `[C]` (at least 0), loss `[]`.
//! - **Range**: logits of any magnitude, ±1e4 included; a label that is neither a class nor [`IGNORE`] makes the loss
//!   NaN, so that the fault is visible.
//! - **Gradient**: `(softmax(logits) − onehot(labels)) · dloss / counted rows`, both weighted; 0 in ignored rows. None
//!   to labels and weights.
//! - **Cost**: a softmax, then sums over the rows in a fixed order.

use rayon::prelude::*;

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::losses::classes::over_classes;
use crate::ops::losses::softmax::{LineStrategy, line_stages};
use crate::ops::reductions::reduce::{MAX_COMBINED, sum_stages, sum_to_few};
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

const LOSS: Shader = shader!("losses/softmax_cross_entropy");
const LOSS_STAGED: Shader = shader!("losses/softmax_cross_entropy_staged");
const MEAN: Shader = shader!("losses/softmax_cross_entropy_mean");
const GRAD: Shader = shader!("losses/softmax_cross_entropy_grad");
const GRAD_STAGED: Shader = shader!("losses/softmax_cross_entropy_grad_staged");
const COUNT_LABELS: Shader = shader!("losses/count_labels");
const COUNT_CORRECT: Shader = shader!("losses/count_correct");

/// Label of an ignored row: the padding of a partial last batch.
pub const IGNORE: u32 = u32::MAX;

impl Graph {
    /// Softmax cross-entropy: the mean over rows of `−log softmax(logits)[label]`, a scalar. Rows labeled [`IGNORE`] do
    /// not count. Labels that are not classes make it NaN; check them on the host.
    ///
    /// Errors: logits that are not `[N,C]`; labels that are not u32 `[N]`.
    pub fn softmax_cross_entropy(&mut self, logits: NodeId, labels: NodeId) -> Result<NodeId> {
        self.append(SoftmaxCrossEntropy, &[logits, labels])
    }

    /// [`Graph::softmax_cross_entropy`] with the mean weighted by class: `Σ w·l / Σ w`.
    ///
    /// Errors: as [`Graph::softmax_cross_entropy`]; weights that are not f32 `[C]`.
    pub(crate) fn softmax_cross_entropy_weighted(
        &mut self,
        logits: NodeId,
        labels: NodeId,
        weights: NodeId,
    ) -> Result<NodeId> {
        self.append(SoftmaxCrossEntropy, &[logits, labels, weights])
    }

    /// Number of correct rows and of counted rows, `[correct, counted]`: a row is correct if its argmax, the first of
    /// equal logits, is its label; it counts if its label is not [`IGNORE`]. Has no gradient.
    ///
    /// Errors: logits that are not `[N,C]`; labels that are not u32 `[N]`.
    pub fn count_correct(&mut self, logits: NodeId, labels: NodeId) -> Result<NodeId> {
        self.append(CountCorrect, &[logits, labels])
    }
}

/// The number of rows and of classes.
pub(in crate::ops) fn rows(logits: &TensorType, labels: &TensorType) -> Result<[usize; 2], String> {
    let [n, c] = logits.shape.matrix("logits [N, C]")?;
    if logits.dtype != DType::F32 {
        return Err(format!("logits must be f32, are {logits}"));
    }
    if *labels != TensorType::u32([n]) {
        return Err(format!("labels must be u32[{n}], one per row of logits {}, are {labels}", logits.shape));
    }
    Ok([n, c])
}

/// [`rows`] with optional class weights.
pub(in crate::ops) fn weighted_rows(inputs: &[&TensorType]) -> Result<[usize; 2], String> {
    let (logits, labels, weights) = match inputs {
        [logits, labels] => (logits, labels, None),
        [logits, labels, weights] => (logits, labels, Some(weights)),
        _ => return Err(format!("takes logits, labels and optional weights, found {inputs:?}")),
    };
    let [n, c] = rows(logits, labels)?;
    match weights.filter(|weights| ***weights != TensorType::f32([c])) {
        Some(weights) => Err(format!("weights must be f32[{c}], one per class of logits, are {weights}")),
        None => Ok([n, c]),
    }
}

fn extents(io: &Io<'_>) -> [usize; 2] {
    rows(io.inputs[0], io.inputs[1]).expect("inferred when built")
}

/// Binds the class weights to a dispatch; without an operand all weights are 1.
pub(in crate::ops) fn weighted(dispatch: Dispatch, weights: Option<Operand>) -> Dispatch {
    match weights {
        Some(weights) => dispatch.reads([weights]),
        None => dispatch.function("weight_of", "1.0"),
    }
}

/// Input `number`, if it exists.
fn input(io: &Io<'_>, number: usize) -> Option<Operand> {
    (number < io.inputs.len()).then_some(Operand::Input(number))
}

/// The weight of a row with this label.
fn weight_of(label: f64, weights: Option<&View<'_>>) -> f64 {
    weights.map_or(1.0, |weights| weights.f64()[(label as usize).min(weights.shape[0] - 1)])
}

/// The divisor of a weighted mean; 1 if the weights sum to 0.
fn divisor(weight: f64) -> f64 {
    if weight == 0.0 { 1.0 } else { weight }
}

/// A dispatch with one invocation per row, for any number of classes.
pub(in crate::ops) fn rows_dispatch(shader: Shader, n: usize) -> Dispatch {
    Dispatch::new(shader).constant("N", n).constant("IGNORE", IGNORE).invocations(n, 64)
}

/// A dispatch with one invocation per row of inputs 0 and 1.
fn dispatch(shader: Shader, [n, c]: [usize; 2]) -> Dispatch {
    rows_dispatch(shader, n).constant("C", c).reads_inputs(2)
}

fn is_ignored(label: f64) -> bool {
    label == f64::from(IGNORE)
}

/// Index and value of the first maximum.
pub(in crate::ops) fn largest(x: &[f64]) -> (usize, f64) {
    x.iter().copied().enumerate().fold((0, x[0]), |best, (j, v)| if v > best.1 { (j, v) } else { best })
}

/// Minimum number of rows per CPU task.
const ROWS_PER_TASK: usize = 256;

#[derive(Debug)]
pub(in crate::ops) struct SoftmaxCrossEntropy;

impl Op for SoftmaxCrossEntropy {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        weighted_rows(inputs).map(|_| TensorType::f32([]))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (logits, labels) = (inputs[0].f64(), inputs[1].f64());
        let c = inputs[0].shape[1];
        let loss = |(x, &label): (&[f64], &f64)| {
            let m = largest(x).1;
            let sum: f64 = x.iter().map(|v| (v - m).exp()).sum();
            let weight = if is_ignored(label) { None } else { Some(weight_of(label, inputs.get(2))) };
            weight.map(|weight| (weight * x.get(label as usize).map_or(f64::NAN, |v| sum.ln() + m - v), weight))
        };
        let losses = logits.par_chunks(c).zip(labels).with_min_len(ROWS_PER_TASK).map(loss);
        let losses: Vec<(f64, f64)> = losses.collect::<Vec<_>>().into_iter().flatten().collect();
        let weight = losses.iter().map(|(_, weight)| weight).sum();
        out[0] = losses.iter().map(|(loss, _)| loss).sum::<f64>() / divisor(weight);
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let inputs = graph.node(node).inputs().to_vec();
        let (labels, weights) = (inputs[1], &inputs[2..]);
        let count = graph.append(CountLabels, &[&[labels], weights].concat())?;
        let grad = graph.append(SoftmaxCrossEntropyGrad, &[&[inputs[0], labels, dy, count], weights].concat())?;
        Ok([Some(grad), None, None].into_iter().take(inputs.len()).collect())
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let [n, c] = extents(io);
        let kernel = |way: &LineStrategy| {
            let each = Operand::Scratch(0);
            let mut kernel = Kernel { name: LOSS.name, dispatches: vec![], scratch: vec![TensorType::f32([n, 2])] };
            let losses = match way {
                LineStrategy::Line => dispatch(LOSS, [n, c]),
                LineStrategy::Staged => {
                    kernel.name = LOSS_STAGED.name;
                    dispatch(LOSS_STAGED, [n, c]).reads(line_stages([n, c, 1], Operand::Input(0), &mut kernel))
                }
            };
            kernel.dispatches.push(weighted(losses.writes(each), input(io, 2)));
            let (few, left) = sum_to_few([1, n, 2], each, &mut kernel);
            kernel.dispatches.push(Dispatch::new(MEAN).constant("N", left).reads([few]).writes(Operand::Output));
            kernel
        };
        LineStrategy::candidates([n, c, 1]).iter().map(kernel).collect()
    }

    fn error_scale(&self, _: &[View<'_>]) -> f64 {
        1.0
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let [n, c] = extents(io);
        Traits { reduction: n * c, ..Traits::default() }
    }
}

/// The number of labels that are not [`IGNORE`], as f32; with weights, their sum.
#[derive(Debug)]
struct CountLabels;

impl Op for CountLabels {
    fn name(&self) -> &'static str {
        "count_labels"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [labels, weights @ ..] if labels.dtype == DType::U32 && labels.shape.len() == 1 && weights.len() < 2 => {
                Ok(TensorType::f32([]))
            }
            _ => Err(format!("takes labels, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let labels = inputs[0].f64().iter().filter(|label| !is_ignored(**label));
        out[0] = labels.map(|&label| weight_of(label, inputs.get(1))).sum();
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let n = io.inputs[0].shape.elements();
        let parts = n.div_ceil(MAX_COMBINED);
        let few = if parts == 1 { Operand::Output } else { Operand::Scratch(0) };
        let count = Dispatch::new(COUNT_LABELS)
            .constants([("N", n), ("PARTS", parts)])
            .constant("IGNORE", IGNORE)
            .reads_inputs(1)
            .writes(few)
            .invocations(parts, 64);
        let mut kernel = Kernel::single(weighted(count, input(io, 1)));
        if parts > 1 {
            kernel.scratch.push(TensorType::f32([parts]));
            let sums = sum_stages([1, parts, 1], few, Operand::Output, &mut kernel.scratch);
            kernel.dispatches.extend(sums);
        }
        vec![kernel]
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        Traits { reduction: io.inputs[0].shape.elements(), ..Traits::default() }
    }
}

/// Gradient to the logits: `dlogits[n] = (softmax(logits[n]) − onehot(labels[n])) · dy / count`. Inputs logits, labels,
/// dy, the number of counted rows or the sum of their weights, and optionally the weights.
#[derive(Debug)]
struct SoftmaxCrossEntropyGrad;

impl Op for SoftmaxCrossEntropyGrad {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [logits, labels, dy, count, weights @ ..] = inputs else {
            return Err(format!("takes logits, labels, dy and a count, found {inputs:?}"));
        };
        weighted_rows(&[&[*logits, *labels], weights].concat())?;
        if [dy, count].iter().any(|scalar| ***scalar != TensorType::f32([])) {
            return Err(format!("dy and count must be f32[], are {dy} and {count}"));
        }
        Ok((*logits).clone())
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (logits, labels, dy) = (inputs[0].f64(), inputs[1].f64(), inputs[2].f64()[0]);
        let c = inputs[0].shape[1];
        let mean = dy / divisor(inputs[3].f64()[0]);
        let rows = out.par_chunks_mut(c).zip(logits.par_chunks(c)).zip(labels).with_min_len(ROWS_PER_TASK);
        rows.filter(|(_, label)| !is_ignored(**label)).for_each(|((dx, x), &label)| {
            let m = largest(x).1;
            dx.iter_mut().zip(x).for_each(|(d, v)| *d = (v - m).exp());
            let share = mean * weight_of(label, inputs.get(4));
            let scale = share / dx.iter().sum::<f64>();
            dx.iter_mut().for_each(|d| *d *= scale);
            match dx.get_mut(label as usize) {
                Some(d) => *d -= share,
                None => dx.fill(f64::NAN),
            }
        });
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let [n, c] = extents(io);
        let reads = [Operand::Input(2), Operand::Input(3)];
        let whole = |dispatch: Dispatch| weighted(dispatch.writes(Operand::Output), input(io, 4));
        let kernel = |way: &LineStrategy| match way {
            LineStrategy::Line => Kernel::single(whole(dispatch(GRAD, [n, c]).reads(reads))),
            LineStrategy::Staged => {
                let mut kernel = Kernel::of(GRAD_STAGED, vec![]);
                let of_rows = line_stages([n, c, 1], Operand::Input(0), &mut kernel);
                let grad = dispatch(GRAD_STAGED, [n, c]).reads(reads).reads(of_rows).invocations(n * c, 64);
                kernel.dispatches.push(whole(grad));
                kernel
            }
        };
        LineStrategy::candidates([n, c, 1]).iter().map(kernel).collect()
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        let weight = inputs.get(4).map_or(1.0, View::magnitude);
        weight * inputs[2].magnitude() / divisor(inputs[3].f64()[0])
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        Traits { reduction: extents(io)[1], ..Traits::default() }
    }
}

#[derive(Debug)]
pub(in crate::ops) struct CountCorrect;

impl Op for CountCorrect {
    fn name(&self) -> &'static str {
        "count_correct"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [logits, labels] = inputs else { return Err(format!("takes logits and labels, found {inputs:?}")) };
        rows(logits, labels).map(|_| TensorType::f32([2]))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let c = inputs[0].shape[1];
        for (x, &label) in inputs[0].f64().chunks(c).zip(inputs[1].f64()) {
            out[0] += f64::from(u8::from(largest(x).0 as f64 == label));
            out[1] += f64::from(u8::from(!is_ignored(label)));
        }
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let [n, c] = extents(io);
        let each = Operand::Scratch(0);
        let mut kernel = Kernel::of(COUNT_CORRECT, vec![]);
        kernel.scratch.push(TensorType::f32([n, 2]));
        let correct = rows_dispatch(COUNT_CORRECT, n).reads_inputs(2).writes(each);
        over_classes([n, c], Operand::Input(0), correct, &mut kernel);
        kernel.dispatches.extend(sum_stages([1, n, 2], each, Operand::Output, &mut kernel.scratch));
        vec![kernel]
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        Traits { reduction: extents(io)[0], ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_labels_are_checked() {
        let mut graph = Graph::new();
        let logits = graph.input("logits", TensorType::f32([5, 3])).unwrap();
        let labels = graph.input("labels", TensorType::u32([5])).unwrap();
        let loss = graph.softmax_cross_entropy(logits, labels).unwrap();
        let right = graph.count_correct(logits, labels).unwrap();
        assert_eq!((&**graph.shape(loss), &**graph.shape(right)), (&[][..], &[2][..]));
        let four = graph.input("labels", TensorType::u32([4])).unwrap();
        let error = graph.softmax_cross_entropy(logits, four).unwrap_err().to_string();
        assert!(error.contains("labels must be u32[5]") && error.contains("are u32[4]"), "{error}");
        let error = graph.count_correct(labels, labels).unwrap_err().to_string();
        assert!(error.contains("logits [N, C] must be a matrix, is [5]"), "{error}");
    }

    #[test]
    fn ignored_rows_do_not_count() {
        let (shape, rows, scalar) = ([3, 2].into(), [3].into(), [].into());
        let logits = [1e4, -1e4, 0.5, 0.5, 7.0, 9.0];
        let eval = |op: &dyn Op, operands: usize, labels: [f64; 3], length| {
            let count = [labels.iter().filter(|label| !is_ignored(**label)).count() as f64];
            let [logits, labels] = [View::new(&shape, &logits), View::new(&rows, &labels)];
            let inputs = [logits, labels, View::new(&scalar, &[1.0]), View::new(&scalar, &count)];
            let mut out = vec![0.0; length];
            op.eval(&inputs[..operands], &mut out);
            out
        };
        let ignore = f64::from(IGNORE);
        assert_eq!(eval(&SoftmaxCrossEntropy, 2, [1.0, 0.0, ignore], 1), [(2e4 + 2f64.ln()) / 2.0]);
        assert_eq!(eval(&SoftmaxCrossEntropy, 2, [ignore; 3], 1), [0.0]);
        assert!(eval(&SoftmaxCrossEntropy, 2, [2.0, 0.0, ignore], 1)[0].is_nan());
        let grad = eval(&SoftmaxCrossEntropyGrad, 4, [1.0, 0.0, ignore], 6);
        assert_eq!(grad, [0.5, -0.5, -0.25, 0.25, 0.0, 0.0]);
        assert_eq!(eval(&CountCorrect, 2, [1.0, 0.0, ignore], 2), [1.0, 2.0]);
    }
}
