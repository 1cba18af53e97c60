//! Losses composed of other operations: scalar means, as PyTorch's `reduction="mean"`.
//!
//! - **Formula**: mean squared, mean absolute and Huber error; binary cross-entropy from logits; softmax cross-entropy
//!   with label smoothing, class weights and soft targets.
//! - **Shapes**: prediction and target of one shape, or logits `[N,C]` with labels `[N]` or targets `[N,C]`; the loss
//!   is `[]`. f32, labels u32.
//! - **Gradient**: to both float operands, by the operations they are composed of.
//! - **Cost**: several passes over memory; the plain [`Graph::softmax_cross_entropy`] is one operation.

use crate::graph::{Graph, NodeId};
use crate::ops::elementwise::binary::{Arithmetic, Binary};
use crate::shape::{DType, TensorType};
use crate::{Error, Result, Tensor};

/// Options of a softmax cross-entropy.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CrossEntropy {
    /// Label smoothing: the part of each target distributed evenly over the classes, 0 to 1.
    pub label_smoothing: f32,
    /// One weight per class; all 1 if `None`. With labels, the mean is weighted by the labels' classes; with soft
    /// targets it is over the rows.
    pub class_weights: Option<Vec<f32>>,
}

/// `−q · log p`, and 0 where q is 0 even if p is 0.
static TERM: Arithmetic = Arithmetic {
    name: "cross_entropy_term",
    f: |q, log_p| if q == 0.0 { 0.0 } else { -q * log_p },
    wgsl: "select(-a * b, 0.0, a == 0.0)",
    multilinear: false,
    grad: |graph, t| {
        let minus = graph.scale(t.dy, -1.0)?;
        Ok([graph.mul(minus, t.b)?, graph.mul(minus, t.a)?])
    },
};

/// `sum / count`, 0 if `count` is 0.
static DIVIDE_OR_ZERO: Arithmetic = Arithmetic {
    name: "divide_or_zero",
    f: |sum, count| if count == 0.0 { 0.0 } else { sum / count },
    wgsl: "select(a / b, 0.0, b == 0.0)",
    multilinear: false,
    grad: |graph, t| {
        let da = graph.append(Binary(&DIVIDE_OR_ZERO), &[t.dy, t.b])?;
        let db = graph.mul(da, t.y)?;
        Ok([da, graph.scale(db, -1.0)?])
    },
};

/// `log(1 + exp(x)) − t·x`, split into `−t·x` or `(1 − t)·x`, whichever is positive, and the rest, so that nothing
/// cancels.
static LOGISTIC: Arithmetic = Arithmetic {
    name: "binary_cross_entropy_term",
    f: |x, t| if x < 0.0 { -t * x } else { (1.0 - t) * x } + (-x.abs()).exp().ln_1p(),
    wgsl: "select((1.0 - b) * a, -b * a, a < 0.0) + log1p(exp(-abs(a)))",
    multilinear: false,
    grad: |graph, t| {
        let p = graph.sigmoid(t.a)?;
        let error = graph.sub(p, t.b)?;
        let db = graph.mul(t.dy, t.a)?;
        Ok([graph.mul(t.dy, error)?, graph.scale(db, -1.0)?])
    },
};

impl Graph {
    /// Mean squared error: the mean of `(prediction − target)²`.
    ///
    /// Errors: different shapes.
    pub fn mean_squared_error(&mut self, prediction: NodeId, target: NodeId) -> Result<NodeId> {
        let error = self.difference("mean squared error", prediction, target)?;
        let each = self.unary("square", error)?;
        self.mean(each, &[], false)
    }

    /// Mean absolute error: the mean of `|prediction − target|`, with derivative 0 at 0.
    ///
    /// Errors: different shapes.
    pub fn mean_absolute_error(&mut self, prediction: NodeId, target: NodeId) -> Result<NodeId> {
        let error = self.difference("mean absolute error", prediction, target)?;
        let each = self.unary("abs", error)?;
        self.mean(each, &[], false)
    }

    /// Huber loss: the mean of `e² / 2` where the error `e = prediction − target` is at most `delta`, else
    /// `delta · (|e| − delta / 2)`.
    ///
    /// Errors: different shapes; a delta that is negative or not finite.
    pub fn huber_loss(&mut self, prediction: NodeId, target: NodeId, delta: f32) -> Result<NodeId> {
        let error = self.difference("huber loss", prediction, target)?;
        let each = self.unary_with("huber", delta, error)?;
        self.mean(each, &[], false)
    }

    /// Binary cross-entropy from logits: the mean of `−t · log σ(x) − (1 − t) · log(1 − σ(x))` over logits `x` of any
    /// magnitude and targets `t` from 0 to 1.
    ///
    /// Errors: different shapes.
    pub fn binary_cross_entropy(&mut self, logits: NodeId, targets: NodeId) -> Result<NodeId> {
        self.same_type("binary cross-entropy", logits, targets)?;
        let each = self.append(Binary(&LOGISTIC), &[logits, targets])?;
        self.mean(each, &[], false)
    }

