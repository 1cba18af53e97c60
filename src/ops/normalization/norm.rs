//! Batch, layer, group, instance and RMS normalization.
//!
//! - **Formula**: `y = (x − μ) / √(σ² + ε) · w + b`, with mean and biased variance over: batch, all elements of a
//!   channel; layer, all elements from one axis on; group, a range of adjacent channels of one image; instance, one
//!   channel of one image; RMS, as layer with a mean of 0.
//! - **Shapes**: x kept; w and b have one value per channel (batch, group, instance) or the extents from the axis on
//!   (layer, RMS). f32.
//! - **Range**: a NaN or an infinity makes its whole group NaN (RMS: finite values beside an infinity become 0); where
//!   σ² exceeds the largest f32 (standard deviation of about 1.8e19) it is infinite, so that y = b and dx = 0.
//! - **Gradient and cost**: see [`crate::ops::normalization::apply_moments`].
//! - **Source**: Ioffe & Szegedy 2015 (arXiv:1502.03167), Ba et al. 2016 (1607.06450), Wu & He 2018 (1803.08494),
//!   Ulyanov et al. 2016 (1607.08022), Zhang & Sennrich 2019 (1910.07467), in PyTorch's forms.

use crate::graph::{Graph, NodeId};
use crate::ops::normalization::apply_moments::{ApplyMoments, Moments};
use crate::ops::normalization::moments::{Extents, population};
use crate::{Error, Result, Tensor};

/// Affine transformation after normalization; none by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Affine {
    /// Scale w.
    pub weight: Option<NodeId>,
    /// Offset b.
    pub bias: Option<NodeId>,
}

impl Affine {
    /// Scale and offset.
    pub fn new(weight: NodeId, bias: NodeId) -> Self {
        Self { weight: Some(weight), bias: Some(bias) }
    }
}

impl Graph {
    /// Batch normalization for training: normalizes each channel of `x` `[N, C, ..]` by its mean and biased variance in
    /// this batch. The variable `running` `[2, C]` (means, then variances; initially 0 and 1) moves toward the batch's
    /// mean and unbiased variance by `momentum` (PyTorch's 0.1: the weight of the new value).
    ///
    /// Errors: fewer than two axes; a channel of one element; operand shapes that do not match; a momentum outside
    /// `[0, 1]`; an epsilon not above 0.
    pub fn batch_norm(
        &mut self,
        x: NodeId,
        affine: Affine,
        running: Option<NodeId>,
        momentum: f32,
        epsilon: f32,
    ) -> Result<NodeId> {
        let channels = self.channels("batch_norm", x)?;
        let n = population(channels);
        if n < 2 {
            let found = format!("x {}", self.shape(x));
            return Err(Error::option("batch_norm", "at least two elements of each channel in training", found));
        }
        let moments = self.moments(x, channels, true)?;
        if let Some(running) = running {
            self.track_moments(running, moments, n, momentum)?;
        }
        let by = ApplyMoments { groups: channels, channels, moments: Moments::Own, epsilon };
        self.apply_moments("batch_norm", x, moments, affine, by)
    }

    /// Batch normalization for evaluation: normalizes each channel of `x` `[N, C, ..]` by the means and variances in
    /// `running` `[2, C]`, which get no gradient.
    ///
    /// Errors: fewer than two axes; operand shapes that do not match; an epsilon not above 0.
    pub fn batch_norm_inference(&mut self, x: NodeId, affine: Affine, running: NodeId, epsilon: f32) -> Result<NodeId> {
        let channels = self.channels("batch_norm_inference", x)?;
        let by = ApplyMoments { groups: channels, channels, moments: Moments::Fixed, epsilon };
        self.apply_moments("batch_norm_inference", x, running, affine, by)
    }

    /// Layer normalization of `x` over all axes from `axis` on; weight and bias have the extents of those axes.
    ///
    /// Errors: an axis that `x` does not have; operand shapes that do not match; an epsilon not above 0.
    pub fn layer_norm(&mut self, x: NodeId, axis: usize, affine: Affine, epsilon: f32) -> Result<NodeId> {
        self.by_rows("layer_norm", x, axis, affine, Moments::Own, epsilon)
    }

    /// RMS normalization: divides `x` by the root mean square over all axes from `axis` on; the weight has the extents
    /// of those axes.
    ///
    /// Errors: an axis that `x` does not have; a weight shape that does not match; an epsilon not above 0.
    pub fn rms_norm(&mut self, x: NodeId, axis: usize, weight: Option<NodeId>, epsilon: f32) -> Result<NodeId> {
        self.by_rows("rms_norm", x, axis, Affine { weight, bias: None }, Moments::OwnAboutZero, epsilon)
    }

    /// Group normalization of `x` `[N, C, ..]` over each image and each of `groups` ranges of adjacent channels.
    ///
    /// Errors: fewer than two axes; `groups` that does not divide C; operand shapes that do not match; an epsilon not
    /// above 0.
    pub fn group_norm(&mut self, x: NodeId, groups: usize, affine: Affine, epsilon: f32) -> Result<NodeId> {
        let [n, c, inner] = self.channels("group_norm", x)?;
        if groups == 0 || c % groups != 0 {
            return Err(Error::option("group_norm: groups", format!("a divisor of the {c} channels of x"), groups));
        }
        let by = ApplyMoments {
            groups: [1, n * groups, c / groups * inner],
            channels: [n, c, inner],
            moments: Moments::Own,
            epsilon,
        };
        let moments = self.moments(x, by.groups, true)?;
        self.apply_moments("group_norm", x, moments, affine, by)
    }

