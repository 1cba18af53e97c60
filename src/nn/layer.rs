//! Layers as data.

use serde::{Deserialize, Serialize};

use super::{Build, Init, ParameterSpec, Reach, Stored};
use crate::graph::NodeId;
use crate::shape::{Padding, Pair, Window};
use crate::{Error, Result};

/// A layer: what it does, and its name if it has one of its own.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Layer {
    /// The name; [`Sequential`](super::Sequential) numbers those without: `conv1`, `pool1`, `fc1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it does.
    #[serde(flatten)]
    pub kind: Kind,
    /// The first option that was given to this layer and that it does not have, and what has it. Told when built.
    #[serde(skip)]
    misuse: Option<(&'static str, &'static str)>,
}

/// What a layer does.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "layer", rename_all = "snake_case")]
pub enum Kind {
    /// Convolution: `[N, C, H, W]` to `[N, filters, P, Q]`. Parameters `weight` `[filters, C/groups, R, S]`, `bias`.
    Conv2d {
        /// Output channels.
        filters: usize,
        /// Size, stride, padding, dilation.
        #[serde(flatten)]
        window: Window,
        /// Into how many runs of equal length filters and channels fall; a filter sees its own run of channels only.
        #[serde(default, skip_serializing_if = "Groups::is_one")]
        groups: Groups,
        /// Whether each filter adds a bias.
        bias: bool,
        /// Initial weights; biases begin at 0.
        init: Init,
    },
    /// The largest value under each window.
    MaxPool2d {
        /// Size, stride, padding, dilation.
        #[serde(flatten)]
        window: Window,
    },
    /// The mean value under each window.
    AvgPool2d {
        /// Size, stride, padding, dilation.
        #[serde(flatten)]
        window: Window,
        /// Whether padding counts as zeros in the mean, or not at all.
        count_include_pad: bool,
    },
    /// `[N, ..]` to `[N, features]`.
    Flatten,
    /// Every output from every input: `[N, in]` to `[N, units]`. Parameters `weight` `[in, units]`, `bias`.
    Dense {
        /// Outputs.
        units: usize,
        /// Whether each output adds a bias.
        bias: bool,
        /// Initial weights; biases begin at 0.
        init: Init,
    },
    /// A scalar function of every value: a row of [`crate::ops::TABLE`], by name.
    Activation {
        /// The name.
        function: String,
    },
    /// Probabilities along the last axis: positive, with sum 1.
    Softmax,
}

/// The groups of a convolution.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Groups {
    /// So many.
    Number(usize),
    /// As many as the input has channels: each filter sees one channel.
    Depthwise,
}

impl Default for Groups {
    fn default() -> Self {
        Groups::Number(1)
    }
}

impl Groups {
    fn is_one(&self) -> bool {
        *self == Groups::default()
    }
}

impl Layer {
    fn new(kind: Kind) -> Self {
        Self { name: None, kind, misuse: None }
    }

    /// A convolution with stride 1, no padding, a bias, He-uniform weights.
    pub fn conv2d(filters: usize, window: impl Into<Pair>) -> Self {
        let (window, groups) = (Window::new(window), Groups::default());
        Self::new(Kind::Conv2d { filters, window, groups, bias: true, init: Init::default() })
    }

    /// Max pooling with windows side by side: the stride is the window's size unless set.
    pub fn max_pool2d(window: impl Into<Pair>) -> Self {
        let window = window.into().0;
        Self::new(Kind::MaxPool2d { window: Window::new(window).stride(window) })
    }

    /// Average pooling with windows side by side: the stride is the window's size unless set. Padding counts as zeros
    /// unless [`count_include_pad`](Self::count_include_pad) says otherwise, as in PyTorch.
    pub fn avg_pool2d(window: impl Into<Pair>) -> Self {
        let window = window.into().0;
        Self::new(Kind::AvgPool2d { window: Window::new(window).stride(window), count_include_pad: true })
    }

    /// All axes but the batch made one.
    pub fn flatten() -> Self {
        Self::new(Kind::Flatten)
    }

    /// A dense layer with a bias and He-uniform weights.
    pub fn dense(units: usize) -> Self {
        Self::new(Kind::Dense { units, bias: true, init: Init::default() })
    }

    /// A scalar function by its name in [`crate::ops::TABLE`].
    pub fn activation(function: impl Into<String>) -> Self {
        Self::new(Kind::Activation { function: function.into() })
    }

    /// `max(x, 0)`.
    pub fn relu() -> Self {
        Self::activation("relu")
    }

    /// `1 / (1 + exp(−x))`.
    pub fn sigmoid() -> Self {
        Self::activation("sigmoid")
    }

    /// Hyperbolic tangent.
    pub fn tanh() -> Self {
        Self::activation("tanh")
    }

    /// Softmax along the last axis.
    pub fn softmax() -> Self {
        Self::new(Kind::Softmax)
    }

