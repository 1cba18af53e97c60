use crate::nn::setting::{Form, RuleForm, Setting, Value};
use crate::nn::{Init, Layer, Network};
use crate::ops::{LocalResponse, TABLE};
use crate::shape::Padding;

/// All rules for initial values.
fn rules() -> &'static [RuleForm] {
    let form = Layer::conv2d(1, 1).with_options(|list| list.iter().find(|s| s.key == "init").map(Setting::form));
    match form {
        Some(Form::Rule(rules)) => rules,
        other => panic!("{other:?}"),
    }
}

/// The layer of this text, read from a file whose input fits it.
fn layer(text: &str) -> Layer {
    let text = format!("input = [4, 16, 16]\nlayer = [{{ kind = \"conv2d\", filters = 4, size = 1 }}, {text}]");
    let net = Network::from_toml(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(Network::from_toml(&net.to_toml()).unwrap(), net, "{}", net.to_toml());
    net.layers()[1].layer.clone()
}

fn error(text: &str) -> String {
    Network::from_toml(text).unwrap_err().to_string()
}

#[test]
fn what_a_file_leaves_out_is_as_the_builders_have_it() {
    for (options, built) in [
        ("'conv2d', filters = 3, size = 5", Layer::conv2d(3, 5)),
        ("'conv_transpose2d', filters = 3, size = 5", Layer::conv_transpose2d(3, 5)),
        ("'max_pool2d', size = [2, 3]", Layer::max_pool2d([2, 3])),
        ("'avg_pool2d', size = 2", Layer::avg_pool2d(2)),
        ("'lp_pool2d', size = 2, p = 3", Layer::lp_pool2d(2, 3.0)),
        ("'adaptive_max_pool2d', output = 2", Layer::adaptive_max_pool2d(2)),
        ("'adaptive_avg_pool2d', output = [2, 1]", Layer::adaptive_avg_pool2d([2, 1])),
        ("'global_max_pool2d'", Layer::global_max_pool2d()),
        ("'global_avg_pool2d'", Layer::global_avg_pool2d()),
        ("'max_pool_channels', channels = 2", Layer::max_pool_channels(2, 2)),
        ("'avg_pool_channels', channels = 2, step = 1", Layer::avg_pool_channels(2, 1)),
        ("'batch_norm'", Layer::batch_norm()),
        ("'layer_norm'", Layer::layer_norm()),
        ("'group_norm', groups = 2", Layer::group_norm(2)),
        ("'instance_norm'", Layer::instance_norm()),
        ("'rms_norm'", Layer::rms_norm()),
        ("'local_response_norm', size = 3", Layer::local_response_norm(3)),
        ("'normalize', mean = 0.5, deviation = 2", Layer::normalize([0.5], [2.0])),
        ("'dropout', p = 0.5", Layer::dropout(0.5)),
        ("'spatial_dropout', p = 0.5", Layer::spatial_dropout(0.5)),
        ("'upsample', factor = 2", Layer::upsample(2)),
        ("'upsample', factor = [2, 1], mode = 'bilinear'", Layer::upsample_bilinear([2, 1])),
        ("'pad', padding = [1, 2]", Layer::pad(Padding::Explicit { top: 1, bottom: 1, left: 2, right: 2 })),
        ("'prelu'", Layer::prelu()),
        ("'prelu', shared = true", Layer::prelu_shared()),
        ("'flatten'", Layer::flatten()),
        ("'reshape', shape = [16, -1]", Layer::reshape([16, -1])),
        ("'permute', axes = [2, 3, 1]", Layer::permute([2, 3, 1])),
        ("'crop', cropping = [1, 2]", Layer::crop(Padding::Explicit { top: 1, bottom: 1, left: 2, right: 2 })),
        ("'pad_channels', channels = 2", Layer::pad_channels(2)),
        ("'clip', min = -1, max = 0.5", Layer::clip(-1.0, 0.5)),
        ("'mean'", Layer::mean()),
        ("'softmax'", Layer::softmax()),
        ("'log_softmax'", Layer::log_softmax()),
        ("'leaky_relu'", Layer::activation("leaky_relu")),
        ("'elu', alpha = 2", Layer::activation_with("elu", 2.0)),
    ] {
        assert_eq!(layer(&format!("{{ kind = {options} }}")), built, "{options}");
    }
    for row in TABLE {
        assert_eq!(layer(&format!("{{ kind = '{}' }}", row.name)), Layer::activation(row.name));
    }
    let dense = "input = [3]\nlayer = [{ kind = 'dense', units = 2 }]";
    assert_eq!(Network::from_toml(dense).unwrap().layers()[0].layer, Layer::dense(2));
}

#[test]
fn every_option_can_be_written() {
    let padding = Padding::Explicit { top: 1, bottom: 0, left: 2, right: 1 };
    for (options, built) in [
        (
            "'conv2d', name = 'c', filters = 8, size = [3, 1], stride = [2, 1], padding = [1, 0, 2, 1], dilation = 2,
             ceil_mode = true, groups = 2, bias = false, init = 'orthogonal', trainable = false",
            Layer::conv2d(8, [3, 1])
                .stride([2, 1])
                .padding(padding)
                .dilation(2)
                .ceil_mode(true)
                .groups(2)
                .bias(false)
                .init(Init::Orthogonal { gain: 1.0 })
                .trainable(false)
                .named("c"),
        ),
        (
            "'conv_transpose2d', filters = 4, size = 3, stride = 2, padding = 1, output_padding = 1, groups = 'depthwise'",
            Layer::conv_transpose2d(4, 3).stride(2).padding(1).output_padding(1).depthwise(),
        ),
        (
            "'avg_pool2d', size = 3, stride = 1, padding = 'same_lower', count_include_pad = false",
            Layer::avg_pool2d(3).stride(1).padding(Padding::SameLower).count_include_pad(false),
        ),
        (
            "'batch_norm', momentum = 0.25, epsilon = 1e-3, affine = false",
            Layer::batch_norm().momentum(0.25).epsilon(1e-3).affine(false),
        ),
        (
            "'normalize', mean = [0, -0.5, 1e-3, 2], deviation = [0.25]",
            Layer::normalize([0.0, -0.5, 1e-3, 2.0], [0.25]),
        ),
        ("'layer_norm', axis = 2, trainable = false", Layer::layer_norm().axis(2).trainable(false)),
        (
            "'local_response_norm', size = 5, alpha = 5e-4, beta = 0.5, k = 2",
            Layer::local_response_norm(LocalResponse { size: 5, alpha: 5e-4, beta: 0.5, k: 2.0 }),
        ),
        ("'pad', padding = 2, value = -1", Layer::pad_with(2, -1.0)),
    ] {
        assert_eq!(layer(&format!("{{ kind = {options} }}")), built, "{options}");
    }
}

#[test]
fn rules_for_initial_values_are_names_or_tables() {
    let init = |text: &str| layer(&format!("{{ kind = 'conv2d', filters = 1, size = 1, init = {text} }}"));
    let built = |rule| Layer::conv2d(1, 1).init(rule);
    assert_eq!(init("'lecun_normal'"), built(Init::LeCunNormal));
    assert_eq!(init("{ rule = 'normal', std = 0.01 }"), built(Init::Normal { mean: 0.0, std: 0.01 }));
    assert_eq!(init("{ rule = 'uniform', low = -1, high = 0.5 }"), built(Init::Uniform { low: -1.0, high: 0.5 }));
    assert_eq!(init("{ rule = 'constant', value = 3 }"), built(Init::Constant(3.0)));
    for (name, keys) in rules() {
        let numbers: Vec<_> =
            keys.iter().filter(|(_, default)| default.is_none()).map(|(key, _)| format!(", {key} = 1")).collect();
        let layer = init(&format!("{{ rule = '{name}'{} }}", numbers.concat()));
        assert!(
            layer.with_options(|list| list.iter().any(|s| matches!(s.value(), Some(Value::Rule(n, _)) if n == *name)))
        );
    }
    let refused = |text: &str| {
        error(&format!("input=[1,4,4]\nlayer = [{{ kind = 'conv2d', filters = 1, size = 1, init = {text} }}]"))
    };
    let prefix = "line 2: layer 1 (conv2d): init: ";
    assert_eq!(refused("{ rule = 'normal' }"), format!("{prefix}rule \"normal\": the key \"std\" is missing"));
    let unknown = "rule \"normal\": unknown key \"stdd\" (did you mean \"std\"?); the keys are rule, mean, std";
    assert_eq!(refused("{ rule = 'normal', stdd = 1 }"), format!("{prefix}{unknown}"));
    let found = "rule \"normal\": std: expected a number, found \"x\"";
    assert_eq!(refused("{ rule = 'normal', std = \"x\" }"), format!("{prefix}{found}"));
    assert!(refused("'he_norm'").contains("unknown rule \"he_norm\" (did you mean \"he_normal\"?); there are zeros, "));
    assert!(refused("3").contains("init: expected a rule's name, or a table such as"));
}

#[test]
fn every_kind_has_its_name() {
    for layer in Layer::kinds() {
        assert_eq!(Layer::of_kind(layer.kind()).unwrap(), layer);
    }
    assert!(Layer::of_kind("conv").is_none());
}
