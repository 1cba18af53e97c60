use super::*;
use crate::nn::{Init, Layout, Network, Stored, Summary};
use crate::shape::Padding;

const SIDES: Padding = Padding::Explicit { top: 1, bottom: 0, left: 2, right: 1 };

fn error(model: Sequential) -> String {
    Layout::of(&model).unwrap_err().to_string()
}

fn image() -> Sequential {
    Sequential::new([1, 8, 8])
}

/// As a file, and what is read back as a stack again.
fn survives_a_file(model: &Sequential) {
    let net = Network::from(model.clone());
    assert_eq!(Summary::of(&net).unwrap(), Summary::of(model).unwrap());
    let text = net.to_toml();
    let read = Network::from_toml(&text).unwrap();
    assert_eq!(read, net, "{text}");
    assert_eq!(&Sequential::try_from(read).unwrap(), model);
}

#[test]
fn errors_name_the_layer() {
    for (model, parts) in [
        (image().conv2d(2, 3).conv2d(2, 7), &["conv2d \"conv2\"", "7 rows", "6 rows"][..]),
        (image().conv2d(2, 3).stride(0), &["conv2d \"conv1\"", "stride", "0x0"]),
        (image().conv2d(2, 0), &["conv2d \"conv1\"", "window", "0x0"]),
        (image().conv2d(0, 3), &["conv2d \"conv1\"", "filters", "at least 1"]),
        (image().conv2d(usize::MAX, 3), &["conv1.weight", "32 bits"]),
        (image().conv2d(4, 3).conv2d(6, 3).groups(4), &["conv2d \"conv2\"", "6 filters", "4 groups"]),
        (image().conv2d(4, 3).conv2d(6, 3).groups(3), &["conv2d \"conv2\"", "4 channels", "3 groups"]),
        (image().conv2d(4, 3).groups(0), &["conv2d \"conv1\"", "groups", "at least 1"]),
        (image().conv2d(4, 3).conv2d(6, 3).depthwise(), &["conv2d \"conv2\"", "6 filters", "4 groups"]),
        (image().max_pool2d(9).named("last"), &["max_pool2d \"last\"", "9 rows"]),
        (image().dense(10), &["dense \"fc1\"", "[1, 1, 8, 8]", "flatten"]),
        (image().flatten().dense(0), &["dense \"fc1\"", "units", "at least 1"]),
        (image().flatten().conv2d(2, 3), &["conv2d \"conv1\"", "[1, 64]"]),
        (image().activation("gelou"), &["gelou", "relu, relu6"]),
        (image().conv2d(2, 3).named("").relu(), &["layer name", "\"\""]),
        (image().conv2d(2, 3).named("conv2").conv2d(2, 3), &["layer name", "\"conv2\""]),
        (image().conv2d(2, 3).init(Init::Constant(f32::NAN)), &["conv1.weight", "finite"]),
        (Sequential::new([1, 0, 8]).flatten(), &["input", "axis of 0"]),
    ] {
        let message = error(model);
        assert!(parts.iter().all(|part| message.contains(part)), "{message:?} lacks one of {parts:?}");
    }
}

#[test]
fn an_option_the_layer_does_not_have_is_told_when_built() {
    for (model, parts) in [
        (
            image().conv2d(2, 3).relu().padding(Padding::Same),
            [".padding()", "option padding before it (conv2d, conv_transpose2d, max_pool2d, ", "found relu"],
        ),
        (
            image().flatten().dense(3).stride(2),
            [".stride()", "option stride before it (conv2d, conv_transpose2d, max_pool2d, ", "found dense"],
        ),
        (
            image().max_pool2d(2).groups(2),
            [".groups()", "option groups before it (conv2d, conv_transpose2d, group_norm)", "max_pool2d 2x2"],
        ),
        (
            image().flatten().depthwise(),
            [".depthwise()", "option groups before it (conv2d, conv_transpose2d)", "flatten"],
        ),
        (image().max_pool2d(2).bias(false), [".bias()", "(conv2d, conv_transpose2d, dense)", "max_pool2d 2x2"]),
        (image().max_pool2d(2).count_include_pad(false), [".count_include_pad()", "(avg_pool2d)", "max_pool2d"]),
        (image().conv2d(2, 3).relu().named("a"), [".named()", "before it", "relu"]),
        (image().dilation(2).conv2d(2, 3), [".dilation()", "a layer before it", "beginning"]),
    ] {
        let message = error(model);
        assert!(parts.iter().all(|part| message.contains(part)), "{message:?} lacks one of {parts:?}");
    }
}

