//! All kinds of layers: a line each.

use crate::nn::layer::kind::{Layer, LayerKind};
use crate::nn::layer::{
    convolution, elementwise, layout, losses, matrices, normalization, pooling, reductions, training,
};
use crate::ops::{ARITHMETIC, TABLE};

/// A layer of each kind but scalar functions and arithmetic, which tables hold; its required options are not set.
const KINDS: &[fn() -> Layer] = &[
    of::<convolution::Conv2d>,
    of::<convolution::ConvTranspose2d>,
    of::<pooling::MaxPool2d>,
    of::<pooling::AvgPool2d>,
    of::<pooling::LpPool2d>,
    of::<pooling::AdaptiveMaxPool2d>,
    of::<pooling::AdaptiveAvgPool2d>,
    of::<pooling::GlobalMaxPool2d>,
    of::<pooling::GlobalAvgPool2d>,
    of::<pooling::MaxPoolChannels>,
    of::<pooling::AvgPoolChannels>,
    of::<pooling::MaxUnpool2d>,
    of::<reductions::Mean>,
    of::<layout::Flatten>,
    of::<layout::Reshape>,
    of::<layout::Permute>,
    of::<matrices::Dense>,
    of::<normalization::BatchNorm>,
    of::<normalization::LayerNorm>,
    of::<normalization::GroupNorm>,
    of::<normalization::InstanceNorm>,
    of::<normalization::RmsNorm>,
    of::<normalization::LocalResponseNorm>,
    of::<normalization::Normalize>,
    of::<training::Dropout>,
    of::<training::SpatialDropout>,
    of::<layout::Upsample>,
    of::<layout::Pad>,
    of::<layout::PadChannels>,
    of::<layout::Crop>,
    of::<elementwise::Prelu>,
    of::<elementwise::Clip>,
    of::<losses::Softmax>,
    of::<losses::LogSoftmax>,
    of::<layout::Concat>,
];

fn of<K: LayerKind + Default + 'static>() -> Layer {
    Layer::of(K::default(), [])
}

/// A layer of each kind; its required options are not set.
pub(super) fn kinds() -> impl Iterator<Item = Layer> {
    let joins = ARITHMETIC.iter().map(|row| Layer::arithmetic(row.name));
    let functions = TABLE.iter().map(|row| Layer::activation(row.name));
    KINDS.iter().map(|make| make()).chain(joins).chain(functions)
}

impl Layer {
    /// A layer of each kind that network files know, in the order of the guide; its required options are not set.
    pub fn kinds() -> impl Iterator<Item = Layer> {
        kinds()
    }

    /// A layer of the kind of that name, if there is one; its required options are not set.
    pub fn of_kind(name: &str) -> Option<Layer> {
        kinds().find(|layer| layer.kind() == name)
    }
}
