//! The keys of each kind of layer, in the order in which they are written.

use std::mem::discriminant;

use crate::formats::toml::value::Value;
use crate::nn::{Groups, Init, Kind, Layer};
use crate::ops::{ARITHMETIC, TABLE, Upsampling};
use crate::shape::{Padding, Window};

/// Whoever goes through the keys of something: to fill it from a file, or to write it.
pub(super) trait Keys {
    /// A key that must be there.
    fn required<T: Value>(&mut self, key: &'static str, value: &mut T);

    /// A key that may be left out, and what it then is.
    fn optional<T: Value>(&mut self, key: &'static str, value: &mut T, usual: T);
}

type Make = fn() -> Layer;

/// A layer of each kind but those that are rows of a table: scalar functions and arithmetic.
const KINDS: [(&str, Make); 28] = [
    ("conv2d", || Layer::conv2d(1, 1)),
    ("conv_transpose2d", || Layer::conv_transpose2d(1, 1)),
    ("max_pool2d", || Layer::max_pool2d(1)),
    ("avg_pool2d", || Layer::avg_pool2d(1)),
    ("lp_pool2d", || Layer::lp_pool2d(1, 1.0)),
    ("adaptive_max_pool2d", || Layer::adaptive_max_pool2d(1)),
    ("adaptive_avg_pool2d", || Layer::adaptive_avg_pool2d(1)),
    ("global_max_pool2d", Layer::global_max_pool2d),
    ("global_avg_pool2d", Layer::global_avg_pool2d),
    ("max_pool_channels", || Layer::max_pool_channels(1, 1)),
    ("avg_pool_channels", || Layer::avg_pool_channels(1, 1)),
    ("flatten", Layer::flatten),
    ("dense", || Layer::dense(1)),
    ("batch_norm", Layer::batch_norm),
    ("layer_norm", Layer::layer_norm),
    ("group_norm", || Layer::group_norm(1)),
    ("instance_norm", Layer::instance_norm),
    ("rms_norm", Layer::rms_norm),
    ("local_response_norm", || Layer::local_response_norm(1)),
    ("normalize", || Layer::normalize([0.0], [1.0])),
    ("dropout", || Layer::dropout(0.0)),
    ("spatial_dropout", || Layer::spatial_dropout(0.0)),
    ("upsample", || Layer::upsample(1)),
    ("pad", || Layer::pad(0)),
    ("prelu", Layer::prelu),
    ("softmax", Layer::softmax),
    ("log_softmax", Layer::log_softmax),
    ("concat", Layer::concat),
];

/// The names of all kinds.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let (joins, functions) = (ARITHMETIC.iter().map(|row| row.name), TABLE.iter().map(|row| row.name));
    KINDS.iter().map(|(name, _)| *name).chain(joins).chain(functions)
}

/// A layer of that kind, whose options are yet to be set.
pub(super) fn make(name: &str) -> Option<Layer> {
    if let Some((_, make)) = KINDS.iter().find(|(kind, _)| *kind == name) {
        return Some(make());
    }
    let join = ARITHMETIC.iter().any(|row| row.name == name).then(|| Layer::arithmetic(name));
    join.or_else(|| TABLE.iter().any(|row| row.name == name).then(|| Layer::activation(name)))
}

/// The name of a layer's kind.
pub(super) fn name(kind: &Kind) -> &str {
    match kind {
        Kind::Activation { function, .. } | Kind::Arithmetic { function } => function,
        other => {
            let same = |(_, make): &&(&str, Make)| discriminant(&make().kind) == discriminant(other);
            KINDS.iter().find(same).map_or("", |(name, _)| name)
        }
    }
}

/// Goes through the keys of a layer, its name aside.
pub(super) fn visit(layer: &mut Layer, keys: &mut impl Keys) {
    visit_kind(&mut layer.kind, keys);
    if layer.kind.is_parametric() {
        keys.optional("trainable", &mut layer.trainable, true);
    }
}

fn visit_kind(kind: &mut Kind, keys: &mut impl Keys) {
    match kind {
        Kind::Conv2d { filters, window, groups, bias, init } => {
            keys.required("filters", filters);
            visit_window(window, false, keys);
            keys.optional("groups", groups, Groups::default());
            keys.optional("bias", bias, true);
            keys.optional("init", init, Init::default());
        }
        Kind::ConvTranspose2d { filters, window, output_padding, groups, bias, init } => {
            keys.required("filters", filters);
            visit_window(window, false, keys);
            keys.optional("output_padding", output_padding, [0, 0]);
            keys.optional("groups", groups, Groups::default());
            keys.optional("bias", bias, true);
            keys.optional("init", init, Init::default());
        }
        Kind::MaxPool2d { window } => visit_window(window, true, keys),
        Kind::AvgPool2d { window, count_include_pad } => {
            visit_window(window, true, keys);
            keys.optional("count_include_pad", count_include_pad, true);
        }
        Kind::LpPool2d { window, p } => {
            visit_window(window, true, keys);
            keys.required("p", p);
        }
        Kind::AdaptiveMaxPool2d { output } | Kind::AdaptiveAvgPool2d { output } => keys.required("output", output),
        Kind::MaxPoolChannels { channels, step } | Kind::AvgPoolChannels { channels, step } => {
            keys.required("channels", channels);
            keys.optional("step", step, *channels);
        }
        Kind::Dense { units, bias, init } => {
            keys.required("units", units);
            keys.optional("bias", bias, true);
            keys.optional("init", init, Init::default());
        }
        Kind::BatchNorm { momentum, epsilon, affine } => {
            keys.optional("momentum", momentum, 0.1);
            keys.optional("epsilon", epsilon, 1e-5);
            keys.optional("affine", affine, true);
        }
        Kind::LayerNorm { axis, epsilon, affine } | Kind::RmsNorm { axis, epsilon, affine } => {
            keys.optional("axis", axis, 1);
            keys.optional("epsilon", epsilon, 1e-5);
            keys.optional("affine", affine, true);
        }
        Kind::GroupNorm { groups, epsilon, affine } => {
            keys.required("groups", groups);
            keys.optional("epsilon", epsilon, 1e-5);
            keys.optional("affine", affine, true);
        }
        Kind::InstanceNorm { epsilon, affine } => {
            keys.optional("epsilon", epsilon, 1e-5);
            keys.optional("affine", affine, false);
        }
        Kind::LocalResponseNorm { by } => {
            keys.required("size", &mut by.size);
            keys.optional("alpha", &mut by.alpha, 1e-4);
            keys.optional("beta", &mut by.beta, 0.75);
            keys.optional("k", &mut by.k, 1.0);
        }
        Kind::Normalize { mean, deviation } => {
            keys.required("mean", mean);
            keys.required("deviation", deviation);
        }
        Kind::Dropout { p } | Kind::SpatialDropout { p } => keys.required("p", p),
        Kind::Upsample { factor, how } => {
            keys.required("factor", factor);
            keys.optional("mode", how, Upsampling::Nearest);
        }
        Kind::Pad { sides, value } => {
            keys.required("padding", sides);
            keys.optional("value", value, 0.0);
        }
        Kind::Prelu { shared } => keys.optional("shared", shared, false),
        Kind::Activation { function, parameter } => {
            let row = TABLE.iter().find(|row| row.name == function);
            if let Some(known) = row.and_then(|row| row.parameter.as_ref()) {
                keys.optional(known.name, parameter, None);
            }
        }
        Kind::Concat { axis } => keys.optional("axis", axis, 1),
        Kind::GlobalMaxPool2d
        | Kind::GlobalAvgPool2d
        | Kind::Flatten
        | Kind::Softmax
        | Kind::LogSoftmax
        | Kind::Arithmetic { .. } => {}
    }
}

fn visit_window(window: &mut Window, is_pooling: bool, keys: &mut impl Keys) {
    keys.required("size", &mut window.size);
    keys.optional("stride", &mut window.stride, if is_pooling { window.size } else { [1, 1] });
    keys.optional("padding", &mut window.padding, Padding::Valid);
    keys.optional("dilation", &mut window.dilation, [1, 1]);
    keys.optional("ceil_mode", &mut window.ceil_mode, false);
}

/// The rules for initial values.
pub(super) const RULES: [(&str, Init); 14] = [
    ("zeros", Init::Zeros),
    ("constant", Init::Constant(0.0)),
    ("uniform", Init::Uniform { low: 0.0, high: 0.0 }),
    ("normal", Init::Normal { mean: 0.0, std: 0.0 }),
    ("truncated_normal", Init::TruncatedNormal { mean: 0.0, std: 0.0 }),
    ("glorot_uniform", Init::GlorotUniform),
    ("glorot_normal", Init::GlorotNormal),
    ("he_uniform", Init::HeUniform),
    ("he_normal", Init::HeNormal),
    ("he_uniform_fan_out", Init::HeUniformFanOut),
    ("he_normal_fan_out", Init::HeNormalFanOut),
    ("lecun_uniform", Init::LeCunUniform),
    ("lecun_normal", Init::LeCunNormal),
    ("orthogonal", Init::Orthogonal { gain: 1.0 }),
];

/// The name of a rule.
pub(super) fn rule(init: &Init) -> &'static str {
    RULES.iter().find(|(_, rule)| discriminant(rule) == discriminant(init)).map_or("", |(name, _)| name)
}

/// Goes through the keys of a rule.
pub(super) fn visit_rule(init: &mut Init, keys: &mut impl Keys) {
    match init {
        Init::Constant(value) => keys.required("value", value),
        Init::Uniform { low, high } => {
            keys.required("low", low);
            keys.required("high", high);
        }
        Init::Normal { mean, std } | Init::TruncatedNormal { mean, std } => {
            keys.optional("mean", mean, 0.0);
            keys.required("std", std);
        }
        Init::Orthogonal { gain } => keys.optional("gain", gain, 1.0),
        _ => {}
    }
}