#[test]
fn options_reach_the_layers() {
    let model = Sequential::new([3, 12, 10])
        .named("tried")
        .conv2d(4, [3, 1])
        .stride([2, 1])
        .padding(1)
        .bias(false)
        .named("stem")
        .tanh()
        .avg_pool2d(3)
        .stride(1)
        .padding(Padding::Same)
        .count_include_pad(false)
        .flatten()
        .dense(5)
        .softmax();
    let layout = Layout::of(&model).unwrap();
    let found: Vec<_> = layout.specs().iter().map(|s| (s.name.as_str(), s.shape.to_vec(), s.stored)).collect();
    assert_eq!(
        found,
        [
            ("stem.weight", vec![4, 3, 3, 1], Stored::AsIs),
            ("fc1.weight", vec![4 * 6 * 12, 5], Stored::Transposed),
            ("fc1.bias", vec![5], Stored::AsIs),
        ]
    );
    let summary = Summary::of(&model).unwrap();
    let kinds: Vec<_> = summary.rows.iter().map(|row| (row.layer.as_str(), row.kind.as_str())).collect();
    assert_eq!(
        kinds,
        [
            ("stem", "conv2d 3x1 stride 2x1 pad 1 tanh"),
            ("pool1", "avg_pool2d 3x3 stride 1 same"),
            ("flatten1", "flatten"),
            ("fc1", "dense softmax"),
        ]
    );
    assert_eq!(summary.model, "tried");
}

#[test]
fn groups_thin_out_weights_and_work() {
    let model = Sequential::new([4, 8, 8]).conv2d(6, 3).groups(2).conv2d(12, 3).padding(1).depthwise().bias(false);
    let layout = Layout::of(&model).unwrap();
    let found: Vec<_> = layout.specs().iter().map(|s| (s.name.as_str(), s.shape.to_vec(), s.fans)).collect();
    assert_eq!(
        found,
        [
            ("conv1.weight", vec![6, 2, 3, 3], [18, 27]),
            ("conv1.bias", vec![6], [1, 6]),
            ("conv2.weight", vec![12, 1, 3, 3], [9, 18]),
        ]
    );
    let rows = Summary::of(&model).unwrap().rows;
    assert_eq!((rows[0].kind.as_str(), rows[0].multiply_adds), ("conv2d 3x3 groups 2", 6 * 36 * 18));
    assert_eq!((rows[1].kind.as_str(), rows[1].multiply_adds), ("conv2d 3x3 pad 1 depthwise", 12 * 36 * 9));
    survives_a_file(&model);
}

#[test]
fn a_network_survives_a_file() {
    let padding = Padding::Explicit { top: 1, bottom: 0, left: 2, right: 1 };
    let model = image().conv2d(4, [3, 1]).padding(padding).named("stem").relu().max_pool2d(2).flatten().dense(5);
    survives_a_file(&model);
}