    /// Instance normalization of `x` `[N, C, ..]` over each image and channel.
    ///
    /// Errors: fewer than two axes; operand shapes that do not match; an epsilon not above 0.
    pub fn instance_norm(&mut self, x: NodeId, affine: Affine, epsilon: f32) -> Result<NodeId> {
        let [_, c, _] = self.channels("instance_norm", x)?;
        self.group_norm(x, c, affine, epsilon)
    }

    /// The extents `[N, C, inner]` of `x` `[N, C, ..]`.
    fn channels(&self, op: &str, x: NodeId) -> Result<Extents> {
        match self.shape(x)[..] {
            [n, c, ref rest @ ..] => Ok([n, c, rest.iter().product()]),
            _ => Err(Error::option(op, "x of [N, C, ..]", self.ty(x))),
        }
    }

    fn by_rows(
        &mut self,
        op: &'static str,
        x: NodeId,
        axis: usize,
        affine: Affine,
        moments: Moments,
        epsilon: f32,
    ) -> Result<NodeId> {
        let shape = self.shape(x).clone();
        if axis >= shape.len() {
            let expected = format!("one of the {} axes of x {shape}, counted from 0", shape.len());
            return Err(Error::option(format!("{op}: axis"), expected, axis));
        }
        let (outer, row) = (shape[..axis].iter().product(), shape[axis..].iter().product());
        for operand in [affine.weight, affine.bias].into_iter().flatten() {
            if self.shape(operand)[..] != shape[axis..] {
                let expected = format!("{:?}, the extents of x {shape} from axis {axis} on", &shape[axis..]);
                return Err(Error::option(format!("{op}: weight and bias"), expected, self.shape(operand)));
            }
        }
        let flat = |graph: &mut Self, operand: Option<NodeId>| operand.map(|o| graph.reshape(o, [row])).transpose();
        let affine = Affine { weight: flat(self, affine.weight)?, bias: flat(self, affine.bias)? };
        let by = ApplyMoments { groups: [1, outer, row], channels: [outer, row, 1], moments, epsilon };
        let own = self.moments(x, by.groups, moments == Moments::Own)?;
        self.apply_moments(op, x, own, affine, by)
    }

    fn apply_moments(
        &mut self,
        op: &'static str,
        x: NodeId,
        moments: NodeId,
        affine: Affine,
        normalization: ApplyMoments,
    ) -> Result<NodeId> {
        let mut value = |operand: Option<NodeId>, name: &str, default: f32| match operand {
            Some(operand) => Ok(operand),
            None => self.constant(name, Tensor::from_fn([normalization.channels[1]], |_| default)),
        };
        let (w, b) = (value(affine.weight, "ones", 1.0)?, value(affine.bias, "zeros", 0.0)?);
        let named = |error| match error {
            Error::Shape { node, reason, .. } => Error::Shape { op, node, reason },
            other => other,
        };
        self.append(normalization, &[x, moments, w, b]).map_err(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TensorType;

    #[test]
    fn mismatched_operands_and_options_are_rejected() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 6, 3, 3])).unwrap();
        let w = graph.input("w", TensorType::f32([6])).unwrap();
        let running = graph.variable("running", TensorType::f32([2, 6])).unwrap();
        let (plain, both) = (Affine::default(), Affine::new(w, w));
        let y = graph.batch_norm(x, both, Some(running), 0.1, 1e-5).unwrap();
        assert_eq!(graph.shape(y), graph.shape(x));
        assert!(graph.batch_norm_inference(x, both, running, 1e-5).is_ok());
        assert!(graph.group_norm(x, 3, both, 1e-5).is_ok());
        let mut rejected = |text: &str, f: &dyn Fn(&mut Graph) -> Result<NodeId>| {
            let error = f(&mut graph).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        rejected("epsilon must be finite and above 0, is 0", &|g| g.batch_norm(x, plain, None, 0.1, 0.0));
        rejected("momentum must be from 0 to 1, is 2", &|g| g.batch_norm(x, plain, Some(running), 2.0, 1e-5));
        rejected("a divisor of the 6 channels", &|g| g.group_norm(x, 4, plain, 1e-5));
        rejected("one of the 4 axes of x [2, 6, 3, 3]", &|g| g.layer_norm(x, 4, plain, 1e-5));
        rejected("[3, 3], the extents of x [2, 6, 3, 3] from axis 2 on", &|g| g.layer_norm(x, 2, both, 1e-5));
        rejected("at least two elements of each channel", &|g| {
            let one = g.input("x", TensorType::f32([1, 6]))?;
            g.batch_norm(one, plain, None, 0.1, 1e-5)
        });
        rejected("x of [N, C, ..]", &|g| g.instance_norm(w, plain, 1e-5));
        rejected("batch_norm_inference", &|g| g.batch_norm_inference(x, both, w, 1e-5));
    }
}
