//! What layers there are, and how a summary calls them.

use crate::nn::Init;
use crate::ops::{LocalResponse, Upsampling};
use crate::shape::{Padding, Window};

/// What a layer does.
#[derive(Clone, PartialEq, Debug)]
pub enum Kind {
    /// Convolution: `[N, C, H, W]` to `[N, filters, P, Q]`. Parameters `weight` `[filters, C/groups, R, S]`, `bias`.
    Conv2d {
        /// Output channels.
        filters: usize,
        /// Size, stride, padding, dilation.
        window: Window,
        /// Into how many runs of equal length filters and channels fall; a filter sees its own run of channels only.
        groups: Groups,
        /// Whether each filter adds a bias.
        bias: bool,
        /// Initial weights; biases begin at 0.
        init: Init,
    },
    /// Transposed convolution: `[N, C, P, Q]` to `[N, filters, H, W]`. Parameters `weight` `[C, filters/groups, R, S]`,
    /// `bias`.
    ConvTranspose2d {
        /// Output channels.
        filters: usize,
        /// Size, stride, padding that is cut from the result, dilation.
        window: Window,
        /// Rows and columns added at the end of the result.
        output_padding: [usize; 2],
        /// As of a convolution.
        groups: Groups,
        /// Whether each filter adds a bias.
        bias: bool,
        /// Initial weights; biases begin at 0.
        init: Init,
    },
    /// The largest value under each window.
    MaxPool2d {
        /// Size, stride, padding, dilation.
        window: Window,
    },
    /// The mean value under each window.
    AvgPool2d {
        /// Size, stride, padding, dilation.
        window: Window,
        /// Whether padding counts as zeros in the mean, or not at all.
        count_include_pad: bool,
    },
    /// `(Σ |x|^p)^(1/p)` under each window.
    LpPool2d {
        /// Size, stride, padding, dilation.
        window: Window,
        /// The exponent.
        p: f32,
    },
    /// So many rows and columns of maxima, whatever the input has.
    AdaptiveMaxPool2d {
        /// Rows and columns of the output.
        output: [usize; 2],
    },
    /// So many rows and columns of means, whatever the input has.
    AdaptiveAvgPool2d {
        /// Rows and columns of the output.
        output: [usize; 2],
    },
    /// The maximum of each channel: `[N, C, 1, 1]`.
    GlobalMaxPool2d,
    /// The mean of each channel: `[N, C, 1, 1]`.
    GlobalAvgPool2d,
    /// The maximum of neighbouring channels (maxout).
    MaxPoolChannels {
        /// How many.
        channels: usize,
        /// Channels from one window to the next.
        step: usize,
    },
    /// The mean of neighbouring channels.
    AvgPoolChannels {
        /// How many.
        channels: usize,
        /// Channels from one window to the next.
        step: usize,
    },
    /// Normalisation of each channel over the batch; in evaluation by running averages. Parameters `weight`, `bias`,
    /// `running_mean`, `running_var`, each `[C]`.
    BatchNorm {
        /// Share of the new in the running averages.
        momentum: f32,
        /// Added to the variance.
        epsilon: f32,
        /// Whether it has weight and bias.
        affine: bool,
    },
    /// Normalisation over all axes from one on. Parameters `weight` and `bias`, of the extents of those.
    LayerNorm {
        /// The first of them; 1 is the one after the batch.
        axis: usize,
        /// Added to the variance.
        epsilon: f32,
        /// Whether it has weight and bias.
        affine: bool,
    },
    /// Normalisation of each picture over runs of neighbouring channels. Parameters `weight`, `bias`, each `[C]`.
    GroupNorm {
        /// How many runs.
        groups: usize,
        /// Added to the variance.
        epsilon: f32,
        /// Whether it has weight and bias.
        affine: bool,
    },
    /// Normalisation of each channel of each picture. Parameters `weight`, `bias`, each `[C]`, if affine.
    InstanceNorm {
        /// Added to the variance.
        epsilon: f32,
        /// Whether it has weight and bias.
        affine: bool,
    },
    /// Division by the root of the mean square over all axes from one on. Parameter `weight`, of the extents of those.
    RmsNorm {
        /// The first of them; 1 is the one after the batch.
        axis: usize,
        /// Added to the mean square.
        epsilon: f32,
        /// Whether it has a weight.
        affine: bool,
    },
    /// Division by the energy of neighbouring channels.
    LocalResponseNorm {
        /// How many channels, and the constants.
        by: LocalResponse,
    },
    /// `(x − mean) / deviation`, by numbers that are given.
    Normalize {
        /// One for all channels, or one for each.
        mean: Vec<f32>,
        /// One for all channels, or one for each; above 0.
        deviation: Vec<f32>,
    },
    /// In training, zeroes values at random and enlarges the others; nothing in evaluation.
    Dropout {
        /// The share that is zeroed.
        p: f32,
    },
    /// As dropout, by whole channels.
    SpatialDropout {
        /// The share that is zeroed.
        p: f32,
    },
    /// More rows and columns.
    Upsample {
        /// How many times as many.
        factor: [usize; 2],
        /// What lies between the given ones.
        how: Upsampling,
    },
    /// Rows and columns of one value around each channel.
    Pad {
        /// How many on each side.
        sides: Padding,
        /// The value.
        value: f32,
    },
    /// `x` where it is positive, else `slope·x`, with slopes that are learned. Parameter `weight` `[C]`, or `[1]`.
    Prelu {
        /// Whether one slope serves all channels.
        shared: bool,
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
        /// Its parameter, if it has one and that is not the usual.
        parameter: Option<f32>,
    },
    /// Probabilities along the last axis: positive, with sum 1.
    Softmax,
    /// Logarithms of probabilities along the last axis.
    LogSoftmax,
    /// Branches met by arithmetic, from the first to the last: a row of [`crate::ops::ARITHMETIC`], by name. They have as
    /// many axes, and axes of 1 repeat.
    Arithmetic {
        /// The name.
        function: String,
    },
    /// Branches one behind the other.
    Concat {
        /// Along which axis; 1 is the one after the batch.
        axis: usize,
    },
}