    /// Names the layer; its parameters are `name.weight` and `name.bias`. Activations have no name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        if self.is_activation() {
            return self.misused("named", "a convolution, pooling, flatten or dense layer");
        }
        self.name = Some(name.into());
        self
    }

    /// Sets the padding of a convolution or pooling.
    pub fn padding(self, padding: impl Into<Padding>) -> Self {
        self.window("padding", |window| window.padding(padding))
    }

    /// Sets the stride of a convolution or pooling.
    pub fn stride(self, stride: impl Into<Pair>) -> Self {
        self.window("stride", |window| window.stride(stride))
    }

    /// Sets the dilation of a convolution or pooling.
    pub fn dilation(self, dilation: impl Into<Pair>) -> Self {
        self.window("dilation", |window| window.dilation(dilation))
    }

    /// Sets into how many groups the filters and the channels of a convolution fall; both are multiples of it.
    pub fn groups(self, groups: usize) -> Self {
        self.set_groups("groups", Groups::Number(groups))
    }

    /// Makes each filter of a convolution see one channel: with C channels the filters are a multiple of C, and the
    /// first filters/C see the first channel.
    pub fn depthwise(self) -> Self {
        self.set_groups("depthwise", Groups::Depthwise)
    }

    fn set_groups(mut self, option: &'static str, to: Groups) -> Self {
        match &mut self.kind {
            Kind::Conv2d { groups, .. } => *groups = to,
            _ => return self.misused(option, "a convolution"),
        }
        self
    }

    /// Sets whether the last window of a convolution or pooling may reach over the end.
    pub fn ceil_mode(self, ceil_mode: bool) -> Self {
        self.window("ceil_mode", |window| window.ceil_mode(ceil_mode))
    }

    /// Sets whether a convolution or dense layer has a bias.
    pub fn bias(mut self, has: bool) -> Self {
        match &mut self.kind {
            Kind::Conv2d { bias, .. } | Kind::Dense { bias, .. } => *bias = has,
            _ => return self.misused("bias", "a convolution or dense layer"),
        }
        self
    }

    /// Sets the initial weights of a convolution or dense layer.
    pub fn init(mut self, rule: Init) -> Self {
        match &mut self.kind {
            Kind::Conv2d { init, .. } | Kind::Dense { init, .. } => *init = rule,
            _ => return self.misused("init", "a convolution or dense layer"),
        }
        self
    }

    /// Sets whether an average pooling counts padding as zeros.
    pub fn count_include_pad(mut self, counts: bool) -> Self {
        match &mut self.kind {
            Kind::AvgPool2d { count_include_pad, .. } => *count_include_pad = counts,
            _ => return self.misused("count_include_pad", "an average pooling"),
        }
        self
    }

    fn window(mut self, option: &'static str, set: impl FnOnce(Window) -> Window) -> Self {
        match &mut self.kind {
            Kind::Conv2d { window, .. } | Kind::MaxPool2d { window } | Kind::AvgPool2d { window, .. } => {
                *window = set(*window);
            }
            _ => return self.misused(option, "a convolution or pooling layer"),
        }
        self
    }

    fn misused(mut self, option: &'static str, expected: &'static str) -> Self {
        self.misuse.get_or_insert((option, expected));
        self
    }

    /// Whether it belongs to the layer before it.
    pub(super) fn is_activation(&self) -> bool {
        matches!(self.kind, Kind::Activation { .. } | Kind::Softmax)
    }

    /// What names without one begin with.
    pub(super) fn stem(&self) -> &str {
        match &self.kind {
            Kind::Conv2d { .. } => "conv",
            Kind::MaxPool2d { .. } | Kind::AvgPool2d { .. } => "pool",
            Kind::Flatten => "flatten",
            Kind::Dense { .. } => "fc",
            Kind::Activation { function } => function,
            Kind::Softmax => "softmax",
        }
    }

    /// Appends the layer to a network under construction, under `name` (its own name goes first).
    ///
    /// Errors: the operation's shape rule; an option the layer does not have; no filters or units; a name that is
    /// taken; an unknown activation.
    pub fn apply(&self, b: &mut Build<'_>, name: &str, x: NodeId) -> Result<NodeId> {
        let name = self.name.as_deref().unwrap_or(name);
        if let Some((option, expected)) = self.misuse {
            return Err(Error::option(format!(".{option}()"), format!("{expected} before it"), self.describe()));
        }
        let refuse = |op| move |reason| Error::Shape { op, node: name.to_string(), reason };
        let kind = self.describe();
        match &self.kind {
            Kind::Conv2d { filters, window, groups, bias, init } => {
                let [_, c, h, w] = b.graph.shape(x).nchw("x").map_err(refuse("conv2d"))?;
                at_least_one("conv2d", name, "filters", *filters)?;
                // A bad window must not be told as a bad shape of the weights.
                window.place([h, w]).map_err(refuse("conv2d"))?;
                let [r, s] = window.size;
                b.layer(name, &kind, x, Reach::Window(*window), |b| {
                    // What groups do not divide is refused below.
                    let groups = if let Groups::Number(n) = groups { *n } else { c };
                    let of_group = |channels: usize| (channels / groups.max(1)).max(1);
                    let fans = [c, *filters].map(|n| of_group(n).saturating_mul(r).saturating_mul(s));
                    let weight = weight([*filters, of_group(c), r, s], *init, fans, Stored::AsIs);
                    let weight = b.parameter(weight)?;
                    let bias = bias.then(|| b.parameter(zeros(*filters))).transpose()?;
                    b.graph.conv2d_grouped(x, weight, bias, *window, groups)
                })
            }
            Kind::MaxPool2d { window } => {
                b.layer(name, &kind, x, Reach::Window(*window), |b| b.graph.max_pool2d(x, *window))
            }
            Kind::AvgPool2d { window, count_include_pad } => {
                b.layer(name, &kind, x, Reach::Window(*window), |b| b.graph.avg_pool2d(x, *window, *count_include_pad))
            }
            Kind::Flatten => b.layer(name, &kind, x, Reach::Point, |b| b.graph.flatten(x)),
            Kind::Dense { units, bias, init } => {
                let rule = |reason| format!("{reason}; flatten what has more axes first");
                let [_, features] = b.graph.shape(x).matrix("x").map_err(rule).map_err(refuse("dense"))?;
                at_least_one("dense", name, "units", *units)?;
                b.layer(name, &kind, x, Reach::All, |b| {
                    let weight = weight([features, *units], *init, [features, *units], Stored::Transposed);
                    let weight = b.parameter(weight)?;
                    let bias = bias.then(|| b.parameter(zeros(*units))).transpose()?;
                    b.graph.dense(x, weight, bias)
                })
            }
            Kind::Activation { function } => b.activation(name, &kind, x, |b| b.graph.unary(function, x)),
            Kind::Softmax => {
                let axis = b.graph.shape(x).len().saturating_sub(1);
                b.activation(name, &kind, x, |b| b.graph.softmax(x, axis))
            }
        }
    }

    /// The kind with whatever is not as usual: `conv2d 5x5 pad 2`.
    fn describe(&self) -> String {
        match &self.kind {
            Kind::Conv2d { window, groups, .. } => {
                let text = describe_window("conv2d", window, [1, 1]);
                match groups {
                    Groups::Number(1) => text,
                    Groups::Number(n) => format!("{text} groups {n}"),
                    Groups::Depthwise => format!("{text} depthwise"),
                }
            }
            Kind::MaxPool2d { window } => describe_window("max_pool2d", window, window.size),
            Kind::AvgPool2d { window, .. } => describe_window("avg_pool2d", window, window.size),
            Kind::Flatten => "flatten".into(),
            Kind::Dense { .. } => "dense".into(),
            Kind::Activation { function } => function.clone(),
            Kind::Softmax => "softmax".into(),
        }
    }
}

