//! Layers put into a network under construction.

use crate::graph::NodeId;
use crate::nn::layer::{Kind, Layer};
use crate::nn::{Build, Init, ParameterSpec, Reach, Statistics, Stored};
use crate::ops::{Affine, Upsampling};
use crate::shape::{Padding, Shape, Window};
use crate::{Error, Result};

/// What the slopes of prelu begin at, as in PyTorch and in He et al. 2015 (arXiv:1502.01852).
const SLOPE: f32 = 0.25;

impl Layer {
    /// Appends the layer to a network under construction, under `name` (its own name goes first).
    ///
    /// Errors: the operation's shape rule; an option the layer does not have; no filters or units; a name that is
    /// taken; an unknown activation.
    pub fn apply(&self, b: &mut Build<'_>, name: &str, x: NodeId) -> Result<NodeId> {
        self.join(b, name, &[x])
    }

    /// As [`Layer::apply`], to all that a layer reads: those that join branches read several values.
    ///
    /// Errors: too many or too few values; those of [`Layer::apply`].
    pub fn join(&self, b: &mut Build<'_>, name: &str, inputs: &[NodeId]) -> Result<NodeId> {
        let name = self.name.as_deref().unwrap_or(name);
        let kind = self.kind.describe();
        if let Some((option, expected)) = self.misuse {
            return Err(Error::option(format!(".{option}()"), format!("{expected} before it"), kind));
        }
        match inputs {
            &[x] if !self.kind.is_join() => self.apply_to(b, name, &kind, x),
            [_, _, ..] if self.kind.is_join() => b.join(name, &kind, inputs, |b| self.joined(b, inputs)),
            _ => {
                let expected = if self.kind.is_join() { "at least 2" } else { "1" };
                Err(Error::option(format!("{kind} \"{name}\": inputs"), expected, inputs.len()))
            }
        }
    }

    /// As [`Layer::apply`], for an activation of a value that others read too: it is a layer of its own.
    pub(in crate::nn) fn apply_apart(&self, b: &mut Build<'_>, name: &str, x: NodeId) -> Result<NodeId> {
        b.layer(name, &self.kind.describe(), x, Reach::Point, |b| self.function(b, x))
    }