/// The groups of a convolution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    /// How many for so many channels.
    pub(super) fn number(self, channels: usize) -> usize {
        match self {
            Groups::Number(n) => n,
            Groups::Depthwise => channels,
        }
    }

    fn describe(self) -> String {
        match self {
            Groups::Number(1) => String::new(),
            Groups::Number(n) => format!(" groups {n}"),
            Groups::Depthwise => " depthwise".into(),
        }
    }
}

impl Kind {
    /// Whether it belongs to the layer before it.
    pub(crate) fn is_activation(&self) -> bool {
        matches!(self, Kind::Activation { .. } | Kind::Softmax | Kind::LogSoftmax)
    }

    /// Whether it reads several values.
    pub(crate) fn is_join(&self) -> bool {
        matches!(self, Kind::Arithmetic { .. } | Kind::Concat { .. })
    }

    /// Whether it has parameters.
    pub(crate) fn is_parametric(&self) -> bool {
        use Kind::*;
        match self {
            Conv2d { .. } | ConvTranspose2d { .. } | Dense { .. } | BatchNorm { .. } | Prelu { .. } => true,
            LayerNorm { affine, .. }
            | GroupNorm { affine, .. }
            | InstanceNorm { affine, .. }
            | RmsNorm { affine, .. } => *affine,
            _ => false,
        }
    }

    /// What names without one begin with.
    pub(crate) fn stem(&self) -> &str {
        match self {
            Kind::Conv2d { .. } => "conv",
            Kind::ConvTranspose2d { .. } => "deconv",
            Kind::MaxPool2d { .. }
            | Kind::AvgPool2d { .. }
            | Kind::LpPool2d { .. }
            | Kind::AdaptiveMaxPool2d { .. }
            | Kind::AdaptiveAvgPool2d { .. }
            | Kind::GlobalMaxPool2d
            | Kind::GlobalAvgPool2d
            | Kind::MaxPoolChannels { .. }
            | Kind::AvgPoolChannels { .. } => "pool",
            Kind::BatchNorm { .. } => "bn",
            Kind::LayerNorm { .. }
            | Kind::GroupNorm { .. }
            | Kind::InstanceNorm { .. }
            | Kind::RmsNorm { .. }
            | Kind::LocalResponseNorm { .. } => "norm",
            Kind::Normalize { .. } => "normalize",
            Kind::Dropout { .. } | Kind::SpatialDropout { .. } => "dropout",
            Kind::Upsample { .. } => "up",
            Kind::Pad { .. } => "pad",
            Kind::Prelu { .. } => "prelu",
            Kind::Flatten => "flatten",
            Kind::Dense { .. } => "fc",
            Kind::Activation { function, .. } => function,
            Kind::Softmax => "softmax",
            Kind::LogSoftmax => "log_softmax",
            Kind::Arithmetic { function } => function,
            Kind::Concat { .. } => "concat",
        }
    }