    /// Softmax cross-entropy with options; see [`Graph::softmax_cross_entropy`]. With class weights the mean is
    /// weighted by those of the labels.
    ///
    /// Errors: logits that are not `[N,C]`; labels that are not u32 `[N]`; a smoothing outside 0 to 1; weights that are
    /// not one per class, negative or not finite.
    pub fn softmax_cross_entropy_with(
        &mut self,
        logits: NodeId,
        labels: NodeId,
        options: &CrossEntropy,
    ) -> Result<NodeId> {
        let plain = self.softmax_cross_entropy(logits, labels)?;
        if *options == CrossEntropy::default() {
            return Ok(plain);
        }
        let weights = self.weights_of(logits, options)?;
        if options.label_smoothing == 0.0 {
            return self.softmax_cross_entropy_weighted(logits, labels, weights);
        }
        let targets = self.class_targets(labels, weights, options.label_smoothing)?;
        let label_weights = self.class_targets(labels, weights, 0.0)?;
        let count = self.sum(label_weights, &[], false)?;
        let sum = self.sum_of_terms(logits, targets)?;
        self.append(Binary(&DIVIDE_OR_ZERO), &[sum, count])
    }

    /// Softmax cross-entropy with soft targets: the mean over rows of `−Σ_c targets[n,c] · log softmax(logits[n])[c]`,
    /// where the targets `[N,C]` are probabilities.
    ///
    /// Errors: logits or targets that are not f32 `[N,C]`; options as for [`Graph::softmax_cross_entropy_with`].
    pub fn softmax_cross_entropy_soft(
        &mut self,
        logits: NodeId,
        targets: NodeId,
        options: &CrossEntropy,
    ) -> Result<NodeId> {
        self.same_type("softmax cross-entropy", logits, targets)?;
        let weights = self.weights_of(logits, options)?;
        let [rows, classes] = [self.shape(logits)[0], self.shape(logits)[1]];
        let smoothing = options.label_smoothing;
        let mut targets = targets;
        if smoothing > 0.0 {
            targets = self.scale(targets, 1.0 - smoothing)?;
            let uniform = self.constant("smoothing", Tensor::from_fn([], |_| smoothing / classes as f32))?;
            targets = self.add(targets, uniform)?;
        }
        if options.class_weights.is_some() {
            targets = self.mul(targets, weights)?;
        }
        let sum = self.sum_of_terms(logits, targets)?;
        self.scale(sum, 1.0 / rows as f32)
    }

    fn sum_of_terms(&mut self, logits: NodeId, targets: NodeId) -> Result<NodeId> {
        let log_p = self.log_softmax(logits, 1)?;
        let terms = self.append(Binary(&TERM), &[targets, log_p])?;
        self.sum(terms, &[], false)
    }

    /// The class weights as a constant; checks the options.
    fn weights_of(&mut self, logits: NodeId, options: &CrossEntropy) -> Result<NodeId> {
        let [_, classes] = self.shape(logits).matrix("logits [N, C]").map_err(|reason| Error::Shape {
            op: "softmax_cross_entropy",
            node: String::new(),
            reason,
        })?;
        if !(0.0..=1.0).contains(&options.label_smoothing) {
            return Err(Error::option("label smoothing", "0 to 1", options.label_smoothing));
        }
        self.class_weights(classes, options.class_weights.clone().unwrap_or_else(|| vec![1.0; classes]))
    }

    /// Class weights as a constant.
    ///
    /// Errors: weights that are not one per class, negative or not finite.
    pub(crate) fn class_weights(&mut self, classes: usize, weights: Vec<f32>) -> Result<NodeId> {
        if weights.len() != classes {
            return Err(Error::option("class weights", format!("one for each of {classes} classes"), weights.len()));
        }
        if let Some(c) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(Error::option(format!("class_weights[{c}]"), "a finite number from 0", weights[c]));
        }
        self.constant("class weights", Tensor::new([classes], weights)?)
    }

    fn difference(&mut self, loss: &str, prediction: NodeId, target: NodeId) -> Result<NodeId> {
        self.same_type(loss, prediction, target)?;
        self.sub(prediction, target)
    }

    // Broadcasting of a target is more often a mistake than intended.
    fn same_type(&self, loss: &str, prediction: NodeId, target: NodeId) -> Result<()> {
        let expected = TensorType { dtype: DType::F32, shape: self.shape(prediction).clone() };
        match [prediction, target].into_iter().find(|&node| *self.ty(node) != expected) {
            Some(node) => Err(Error::option(format!("operands of {loss}"), format!("two {expected}"), self.ty(node))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_and_options_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([4, 3])).unwrap();
        let row = graph.input("row", TensorType::f32([3])).unwrap();
        let labels = graph.input("labels", TensorType::u32([4])).unwrap();
        let error = graph.mean_squared_error(x, row).unwrap_err().to_string();
        assert!(error.contains("mean squared error: expected two f32[4, 3], found f32[3]"), "{error}");
        let error = graph.huber_loss(x, x, -1.0).unwrap_err().to_string();
        assert!(error.contains("delta of huber"), "{error}");
        let mut with = |label_smoothing, class_weights: Option<Vec<f32>>| {
            let options = CrossEntropy { label_smoothing, class_weights };
            graph.softmax_cross_entropy_with(x, labels, &options).map_err(|e| e.to_string())
        };
        assert!(with(0.1, Some(vec![1.0, 0.5, 2.0])).is_ok());
        assert!(with(1.5, None).unwrap_err().contains("label smoothing: expected 0 to 1, found 1.5"));
        assert!(with(0.0, Some(vec![1.0; 4])).unwrap_err().contains("one for each of 3 classes, found 4"));
        assert!(with(0.0, Some(vec![1.0, -1.0, 1.0])).unwrap_err().contains("class_weights[1]"));
        assert!(graph.softmax_cross_entropy_soft(row, row, &CrossEntropy::default()).is_err());
    }
}
