//! One method for each kind of layer, with its usual options.

use crate::nn::Init;
use crate::nn::layer::{Groups, Kind, Layer};
use crate::ops::{LocalResponse, Upsampling};
use crate::shape::{Padding, Pair, Window};

/// PyTorch's ε of normalisations.
const EPSILON: f32 = 1e-5;

/// Windows side by side: the usual of poolings.
fn side_by_side(window: impl Into<Pair>) -> Window {
    let Pair(size) = window.into();
    Window::new(size).stride(size)
}

impl Layer {
    /// A convolution with stride 1, no padding, a bias, He-uniform weights.
    pub fn conv2d(filters: usize, window: impl Into<Pair>) -> Self {
        let (window, groups) = (Window::new(window), Groups::default());
        Self::new(Kind::Conv2d { filters, window, groups, bias: true, init: Init::default() })
    }

    /// A transposed convolution with stride 1, no padding, a bias, He-uniform weights. Padding is cut from its result.
    pub fn conv_transpose2d(filters: usize, window: impl Into<Pair>) -> Self {
        let (window, groups, output_padding) = (Window::new(window), Groups::default(), [0, 0]);
        let init = Init::default();
        Self::new(Kind::ConvTranspose2d { filters, window, output_padding, groups, bias: true, init })
    }

    /// Max pooling with windows side by side: the stride is the window's size unless set.
    pub fn max_pool2d(window: impl Into<Pair>) -> Self {
        Self::new(Kind::MaxPool2d { window: side_by_side(window) })
    }

    /// Average pooling with windows side by side: the stride is the window's size unless set. Padding counts as zeros
    /// unless [`count_include_pad`](Self::count_include_pad) says otherwise, as in PyTorch.
    pub fn avg_pool2d(window: impl Into<Pair>) -> Self {
        Self::new(Kind::AvgPool2d { window: side_by_side(window), count_include_pad: true })
    }

    /// Lp pooling, `(Σ |x|^p)^(1/p)`, with windows side by side: the stride is the window's size unless set.
    pub fn lp_pool2d(window: impl Into<Pair>, p: f32) -> Self {
        Self::new(Kind::LpPool2d { window: side_by_side(window), p })
    }

    /// Max pooling to so many rows and columns.
    pub fn adaptive_max_pool2d(output: impl Into<Pair>) -> Self {
        Self::new(Kind::AdaptiveMaxPool2d { output: output.into().0 })
    }

    /// Average pooling to so many rows and columns.
    pub fn adaptive_avg_pool2d(output: impl Into<Pair>) -> Self {
        Self::new(Kind::AdaptiveAvgPool2d { output: output.into().0 })
    }

    /// The maximum of each channel, as one row and column.
    pub fn global_max_pool2d() -> Self {
        Self::new(Kind::GlobalMaxPool2d)
    }

    /// The mean of each channel, as one row and column.
    pub fn global_avg_pool2d() -> Self {
        Self::new(Kind::GlobalAvgPool2d)
    }

    /// The maximum of each `channels` neighbouring channels (maxout), every `step` channels.
    pub fn max_pool_channels(channels: usize, step: usize) -> Self {
        Self::new(Kind::MaxPoolChannels { channels, step })
    }

    /// The mean of each `channels` neighbouring channels, every `step` channels.
    pub fn avg_pool_channels(channels: usize, step: usize) -> Self {
        Self::new(Kind::AvgPoolChannels { channels, step })
    }

    /// Batch normalisation of `[N, C, ..]` with weight and bias: momentum 0.1, the share of the new as in PyTorch (Keras
    /// names the share of the old), and ε 1e-5. A frozen one uses its running averages and leaves them alone, as in
    /// Keras.
    pub fn batch_norm() -> Self {
        Self::new(Kind::BatchNorm { momentum: 0.1, epsilon: EPSILON, affine: true })
    }

    /// Layer normalisation over all axes but the batch, with weight and bias and ε 1e-5.
    pub fn layer_norm() -> Self {
        Self::new(Kind::LayerNorm { axis: 1, epsilon: EPSILON, affine: true })
    }