    /// The kind with whatever is not as usual: `conv2d 5x5 pad 2`.
    pub(super) fn describe(&self) -> String {
        match self {
            Kind::Conv2d { window, groups, .. } => describe_window("conv2d", window, [1, 1]) + &groups.describe(),
            Kind::ConvTranspose2d { window, output_padding, groups, .. } => {
                let mut text = describe_window("conv_transpose2d", window, [1, 1]);
                unusual(&mut text, "output pad", *output_padding, [0, 0]);
                text + &groups.describe()
            }
            Kind::MaxPool2d { window } => describe_window("max_pool2d", window, window.size),
            Kind::AvgPool2d { window, .. } => describe_window("avg_pool2d", window, window.size),
            Kind::LpPool2d { window, p } => describe_window(&format!("l{p}_pool2d"), window, window.size),
            Kind::AdaptiveMaxPool2d { output: [rows, columns] } => format!("adaptive_max_pool2d {rows}x{columns}"),
            Kind::AdaptiveAvgPool2d { output: [rows, columns] } => format!("adaptive_avg_pool2d {rows}x{columns}"),
            Kind::GlobalMaxPool2d => "global_max_pool2d".into(),
            Kind::GlobalAvgPool2d => "global_avg_pool2d".into(),
            Kind::MaxPoolChannels { channels, step } => describe_channels("max_pool_channels", *channels, *step),
            Kind::AvgPoolChannels { channels, step } => describe_channels("avg_pool_channels", *channels, *step),
            Kind::BatchNorm { .. } => "batch_norm".into(),
            Kind::LayerNorm { axis: 1, .. } => "layer_norm".into(),
            Kind::LayerNorm { axis, .. } => format!("layer_norm from axis {axis}"),
            Kind::GroupNorm { groups, .. } => format!("group_norm {groups}"),
            Kind::InstanceNorm { .. } => "instance_norm".into(),
            Kind::RmsNorm { axis: 1, .. } => "rms_norm".into(),
            Kind::RmsNorm { axis, .. } => format!("rms_norm from axis {axis}"),
            Kind::LocalResponseNorm { by } => format!("local_response_norm {}", by.size),
            Kind::Normalize { .. } => "normalize".into(),
            Kind::Dropout { p } => format!("dropout {p}"),
            Kind::SpatialDropout { p } => format!("spatial_dropout {p}"),
            Kind::Upsample { factor: [rows, columns], how } => {
                let how = if *how == Upsampling::Nearest { "nearest" } else { "bilinear" };
                format!("upsample {rows}x{columns} {how}")
            }
            Kind::Pad { sides, value } => match value {
                0.0 => format!("pad{}", describe_padding(sides).replace(" pad", "")),
                _ => format!("pad{} with {value}", describe_padding(sides).replace(" pad", "")),
            },
            Kind::Prelu { shared: false } => "prelu".into(),
            Kind::Prelu { shared: true } => "prelu shared".into(),
            Kind::Flatten => "flatten".into(),
            Kind::Dense { .. } => "dense".into(),
            Kind::Activation { function, parameter: None } => function.clone(),
            Kind::Activation { function, parameter: Some(parameter) } => format!("{function} {parameter}"),
            Kind::Softmax => "softmax".into(),
            Kind::LogSoftmax => "log_softmax".into(),
            Kind::Arithmetic { function } => function.clone(),
            Kind::Concat { axis: 1 } => "concat".into(),
            Kind::Concat { axis } => format!("concat along axis {axis}"),
        }
    }
}

fn unusual(text: &mut String, what: &str, [v, h]: [usize; 2], usual: [usize; 2]) {
    if [v, h] != usual {
        *text += &if v == h { format!(" {what} {v}") } else { format!(" {what} {v}x{h}") };
    }
}

fn describe_channels(op: &str, channels: usize, step: usize) -> String {
    match step == channels {
        true => format!("{op} {channels}"),
        false => format!("{op} {channels} stride {step}"),
    }
}

fn describe_window(op: &str, window: &Window, usual_stride: [usize; 2]) -> String {
    let [rows, columns] = window.size;
    let mut text = format!("{op} {rows}x{columns}");
    unusual(&mut text, "stride", window.stride, usual_stride);
    unusual(&mut text, "dilation", window.dilation, [1, 1]);
    if window.ceil_mode {
        text += " ceil";
    }
    text + &describe_padding(&window.padding)
}

fn describe_padding(padding: &Padding) -> String {
    match padding {
        Padding::Valid => String::new(),
        Padding::Same => " same".into(),
        Padding::SameLower => " same_lower".into(),
        Padding::Explicit { top, bottom, left, right } if [bottom, left, right] == [top; 3] => format!(" pad {top}"),
        Padding::Explicit { top, bottom, left, right } => format!(" pad {top},{bottom},{left},{right}"),
    }
}