#[test]
fn every_layer_has_its_shape_and_its_parameters() {
    let image = || Sequential::new([4, 8, 6]);
    for (model, kind, output, [parameters, trainable]) in [
        (image().conv_transpose2d(6, 3).stride(2).padding(1).output_padding(1), "", vec![6, 16, 12], [222, 222]),
        (image().conv_transpose2d(6, [2, 3]).groups(2).bias(false), "", vec![6, 9, 8], [4 * 3 * 6, 4 * 3 * 6]),
        (image().conv_transpose2d(8, 2).stride(2).depthwise(), "", vec![8, 16, 12], [4 * 2 * 4 + 8; 2]),
        (image().max_pool2d(3).stride(2).dilation([2, 1]).ceil_mode(true), "", vec![4, 3, 3], [0, 0]),
        (image().lp_pool2d(2, 3.0), "l3_pool2d 2x2", vec![4, 4, 3], [0, 0]),
        (image().adaptive_max_pool2d([3, 2]), "adaptive_max_pool2d 3x2", vec![4, 3, 2], [0, 0]),
        (image().adaptive_avg_pool2d(5), "adaptive_avg_pool2d 5x5", vec![4, 5, 5], [0, 0]),
        (image().global_max_pool2d(), "global_max_pool2d", vec![4, 1, 1], [0, 0]),
        (image().global_avg_pool2d(), "global_avg_pool2d", vec![4, 1, 1], [0, 0]),
        (image().max_pool_channels(2, 2), "max_pool_channels 2", vec![2, 8, 6], [0, 0]),
        (image().avg_pool_channels(2, 1), "avg_pool_channels 2 stride 1", vec![3, 8, 6], [0, 0]),
        (image().batch_norm(), "batch_norm", vec![4, 8, 6], [16, 8]),
        (image().batch_norm().affine(false).momentum(0.5).epsilon(1e-3), "batch_norm", vec![4, 8, 6], [8, 0]),
        (image().batch_norm().trainable(false), "batch_norm", vec![4, 8, 6], [16, 0]),
        (image().layer_norm(), "layer_norm", vec![4, 8, 6], [384, 384]),
        (image().layer_norm().axis(3), "layer_norm from axis 3", vec![4, 8, 6], [12, 12]),
        (image().group_norm(2), "group_norm 2", vec![4, 8, 6], [8, 8]),
        (image().instance_norm(), "instance_norm", vec![4, 8, 6], [0, 0]),
        (image().instance_norm().affine(true), "instance_norm", vec![4, 8, 6], [8, 8]),
        (image().rms_norm().axis(2), "rms_norm from axis 2", vec![4, 8, 6], [48, 48]),
        (image().local_response_norm(3), "local_response_norm 3", vec![4, 8, 6], [0, 0]),
        (image().dropout(0.5), "dropout 0.5", vec![4, 8, 6], [0, 0]),
        (image().spatial_dropout(0.25), "spatial_dropout 0.25", vec![4, 8, 6], [0, 0]),
        (image().upsample([2, 3]), "upsample 2x3 nearest", vec![4, 16, 18], [0, 0]),
        (image().upsample_bilinear(2), "upsample 2x2 bilinear", vec![4, 16, 12], [0, 0]),
        (image().pad(1), "pad 1", vec![4, 10, 8], [0, 0]),
        (image().pad_with(2, -1.0), "pad 2 with -1", vec![4, 12, 10], [0, 0]),
        (image().crop(1), "crop 1", vec![4, 6, 4], [0, 0]),
        (image().crop(SIDES), "crop 1,0,2,1", vec![4, 7, 3], [0, 0]),
        (image().pad_channels(3), "pad_channels 3", vec![7, 8, 6], [0, 0]),
        (image().reshape([2, -1]), "reshape 2,-1", vec![2, 96], [0, 0]),
        (image().permute([2, 3, 1]), "permute 2,3,1", vec![8, 6, 4], [0, 0]),
        (image().mean(), "mean", vec![4], [0, 0]),
        (image().conv2d(4, 1).clip(-1.0, 0.5), "conv2d 1x1 clip -1 to 0.5", vec![4, 8, 6], [20, 20]),
        (image().prelu(), "prelu", vec![4, 8, 6], [4, 4]),
        (image().prelu_shared(), "prelu shared", vec![4, 8, 6], [1, 1]),
        (image().conv2d(2, 3).trainable(false).leaky_relu(0.2), "conv2d 3x3 leaky_relu 0.2", vec![2, 6, 4], [74, 0]),
        (image().conv2d(2, 1).gelu().elu(0.5).log_softmax(), "", vec![2, 8, 6], [10, 10]),
    ] {
        let summary = Summary::of(&model).unwrap();
        let row = &summary.rows[0];
        assert!(kind.is_empty() || row.kind == kind, "{row:?}");
        assert_eq!((&row.output, [row.parameters, row.trainable]), (&output, [parameters, trainable]), "{row:?}");
        assert_eq!([summary.parameters, summary.trainable], [parameters, trainable], "{row:?}");
        survives_a_file(&model);
    }
}