    fn apply_to(&self, b: &mut Build<'_>, name: &str, kind: &str, x: NodeId) -> Result<NodeId> {
        let mut layer = |reach, f: &dyn Fn(&mut Build<'_>) -> Result<NodeId>| b.layer(name, kind, x, reach, f);
        match &self.kind {
            Kind::Conv2d { .. } | Kind::ConvTranspose2d { .. } => self.convolution(b, name, x),
            Kind::Dense { units, bias, init } => self.dense_layer(b, name, x, [*units, usize::from(*bias)], *init),
            Kind::MaxPool2d { window } => layer(Reach::Window(*window), &|b| b.graph.max_pool2d(x, *window)),
            Kind::AvgPool2d { window, count_include_pad } => {
                layer(Reach::Window(*window), &|b| b.graph.avg_pool2d(x, *window, *count_include_pad))
            }
            Kind::LpPool2d { window, p } => layer(Reach::Window(*window), &|b| b.graph.lp_pool2d(x, *window, *p)),
            Kind::AdaptiveMaxPool2d { output } => {
                let reach = adaptive(b.graph.shape(x), *output);
                b.layer(name, kind, x, reach, |b| b.graph.adaptive_max_pool2d(x, *output))
            }
            Kind::AdaptiveAvgPool2d { output } => {
                let reach = adaptive(b.graph.shape(x), *output);
                b.layer(name, kind, x, reach, |b| b.graph.adaptive_avg_pool2d(x, *output))
            }
            Kind::GlobalMaxPool2d => layer(Reach::All, &|b| b.graph.global_max_pool2d(x)),
            Kind::GlobalAvgPool2d => layer(Reach::All, &|b| b.graph.global_avg_pool2d(x)),
            Kind::MaxPoolChannels { channels, step } => {
                layer(Reach::Point, &|b| b.graph.max_pool_channels(x, *channels, *step))
            }
            Kind::AvgPoolChannels { channels, step } => {
                layer(Reach::Point, &|b| b.graph.avg_pool_channels(x, *channels, *step))
            }
            Kind::BatchNorm { .. } => layer(Reach::Point, &|b| self.normalised(b, x)),
            Kind::LayerNorm { .. } | Kind::GroupNorm { .. } | Kind::InstanceNorm { .. } | Kind::RmsNorm { .. } => {
                layer(Reach::All, &|b| self.normalised(b, x))
            }
            Kind::LocalResponseNorm { by } => layer(Reach::Point, &|b| b.graph.local_response_norm(x, *by)),
            Kind::Normalize { mean, deviation } => layer(Reach::Point, &|b| b.graph.normalize(x, mean, deviation)),
            Kind::Dropout { p } | Kind::SpatialDropout { p } => {
                let spatial = matches!(self.kind, Kind::SpatialDropout { .. });
                layer(Reach::Point, &|b| dropped(b, name, x, *p, spatial))
            }
            Kind::Upsample { factor, how } => {
                let taps = if *how == Upsampling::Bilinear { [2, 2] } else { [1, 1] };
                at_least_one("upsample", name, "factor", factor[0].min(factor[1]))?;
                let reach = Reach::Resized { taps, from: [1, 1], to: *factor };
                layer(reach, &|b| b.graph.upsample_by(x, *factor, *how))
            }
            Kind::Pad { sides, value } => layer(Reach::Point, &|b| padded(b, name, x, *sides, *value)),
            Kind::Prelu { shared } => layer(Reach::Point, &|b| {
                let channels = b.graph.shape(x).get(1).copied().unwrap_or(1);
                let slopes = if *shared { 1 } else { channels };
                let slope = b.parameter(self.parameter("weight", [slopes]).init(Init::Constant(SLOPE), [1, 1]))?;
                b.graph.prelu(x, slope)
            }),
            Kind::Flatten => layer(Reach::Point, &|b| b.graph.flatten(x)),
            Kind::Activation { .. } | Kind::Softmax | Kind::LogSoftmax => {
                b.activation(name, kind, x, |b| self.function(b, x))
            }
            Kind::Arithmetic { .. } | Kind::Concat { .. } => unreachable!("joins read several values"),
        }
    }

    /// Activations.
    fn function(&self, b: &mut Build<'_>, x: NodeId) -> Result<NodeId> {
        match &self.kind {
            Kind::Activation { function, parameter: Some(parameter) } => b.graph.unary_with(function, *parameter, x),
            Kind::Activation { function, parameter: None } => b.graph.unary(function, x),
            Kind::Softmax => b.graph.softmax(x, last_axis(b, x)),
            Kind::LogSoftmax => b.graph.log_softmax(x, last_axis(b, x)),
            _ => unreachable!("only activations come here"),
        }
    }

    /// Several values made one.
    fn joined(&self, b: &mut Build<'_>, inputs: &[NodeId]) -> Result<NodeId> {
        let axes = |x: NodeId| b.graph.shape(x).len();
        // The batch must not meet another axis: with a batch of one it might fit.
        if let Some(&other) = inputs.iter().find(|&&x| axes(x) != axes(inputs[0])) {
            let [first, other] = [inputs[0], other].map(|x| b.graph.shape(x));
            let expected = format!("as many axes as {first}");
            return Err(Error::option(format!("{}: inputs", self.kind.describe()), expected, other));
        }
        match &self.kind {
            Kind::Concat { axis: 0 } => Err(Error::option("concat: axis", "at least 1, for 0 is the batch", 0)),
            Kind::Concat { axis } => b.graph.concat(inputs, *axis),
            Kind::Arithmetic { function } => {
                inputs[1..].iter().try_fold(inputs[0], |sum, &x| b.graph.binary(function, sum, x))
            }
            _ => unreachable!("only joins come here"),
        }
    }

    fn parameter(&self, name: &str, shape: impl Into<Shape>) -> ParameterSpec {
        ParameterSpec::new(name, shape).trainable(self.trainable)
    }

    fn biases(&self, b: &mut Build<'_>, has: bool, n: usize) -> Result<Option<NodeId>> {
        has.then(|| b.parameter(self.parameter("bias", [n]).init(Init::Zeros, [1, n]))).transpose()
    }

    fn convolution(&self, b: &mut Build<'_>, name: &str, x: NodeId) -> Result<NodeId> {
        let (op, filters, window, groups, has_bias, init) = match &self.kind {
            Kind::Conv2d { filters, window, groups, bias, init } => ("conv2d", filters, window, groups, *bias, init),
            Kind::ConvTranspose2d { filters, window, groups, bias, init, .. } => {
                ("conv_transpose2d", filters, window, groups, *bias, init)
            }
            _ => unreachable!("only convolutions come here"),
        };
        let refuse = |reason| Error::Shape { op, node: name.to_string(), reason };
        let [_, c, h, w] = b.graph.shape(x).nchw("x").map_err(refuse)?;
        at_least_one(op, name, "filters", *filters)?;
        let groups = groups.number(c);
        // What groups do not divide is refused by the operation.
        let of_group = |channels: usize| (channels / groups.max(1)).max(1);
        let [r, s] = window.size;
        if let Kind::ConvTranspose2d { output_padding, .. } = self.kind {
            // A bad window must not be told as a bad shape of the weights.
            window.place([u32::MAX as usize / 2; 2]).map_err(refuse)?;
            // Each output sums over the taps that fall on an input, each input reaches all taps.
            let taps = [0, 1].map(|axis| window.size[axis].div_ceil(window.stride[axis]));
            let spread = Reach::Resized { taps: overlap(window), from: [1, 1], to: window.stride };
            let fans = [product(of_group(c), taps), product(of_group(*filters), [r, s])];
            return b.layer(name, &self.kind.describe(), x, spread, |b| {
                let weight = self.parameter("weight", [c, of_group(*filters), r, s]).init(*init, fans);
                let weight = b.parameter(weight)?;
                let bias = self.biases(b, has_bias, *filters)?;
                b.graph.conv_transpose2d(x, weight, bias, *window, output_padding, groups)
            });
        }
        window.place([h, w]).map_err(refuse)?;
        let fans = [c, *filters].map(|n| product(of_group(n), [r, s]));
        b.layer(name, &self.kind.describe(), x, Reach::Window(*window), |b| {
            let weight = b.parameter(self.parameter("weight", [*filters, of_group(c), r, s]).init(*init, fans))?;
            let bias = self.biases(b, has_bias, *filters)?;
            b.graph.conv2d_grouped(x, weight, bias, *window, groups)
        })
    }

    fn dense_layer(
        &self,
        b: &mut Build<'_>,
        name: &str,
        x: NodeId,
        [units, bias]: [usize; 2],
        init: Init,
    ) -> Result<NodeId> {
        let rule = |reason| Error::Shape {
            op: "dense",
            node: name.to_string(),
            reason: format!("{reason}; flatten what has more axes first"),
        };
        let [_, features] = b.graph.shape(x).matrix("x").map_err(rule)?;
        at_least_one("dense", name, "units", units)?;
        b.layer(name, &self.kind.describe(), x, Reach::All, |b| {
            let weight = self.parameter("weight", [features, units]).init(init, [features, units]);
            let weight = b.parameter(weight.stored(Stored::Transposed))?;
            let bias = self.biases(b, bias == 1, units)?;
            b.graph.dense(x, weight, bias)
        })
    }

    /// Batch, layer, group, instance and RMS normalisation.
    fn normalised(&self, b: &mut Build<'_>, x: NodeId) -> Result<NodeId> {
        let shape = b.graph.shape(x).clone();
        let channels = shape.get(1).copied().unwrap_or(1);
        let from = |axis: usize| shape.get(axis..).unwrap_or_default().to_vec();
        let declare = |b: &mut Build<'_>, name: &str, extents: &[usize], begin: f32, has: bool| {
            let init = Init::Constant(begin);
            has.then(|| b.parameter(self.parameter(name, extents.to_vec()).init(init, [1, 1]))).transpose()
        };
        let affine = |b: &mut Build<'_>, extents: &[usize], has: bool| -> Result<Affine> {
            let weight = declare(b, "weight", extents, 1.0, has)?;
            Ok(Affine { weight, bias: declare(b, "bias", extents, 0.0, has)? })
        };
        match self.kind {
            Kind::BatchNorm { momentum, epsilon, affine: has } => {
                let by = affine(b, &[channels], has)?;
                match b.statistics(channels, self.trainable)? {
                    Statistics::Tracked(running) => b.graph.batch_norm(x, by, Some(running), momentum, epsilon),
                    Statistics::Fixed(running) => b.graph.batch_norm_inference(x, by, running, epsilon),
                }
            }
            Kind::LayerNorm { axis, epsilon, affine: has } => {
                let by = affine(b, &from(axis), has)?;
                b.graph.layer_norm(x, axis, by, epsilon)
            }
            Kind::GroupNorm { groups, epsilon, affine: has } => {
                let by = affine(b, &[channels], has)?;
                b.graph.group_norm(x, groups, by, epsilon)
            }
            Kind::InstanceNorm { epsilon, affine: has } => {
                let by = affine(b, &[channels], has)?;
                b.graph.instance_norm(x, by, epsilon)
            }
            Kind::RmsNorm { axis, epsilon, affine: has } => {
                let weight = declare(b, "weight", &from(axis), 1.0, has)?;
                b.graph.rms_norm(x, axis, weight, epsilon)
            }
            _ => unreachable!("only normalisations come here"),
        }
    }
}

