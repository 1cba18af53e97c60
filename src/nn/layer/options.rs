//! The fluent options of layers. An option that a layer lacks is an error when the network is built.

use crate::nn::init::Init;
use crate::nn::layer::convolution::Groups;
use crate::nn::layer::kind::{Layer, Misuse};
use crate::nn::layer::setting::Value;
use crate::nn::sequential::Sequential;
use crate::shape::{Padding, Pair};

/// Options as methods of a layer, and of a [`Sequential`], where they set those of the last layer.
macro_rules! options {
    ($($(#[$doc:meta])* $method:ident($($argument:ident: $ty:ty)?) => $key:literal, $value:expr;)*) => {
        impl Layer {$(
            $(#[$doc])*
            pub fn $method(self, $($argument: $ty)?) -> Self {
                self.option(stringify!($method), $key, $value.into())
            }
        )*}

        impl Sequential {$(
            #[doc = concat!("Sets the option of the last layer: [`Layer::", stringify!($method), "`].")]
            pub fn $method(self, $($argument: $ty)?) -> Self {
                self.last(stringify!($method), |layer| layer.$method($($argument)?))
            }
        )*}
    };
}

options! {
    /// Sets the padding of a convolution or pooling.
    padding(padding: impl Into<Padding>) => "padding", Into::<Padding>::into(padding);

    /// Sets the stride of a convolution or pooling.
    stride(stride: impl Into<Pair>) => "stride", Into::<Pair>::into(stride);

    /// Sets the dilation of a convolution or pooling.
    dilation(dilation: impl Into<Pair>) => "dilation", Into::<Pair>::into(dilation);

    /// Sets whether the last window of a convolution or pooling may reach over the end.
    ceil_mode(ceil_mode: bool) => "ceil_mode", ceil_mode;

    /// Sets the rows and columns that a transposed convolution adds at the end of its result: they select one of the
    /// sizes from which a convolution makes its input's size.
    output_padding(padding: impl Into<Pair>) => "output_padding", Into::<Pair>::into(padding);

    /// Sets the number of groups: the filters and the channels of a convolution are multiples of it.
    groups(groups: usize) => "groups", groups;

    /// Makes each filter of a convolution see one channel: with C channels the filters are a multiple of C, and the
    /// first filters/C see the first channel.
    depthwise() => "groups", Groups::Depthwise;

    /// Sets whether a convolution or dense layer has a bias.
    bias(has: bool) => "bias", has;

    /// Sets the initial weights of a convolution or dense layer.
    init(rule: Init) => "init", rule;

    /// Sets whether an average pooling counts padding as zeros.
    count_include_pad(counts: bool) => "count_include_pad", counts;

    /// Sets the weight of the new value in a batch normalization's running averages, from 0 to 1.
    momentum(momentum: f32) => "momentum", momentum;

    /// Sets the number, above 0, that a normalization adds to the variance.
    epsilon(epsilon: f32) => "epsilon", epsilon;

    /// Sets whether a normalization has weight and bias.
    affine(has: bool) => "affine", has;

    /// Sets the first axis over which a layer or RMS normalization normalizes, or the axis along which a concatenation
    /// joins; 1 is the axis after the batch.
    axis(axis: usize) => "axis", axis;
}

impl Layer {
    /// Names the layer; its parameters are `name.weight`, `name.bias` and so on. Activations have no name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        if self.is_activation() {
            return self.misused(Misuse::Other { method: "named", expected: "a layer other than an activation" });
        }
        self.name = Some(name.into());
        self
    }

    /// Sets whether training changes the layer's parameters; if not, no gradient is computed and no optimizer state
    /// kept for them.
    pub fn trainable(mut self, trainable: bool) -> Self {
        if !self.kind.is_parametric() {
            return self.misused(Misuse::Other { method: "trainable", expected: "a layer with parameters" });
        }
        self.trainable = trainable;
        self
    }

    fn option(mut self, method: &'static str, key: &'static str, value: Value) -> Self {
        match self.set(key, value.clone()) {
            true => self,
            false => self.misused(Misuse::Option { method, key, value }),
        }
    }

    fn misused(mut self, misuse: Misuse) -> Self {
        self.misuse.get_or_insert(misuse);
        self
    }
}

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