    /// Group normalisation of `[N, C, ..]` with weight and bias and ε 1e-5; `groups` divides C.
    pub fn group_norm(groups: usize) -> Self {
        Self::new(Kind::GroupNorm { groups, epsilon: EPSILON, affine: true })
    }

    /// Instance normalisation of `[N, C, ..]` with ε 1e-5, without weight and bias unless set, as PyTorch.
    pub fn instance_norm() -> Self {
        Self::new(Kind::InstanceNorm { epsilon: EPSILON, affine: false })
    }

    /// RMS normalisation over all axes but the batch, with a weight and ε 1e-5.
    pub fn rms_norm() -> Self {
        Self::new(Kind::RmsNorm { axis: 1, epsilon: EPSILON, affine: true })
    }

    /// Local response normalisation over `size` channels with α 1e-4, β 0.75 and k 1, or over [`LocalResponse`].
    pub fn local_response_norm(by: impl Into<LocalResponse>) -> Self {
        Self::new(Kind::LocalResponseNorm { by: by.into() })
    }

    /// `(x − mean) / deviation`: one number each for all channels of `[N, C, ..]`, or one for each channel. For pictures,
    /// before all other layers: Keras' `Normalization` (which takes the variance), torchvision's `Normalize`.
    pub fn normalize(mean: impl Into<Vec<f32>>, deviation: impl Into<Vec<f32>>) -> Self {
        Self::new(Kind::Normalize { mean: mean.into(), deviation: deviation.into() })
    }

    /// In training, zeroes each value with probability `p` and multiplies the others by `1 / (1 − p)`.
    pub fn dropout(p: f32) -> Self {
        Self::new(Kind::Dropout { p })
    }

    /// As [`Layer::dropout`], by whole channels of `[N, C, ..]`.
    pub fn spatial_dropout(p: f32) -> Self {
        Self::new(Kind::SpatialDropout { p })
    }

    /// So many times as many rows and columns, each value repeated.
    pub fn upsample(factor: impl Into<Pair>) -> Self {
        Self::new(Kind::Upsample { factor: factor.into().0, how: Upsampling::Nearest })
    }

    /// So many times as many rows and columns, with straight lines between the values.
    pub fn upsample_bilinear(factor: impl Into<Pair>) -> Self {
        Self::new(Kind::Upsample { factor: factor.into().0, how: Upsampling::Bilinear })
    }

    /// Zeros around each channel: so many rows and columns, or [`Padding::Explicit`].
    pub fn pad(sides: impl Into<Padding>) -> Self {
        Self::pad_with(sides, 0.0)
    }

    /// As [`Layer::pad`], with another value than 0.
    pub fn pad_with(sides: impl Into<Padding>, value: f32) -> Self {
        Self::new(Kind::Pad { sides: sides.into(), value })
    }

    /// Leaky relu with a learned slope for each channel, which begins at 0.25.
    pub fn prelu() -> Self {
        Self::new(Kind::Prelu { shared: false })
    }

    /// Leaky relu with one learned slope for all channels, which begins at 0.25: PyTorch's usual.
    pub fn prelu_shared() -> Self {
        Self::new(Kind::Prelu { shared: true })
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
        Self::new(Kind::Activation { function: function.into(), parameter: None })
    }

    /// As [`Layer::activation`], with another parameter than the usual.
    pub fn activation_with(function: impl Into<String>, parameter: f32) -> Self {
        Self::new(Kind::Activation { function: function.into(), parameter: Some(parameter) })
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

    /// The logarithm of the softmax along the last axis.
    pub fn log_softmax() -> Self {
        Self::new(Kind::LogSoftmax)
    }

    /// Branches met by the arithmetic of that name in [`crate::ops::ARITHMETIC`]; axes of 1 repeat.
    pub fn arithmetic(function: impl Into<String>) -> Self {
        Self::new(Kind::Arithmetic { function: function.into() })
    }

    /// The sum of branches: residual connections.
    pub fn add() -> Self {
        Self::arithmetic("add")
    }

    /// The product of branches, element by element: gates.
    pub fn mul() -> Self {
        Self::arithmetic("mul")
    }

    /// The channels of branches one behind the other; [`axis`](Self::axis) sets another axis.
    pub fn concat() -> Self {
        Self::new(Kind::Concat { axis: 1 })
    }
}