/// What dropout leaves of `x` in training, and `x` in evaluation, where a bad share is refused too.
fn dropped(b: &mut Build<'_>, name: &str, x: NodeId, p: f32, spatial: bool) -> Result<NodeId> {
    if !(0.0..1.0).contains(&p) {
        return Err(Error::option(format!("dropout \"{name}\": p"), "at least 0 and below 1", p));
    }
    match b.training() {
        None => Ok(x),
        Some(t) if spatial => b.graph.spatial_dropout(x, t.clock, p, t.seed),
        Some(t) => b.graph.dropout(x, t.clock, p, t.seed),
    }
}

fn padded(b: &mut Build<'_>, name: &str, x: NodeId, sides: Padding, value: f32) -> Result<NodeId> {
    let refuse = |reason| Error::Shape { op: "pad", node: name.to_string(), reason };
    b.graph.shape(x).nchw("x").map_err(refuse)?;
    match sides {
        Padding::Valid => Ok(x),
        Padding::Explicit { top, bottom, left, right } => {
            b.graph.pad(x, &[[0, 0], [0, 0], [top, bottom], [left, right]], value)
        }
        Padding::Same | Padding::SameLower => {
            Err(refuse("takes rows and columns for each side; same padding belongs to a window".into()))
        }
    }
}