fn weight<const R: usize>(shape: [usize; R], init: Init, fans: [usize; 2], stored: Stored) -> ParameterSpec {
    ParameterSpec { name: "weight".into(), shape: shape.into(), init, fans, stored }
}

fn zeros(n: usize) -> ParameterSpec {
    ParameterSpec { name: "bias".into(), shape: [n].into(), init: Init::Zeros, fans: [1, n], stored: Stored::AsIs }
}

fn at_least_one(op: &str, name: &str, option: &str, value: usize) -> Result<()> {
    let refuse = || Error::option(format!("{op} \"{name}\": {option}"), "at least 1", value);
    if value > 0 { Ok(()) } else { Err(refuse()) }
}

fn describe_window(op: &str, window: &Window, usual_stride: [usize; 2]) -> String {
    let [rows, columns] = window.size;
    let mut text = format!("{op} {rows}x{columns}");
    let mut unusual = |what: &str, [v, h]: [usize; 2], usual: [usize; 2]| {
        if [v, h] != usual {
            text += &if v == h { format!(" {what} {v}") } else { format!(" {what} {v}x{h}") };
        }
    };
    unusual("stride", window.stride, usual_stride);
    unusual("dilation", window.dilation, [1, 1]);
    if window.ceil_mode {
        text += " ceil";
    }
    text += &match window.padding {
        Padding::Valid => String::new(),
        Padding::Same => " same".into(),
        Padding::SameLower => " same_lower".into(),
        Padding::Explicit { top, bottom, left, right } if [bottom, left, right] == [top; 3] => format!(" pad {top}"),
        Padding::Explicit { top, bottom, left, right } => format!(" pad {top},{bottom},{left},{right}"),
    };
    text
}
