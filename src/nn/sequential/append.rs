//! One method for each kind of layer. Their options and usual values are told at [`Layer`]'s.

use crate::nn::Layer;
use crate::nn::sequential::Sequential;
use crate::ops::LocalResponse;
use crate::shape::{Padding, Pair};

impl Sequential {
    /// Appends a convolution: [`Layer::conv2d`].
    pub fn conv2d(self, filters: usize, window: impl Into<Pair>) -> Self {
        self.layer(Layer::conv2d(filters, window))
    }

    /// Appends a transposed convolution: [`Layer::conv_transpose2d`].
    pub fn conv_transpose2d(self, filters: usize, window: impl Into<Pair>) -> Self {
        self.layer(Layer::conv_transpose2d(filters, window))
    }

    /// Appends a max pooling: [`Layer::max_pool2d`].
    pub fn max_pool2d(self, window: impl Into<Pair>) -> Self {
        self.layer(Layer::max_pool2d(window))
    }

    /// Appends an average pooling: [`Layer::avg_pool2d`].
    pub fn avg_pool2d(self, window: impl Into<Pair>) -> Self {
        self.layer(Layer::avg_pool2d(window))
    }

    /// Appends an Lp pooling: [`Layer::lp_pool2d`].
    pub fn lp_pool2d(self, window: impl Into<Pair>, p: f32) -> Self {
        self.layer(Layer::lp_pool2d(window, p))
    }

    /// Appends a max pooling to so many rows and columns.
    pub fn adaptive_max_pool2d(self, output: impl Into<Pair>) -> Self {
        self.layer(Layer::adaptive_max_pool2d(output))
    }

    /// Appends an average pooling to so many rows and columns.
    pub fn adaptive_avg_pool2d(self, output: impl Into<Pair>) -> Self {
        self.layer(Layer::adaptive_avg_pool2d(output))
    }

    /// Appends the maximum of each channel, `[C, 1, 1]`.
    pub fn global_max_pool2d(self) -> Self {
        self.layer(Layer::global_max_pool2d())
    }

    /// Appends the mean of each channel, `[C, 1, 1]`.
    pub fn global_avg_pool2d(self) -> Self {
        self.layer(Layer::global_avg_pool2d())
    }

    /// Appends a max pooling across channels: [`Layer::max_pool_channels`].
    pub fn max_pool_channels(self, channels: usize, step: usize) -> Self {
        self.layer(Layer::max_pool_channels(channels, step))
    }

    /// Appends an average pooling across channels: [`Layer::avg_pool_channels`].
    pub fn avg_pool_channels(self, channels: usize, step: usize) -> Self {
        self.layer(Layer::avg_pool_channels(channels, step))
    }

    /// Appends a batch normalisation: [`Layer::batch_norm`].
    pub fn batch_norm(self) -> Self {
        self.layer(Layer::batch_norm())
    }

    /// Appends a layer normalisation: [`Layer::layer_norm`].
    pub fn layer_norm(self) -> Self {
        self.layer(Layer::layer_norm())
    }

    /// Appends a group normalisation: [`Layer::group_norm`].
    pub fn group_norm(self, groups: usize) -> Self {
        self.layer(Layer::group_norm(groups))
    }

    /// Appends an instance normalisation: [`Layer::instance_norm`].
    pub fn instance_norm(self) -> Self {
        self.layer(Layer::instance_norm())
    }

    /// Appends an RMS normalisation: [`Layer::rms_norm`].
    pub fn rms_norm(self) -> Self {
        self.layer(Layer::rms_norm())
    }

    /// Appends a local response normalisation: [`Layer::local_response_norm`].
    pub fn local_response_norm(self, by: impl Into<LocalResponse>) -> Self {
        self.layer(Layer::local_response_norm(by))
    }

    /// Appends a normalisation by given numbers: [`Layer::normalize`].
    pub fn normalize(self, mean: impl Into<Vec<f32>>, deviation: impl Into<Vec<f32>>) -> Self {
        self.layer(Layer::normalize(mean, deviation))
    }

    /// Appends a dropout: [`Layer::dropout`].
    pub fn dropout(self, p: f32) -> Self {
        self.layer(Layer::dropout(p))
    }

