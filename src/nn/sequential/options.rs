//! Options of the last layer.

use crate::nn::sequential::Sequential;
use crate::nn::{Init, Layer};
use crate::shape::{Padding, Pair};

impl Sequential {
    /// Names the last layer, or the network if there is no layer yet.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        if self.layers.is_empty() {
            self.name = name.into();
            return self;
        }
        self.last("named", |layer| layer.named(name))
    }

    /// Sets whether training changes the parameters of the last layer: [`Layer::trainable`].
    pub fn trainable(self, trainable: bool) -> Self {
        self.last("trainable", |layer| layer.trainable(trainable))
    }

    /// Sets the padding of the last layer, a convolution or pooling.
    pub fn padding(self, padding: impl Into<Padding>) -> Self {
        self.last("padding", |layer| layer.padding(padding))
    }

    /// Sets the stride of the last layer, a convolution or pooling.
    pub fn stride(self, stride: impl Into<Pair>) -> Self {
        self.last("stride", |layer| layer.stride(stride))
    }

    /// Sets the dilation of the last layer, a convolution or pooling.
    pub fn dilation(self, dilation: impl Into<Pair>) -> Self {
        self.last("dilation", |layer| layer.dilation(dilation))
    }

    /// Sets whether the last window of the last layer, a convolution or pooling, may reach over the end.
    pub fn ceil_mode(self, ceil_mode: bool) -> Self {
        self.last("ceil_mode", |layer| layer.ceil_mode(ceil_mode))
    }

    /// Sets the output padding of the last layer, a transposed convolution: [`Layer::output_padding`].
    pub fn output_padding(self, padding: impl Into<Pair>) -> Self {
        self.last("output_padding", |layer| layer.output_padding(padding))
    }

    /// Sets the groups of the last layer, a convolution: [`Layer::groups`].
    pub fn groups(self, groups: usize) -> Self {
        self.last("groups", |layer| layer.groups(groups))
    }

    /// Makes the last layer, a convolution, see each channel by itself: [`Layer::depthwise`].
    pub fn depthwise(self) -> Self {
        self.last("depthwise", Layer::depthwise)
    }

    /// Sets whether the last layer, a convolution or dense one, has a bias.
    pub fn bias(self, has: bool) -> Self {
        self.last("bias", |layer| layer.bias(has))
    }

    /// Sets the initial weights of the last layer, a convolution or dense one.
    pub fn init(self, init: Init) -> Self {
        self.last("init", |layer| layer.init(init))
    }

    /// Sets whether the last layer, an average pooling, counts padding as zeros.
    pub fn count_include_pad(self, counts: bool) -> Self {
        self.last("count_include_pad", |layer| layer.count_include_pad(counts))
    }

    /// Sets the share of the new in the running averages of the last layer, a batch normalisation.
    pub fn momentum(self, share: f32) -> Self {
        self.last("momentum", |layer| layer.momentum(share))
    }

    /// Sets what the last layer, a normalisation, adds to the variance.
    pub fn epsilon(self, added: f32) -> Self {
        self.last("epsilon", |layer| layer.epsilon(added))
    }

    /// Sets whether the last layer, a normalisation, has weight and bias.
    pub fn affine(self, has: bool) -> Self {
        self.last("affine", |layer| layer.affine(has))
    }

    /// Sets from which axis on the last layer, a layer or RMS normalisation, normalises.
    pub fn axis(self, from: usize) -> Self {
        self.last("axis", |layer| layer.axis(from))
    }

    fn last(mut self, option: &'static str, set: impl FnOnce(Layer) -> Layer) -> Self {
        match self.layers.pop() {
            Some(layer) => self.layers.push(set(layer)),
            None => {
                self.misuse.get_or_insert(option);
            }
        }
        self
    }
}