#[test]
fn bad_options_of_layers_are_told_with_the_layer() {
    for (model, parts) in [
        (image().dropout(1.0), &["dropout \"dropout1\"", "below 1", "found 1"][..]),
        (image().pad(Padding::Same), &["pad \"pad1\"", "same padding"]),
        (image().group_norm(3), &["group_norm", "divisor of the 1 channels"]),
        (image().upsample(0), &["upsample \"up1\"", "factor", "at least 1"]),
        (image().conv_transpose2d(2, 0), &["conv_transpose2d \"deconv1\"", "window", "0x0"]),
        (image().conv_transpose2d(2, 3).stride(0), &["conv_transpose2d \"deconv1\"", "stride", "0x0"]),
        (image().conv_transpose2d(2, 3).output_padding(3), &["conv_transpose2d \"deconv1\"", "output padding"]),
        (image().conv2d(2, 3).output_padding(1), &[".output_padding()", "(conv_transpose2d)", "found conv2d 3x3"]),
        (image().layer_norm().momentum(0.5), &[".momentum()", "(batch_norm)", "layer_norm"]),
        (
            image().flatten().epsilon(1.0),
            &[".epsilon()", "(batch_norm, layer_norm, group_norm, instance_norm, rms_norm)", "flatten"],
        ),
        (image().max_pool2d(2).trainable(false), &[".trainable()", "a layer with parameters", "max_pool2d"]),
        (image().layer_norm().axis(7), &["layer_norm", "axis"]),
        (image().batch_norm().epsilon(0.0), &["batch_norm", "bn1", "epsilon"]),
        (image().relu().leaky_relu(-1.0), &["slope of leaky_relu", "found -1"]),
        (image().activation_with("gelu", 1.0), &["gelu", "no parameter"]),
        (image().crop(4), &["crop \"crop1\"", "4 + 4 rows", "input of 8"]),
        (image().crop(Padding::Same), &["crop \"crop1\"", "same padding"]),
        (image().pad_channels(0), &["pad_channels \"pad1\"", "channels", "at least 1"]),
        (image().flatten().pad_channels(1), &["pad_channels \"pad1\"", "[1, 64]"]),
        (image().reshape([3, -1]), &["reshape \"reshape1\": shape", "the 64 elements", "found [3, -1]"]),
        (image().reshape([-1, -1]), &["reshape \"reshape1\": shape", "-1 at most once"]),
        (image().reshape([0, 64]), &["reshape \"reshape1\": shape", "positive extents"]),
        (image().permute([0, 2, 1]), &["permute \"permute1\": axes", "each axis from 1 to 3 once", "[0, 2, 1]"]),
        (image().permute([1, 2]), &["permute \"permute1\": axes", "each axis from 1 to 3 once"]),
        (image().clip(1.0, -1.0), &["clamp", "clip1", "bounds"]),
        (image().flatten().mean(), &["mean \"mean1\"", "[1, 64]"]),
        (image().max_unpool2d("pool1"), &["max_unpool2d \"unpool1\": of", "a max_pool2d layer above it", "\"pool1\""]),
        (image().avg_pool2d(2).max_unpool2d("pool1"), &["max_unpool2d \"unpool1\": of", "found \"pool1\""]),
        (image().max_pool2d(2).max_pool2d(2).max_unpool2d("pool1"), &["max_unpool2d \"unpool1\"", "[1, 1, 2, 2]"]),
        (image().lp_pool2d(2, 0.0), &["lp_pool2d p", "found 0"]),
        (image().adaptive_avg_pool2d(0), &["adaptive_avg_pool2d", "0"]),
    ] {
        let message = error(model);
        assert!(parts.iter().all(|part| message.contains(part)), "{message:?} lacks one of {parts:?}");
    }
}

#[test]
fn unpooling_takes_the_size_of_the_pooling_s_input() {
    let model = image().conv2d(3, 2).relu().max_pool2d(2).named("down").conv2d(3, 1).max_unpool2d("down");
    let row = Summary::of(&model).unwrap().rows.pop().unwrap();
    assert_eq!((row.layer.as_str(), row.kind.as_str()), ("unpool1", "max_unpool2d of down"));
    assert_eq!(row.output, [3, 7, 7]);
    survives_a_file(&model);
}

#[test]
fn receptive_fields_shrink_on_enlarged_maps() {
    let field = |model: Sequential| Summary::of(&model).unwrap().rows.last().unwrap().receptive_field.unwrap();
    let image = || Sequential::new([1, 40, 40]);
    assert_eq!(field(image().conv2d(1, 3).upsample(2).conv2d(1, 3)), [4, 4]);
    assert_eq!(field(image().max_pool2d(2).conv_transpose2d(1, 2).stride(2)), [2, 2]);
    assert_eq!(field(image().conv_transpose2d(1, 4).stride(2)), [2, 2]);
    assert_eq!(field(image().adaptive_avg_pool2d([7, 40])), [7, 1]);
    assert_eq!(field(image().global_avg_pool2d()), [40, 40]);
}

#[test]
fn parameters_are_named_and_arranged_as_training_needs_them() {
    let model = Sequential::new([1, 6, 6]).conv2d(3, 3).trainable(false).batch_norm().prelu().flatten().dense(2);
    let layout = Layout::of(&model).unwrap();
    let names: Vec<_> = layout.specs().iter().map(|spec| spec.name.as_str()).collect();
    let bn = ["bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"];
    let expected = [&["conv1.weight", "conv1.bias"][..], &bn, &["prelu1.weight", "fc1.weight", "fc1.bias"]].concat();
    assert_eq!(names, expected);
    let at = |name: &str| layout.offsets()[names.iter().position(|n| *n == name).unwrap()];
    assert_eq!((layout.trainable(), layout.count()), (3 + 3 + 3 + 96 + 2, 30 + 12 + 3 + 98));
    assert!(at("fc1.bias") < layout.trained() && layout.frozen().contains(&at("conv1.weight")));
    assert!(at("bn1.running_mean") >= layout.frozen().end);
    assert_eq!(at("bn1.running_var"), at("bn1.running_mean") + 3, "end to end, as rows of one matrix");
    let initial = layout.initial(1);
    assert_eq!(initial[at("bn1.running_mean")..][..6], [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    assert_eq!(initial[at("prelu1.weight")], 0.25);
}
