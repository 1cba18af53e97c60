//! Options of layers. One that a layer does not have is told when the network is built.

use crate::nn::Init;
use crate::nn::layer::{Groups, Kind, Layer};
use crate::shape::{Padding, Pair, Window};

impl Layer {
    /// Names the layer; its parameters are `name.weight`, `name.bias` and so on. Activations have no name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        if self.kind.is_activation() {
            return self.misused("named", "a layer other than an activation");
        }
        self.name = Some(name.into());
        self
    }

    /// Sets whether training changes the layer's parameters; if not, no gradient is computed and no optimizer state
    /// kept for them.
    pub fn trainable(mut self, trainable: bool) -> Self {
        if !self.kind.is_parametric() {
            return self.misused("trainable", "a layer with parameters");
        }
        self.trainable = trainable;
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

    /// Sets whether the last window of a convolution or pooling may reach over the end.
    pub fn ceil_mode(self, ceil_mode: bool) -> Self {
        self.window("ceil_mode", |window| window.ceil_mode(ceil_mode))
    }

    /// Sets how many rows and columns a transposed convolution adds at its result's end: which of the sizes that a
    /// convolution would take to this input it makes.
    pub fn output_padding(mut self, padding: impl Into<Pair>) -> Self {
        match &mut self.kind {
            Kind::ConvTranspose2d { output_padding, .. } => *output_padding = padding.into().0,
            _ => return self.misused("output_padding", "a transposed convolution"),
        }
        self
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
            Kind::Conv2d { groups, .. } | Kind::ConvTranspose2d { groups, .. } => *groups = to,
            _ => return self.misused(option, "a convolution"),
        }
        self
    }

    /// Sets whether a convolution or dense layer has a bias.
    pub fn bias(mut self, has: bool) -> Self {
        match &mut self.kind {
            Kind::Conv2d { bias, .. } | Kind::ConvTranspose2d { bias, .. } | Kind::Dense { bias, .. } => *bias = has,
            _ => return self.misused("bias", "a convolution or dense layer"),
        }
        self
    }

    /// Sets the initial weights of a convolution or dense layer.
    pub fn init(mut self, rule: Init) -> Self {
        match &mut self.kind {
            Kind::Conv2d { init, .. } | Kind::ConvTranspose2d { init, .. } | Kind::Dense { init, .. } => *init = rule,
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

    /// Sets the share of the new in a batch normalisation's running averages, from 0 to 1.
    pub fn momentum(mut self, share: f32) -> Self {
        match &mut self.kind {
            Kind::BatchNorm { momentum, .. } => *momentum = share,
            _ => return self.misused("momentum", "a batch normalisation"),
        }
        self
    }

    /// Sets what a normalisation adds to the variance, above 0.
    pub fn epsilon(mut self, added: f32) -> Self {
        match &mut self.kind {
            Kind::BatchNorm { epsilon, .. }
            | Kind::LayerNorm { epsilon, .. }
            | Kind::GroupNorm { epsilon, .. }
            | Kind::InstanceNorm { epsilon, .. }
            | Kind::RmsNorm { epsilon, .. } => *epsilon = added,
            _ => return self.misused("epsilon", "a normalisation"),
        }
        self
    }

    /// Sets whether a normalisation has weight and bias.
    pub fn affine(mut self, has: bool) -> Self {
        match &mut self.kind {
            Kind::BatchNorm { affine, .. }
            | Kind::LayerNorm { affine, .. }
            | Kind::GroupNorm { affine, .. }
            | Kind::InstanceNorm { affine, .. }
            | Kind::RmsNorm { affine, .. } => *affine = has,
            _ => return self.misused("affine", "a normalisation"),
        }
        self
    }

    /// Sets from which axis on a layer or RMS normalisation normalises, or along which branches are put one behind the
    /// other; 1 is the one after the batch.
    pub fn axis(mut self, from: usize) -> Self {
        match &mut self.kind {
            Kind::LayerNorm { axis, .. } | Kind::RmsNorm { axis, .. } | Kind::Concat { axis } => *axis = from,
            _ => return self.misused("axis", "a layer or RMS normalisation, or a concatenation"),
        }
        self
    }

    fn window(mut self, option: &'static str, set: impl FnOnce(Window) -> Window) -> Self {
        match &mut self.kind {
            Kind::Conv2d { window, .. }
            | Kind::ConvTranspose2d { window, .. }
            | Kind::MaxPool2d { window }
            | Kind::AvgPool2d { window, .. }
            | Kind::LpPool2d { window, .. } => *window = set(*window),
            _ => return self.misused(option, "a convolution or pooling layer"),
        }
        self
    }

    fn misused(mut self, option: &'static str, expected: &'static str) -> Self {
        self.misuse.get_or_insert((option, expected));
        self
    }
}