    /// Appends a dropout by channels: [`Layer::spatial_dropout`].
    pub fn spatial_dropout(self, p: f32) -> Self {
        self.layer(Layer::spatial_dropout(p))
    }

    /// Appends an enlargement by repeating: [`Layer::upsample`].
    pub fn upsample(self, factor: impl Into<Pair>) -> Self {
        self.layer(Layer::upsample(factor))
    }

    /// Appends an enlargement along straight lines: [`Layer::upsample_bilinear`].
    pub fn upsample_bilinear(self, factor: impl Into<Pair>) -> Self {
        self.layer(Layer::upsample_bilinear(factor))
    }

    /// Appends zeros around each channel: [`Layer::pad`].
    pub fn pad(self, sides: impl Into<Padding>) -> Self {
        self.layer(Layer::pad(sides))
    }

    /// Appends one value around each channel: [`Layer::pad_with`].
    pub fn pad_with(self, sides: impl Into<Padding>, value: f32) -> Self {
        self.layer(Layer::pad_with(sides, value))
    }

    /// Makes all axes but the batch one.
    pub fn flatten(self) -> Self {
        self.layer(Layer::flatten())
    }

    /// Appends a dense layer: [`Layer::dense`].
    pub fn dense(self, units: usize) -> Self {
        self.layer(Layer::dense(units))
    }

    /// Appends a leaky relu with a learned slope for each channel: [`Layer::prelu`].
    pub fn prelu(self) -> Self {
        self.layer(Layer::prelu())
    }

    /// Appends a leaky relu with one learned slope: [`Layer::prelu_shared`].
    pub fn prelu_shared(self) -> Self {
        self.layer(Layer::prelu_shared())
    }

    /// Appends a scalar function by its name in [`crate::ops::TABLE`].
    pub fn activation(self, function: impl Into<String>) -> Self {
        self.layer(Layer::activation(function))
    }

    /// Appends a scalar function by its name, with another parameter than the usual.
    pub fn activation_with(self, function: impl Into<String>, parameter: f32) -> Self {
        self.layer(Layer::activation_with(function, parameter))
    }

    /// Appends `max(x, 0)`.
    pub fn relu(self) -> Self {
        self.layer(Layer::relu())
    }

    /// Appends `1 / (1 + exp(−x))`.
    pub fn sigmoid(self) -> Self {
        self.layer(Layer::sigmoid())
    }

    /// Appends the hyperbolic tangent.
    pub fn tanh(self) -> Self {
        self.layer(Layer::tanh())
    }

    /// Appends `min(max(x, 0), 6)`.
    pub fn relu6(self) -> Self {
        self.activation("relu6")
    }

    /// Appends the scaled exponential linear unit.
    pub fn selu(self) -> Self {
        self.activation("selu")
    }

    /// Appends the Gaussian error linear unit, exactly.
    pub fn gelu(self) -> Self {
        self.activation("gelu")
    }

    /// Appends `x · sigmoid(x)`.
    pub fn silu(self) -> Self {
        self.activation("silu")
    }

    /// Appends `x · min(max(x + 3, 0), 6) / 6`.
    pub fn hard_swish(self) -> Self {
        self.activation("hard_swish")
    }

    /// Appends `log(1 + exp(x))`.
    pub fn softplus(self) -> Self {
        self.activation("softplus")
    }

    /// Appends `x` where it is positive, else `slope · x`.
    pub fn leaky_relu(self, slope: f32) -> Self {
        self.activation_with("leaky_relu", slope)
    }

    /// Appends `x` where it is positive, else `alpha · (exp(x) − 1)`.
    pub fn elu(self, alpha: f32) -> Self {
        self.activation_with("elu", alpha)
    }

    /// Appends a softmax along the last axis. Not for training with cross-entropy, which holds a softmax itself.
    pub fn softmax(self) -> Self {
        self.layer(Layer::softmax())
    }

    /// Appends the logarithm of a softmax along the last axis.
    pub fn log_softmax(self) -> Self {
        self.layer(Layer::log_softmax())
    }
}