fn last_axis(b: &Build<'_>, x: NodeId) -> usize {
    b.graph.shape(x).len().saturating_sub(1)
}

/// How many neighbouring inputs one output of a transposed convolution may see.
fn overlap(window: &Window) -> [usize; 2] {
    [0, 1].map(|axis| {
        let effective = (window.size[axis] - 1).saturating_mul(window.dilation[axis]).saturating_add(1);
        effective.div_ceil(window.stride[axis])
    })
}

/// The widest of the windows of adaptive pooling, which begin at `⌊i·in/out⌋` and end at `⌈(i + 1)·in/out⌉`.
fn adaptive(x: &Shape, output: [usize; 2]) -> Reach {
    let &[_, _, h, w] = &x[..] else { return Reach::All };
    let from = [h, w];
    let taps = [0, 1].map(|axis| {
        let (input, out) = (from[axis], output[axis].max(1));
        (0..out.min(1 << 16)).map(|i| ((i + 1) * input).div_ceil(out) - i * input / out).max().unwrap_or(1)
    });
    Reach::Resized { taps, from, to: output.map(|n| n.max(1)) }
}

fn product(channels: usize, [r, s]: [usize; 2]) -> usize {
    channels.saturating_mul(r).saturating_mul(s)
}

fn at_least_one(op: &str, name: &str, option: &str, value: usize) -> Result<()> {
    let refuse = || Error::option(format!("{op} \"{name}\": {option}"), "at least 1", value);
    if value > 0 { Ok(()) } else { Err(refuse()) }
}
