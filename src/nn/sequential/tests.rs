use super::*;
use crate::nn::{Init, Layout, Stored, Summary};
use crate::shape::Padding;

fn error(model: Sequential) -> String {
    Layout::of(&model).unwrap_err().to_string()
}

fn image() -> Sequential {
    Sequential::new([1, 8, 8])
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
        (image().conv2d(2, 3).relu().padding(Padding::Same), [".padding()", "convolution or pooling", "relu"]),
        (image().flatten().dense(3).stride(2), [".stride()", "convolution or pooling", "dense"]),
        (image().max_pool2d(2).groups(2), [".groups()", "a convolution before it", "max_pool2d 2x2"]),
        (image().flatten().depthwise(), [".depthwise()", "a convolution before it", "flatten"]),
        (image().max_pool2d(2).bias(false), [".bias()", "convolution or dense", "max_pool2d 2x2"]),
        (image().max_pool2d(2).count_include_pad(false), [".count_include_pad()", "average", "max_pool2d"]),
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
    let text = toml::to_string(&model).unwrap();
    assert_eq!(toml::from_str::<Sequential>(&text).unwrap(), model, "{text}");
}

#[test]
fn a_network_survives_a_file() {
    let padding = Padding::Explicit { top: 1, bottom: 0, left: 2, right: 1 };
    let model = image().conv2d(4, [3, 1]).padding(padding).named("stem").relu().max_pool2d(2).flatten().dense(5);
    let text = toml::to_string(&model).unwrap();
    assert_eq!(toml::from_str::<Sequential>(&text).unwrap(), model, "{text}");
}
