//! What a network with branches is.

use lenslet::nn::{Build, Layer, Layout, Model, Network, Sequential, Summary};
use lenslet::{NodeId, Result, Shape};

fn residual() -> Network {
    Network::new([8, 16, 16])
        .named("residual")
        .stack([Layer::conv2d(8, 3).padding(1), Layer::relu(), Layer::conv2d(8, 3).padding(1).named("second")])
        .sum(["second", "input"])
        .stack([Layer::relu(), Layer::global_avg_pool2d(), Layer::flatten(), Layer::dense(10)])
}

/// The same, written as a model of one's own.
struct Own;

impl Model for Own {
    fn name(&self) -> &str {
        "residual"
    }
    fn input(&self) -> Shape {
        [8, 16, 16].into()
    }
    fn forward(&self, b: &mut Build<'_>, x: NodeId) -> Result<NodeId> {
        let y = Layer::conv2d(8, 3).padding(1).apply(b, "conv1", x)?;
        let y = Layer::relu().apply(b, "relu1", y)?;
        let y = Layer::conv2d(8, 3).padding(1).apply(b, "second", y)?;
        let y = Layer::add().join(b, "add1", &[y, x])?;
        let y = Layer::relu().apply(b, "relu2", y)?;
        let y = Layer::global_avg_pool2d().apply(b, "pool1", y)?;
        let y = Layer::flatten().apply(b, "flatten1", y)?;
        Layer::dense(10).apply(b, "fc1", y)
    }
}

#[test]
fn a_network_is_the_model_one_would_write() {
    let net = residual();
    assert_eq!(Summary::of(&net).unwrap(), Summary::of(&Own).unwrap());
    assert_eq!(Layout::of(&net).unwrap(), Layout::of(&Own).unwrap());
    let graph = |model: &dyn Model| {
        let layout = Layout::of(model).unwrap();
        let mut graph = lenslet::Graph::new();
        let flat = graph.variable("parameters", layout.ty()).unwrap();
        let x = graph.input("x", lenslet::TensorType::f32([5, 8, 16, 16])).unwrap();
        layout.forward(model, &mut graph, flat, x).unwrap();
        graph.to_string()
    };
    assert_eq!(graph(&net), graph(&Own));
}

#[test]
fn the_summary_shows_where_branches_come_from() {
    let summary = Summary::of(&residual()).unwrap();
    let add = summary.rows.iter().find(|row| row.layer == "add1").unwrap();
    assert_eq!((add.kind.as_str(), &add.reads[..]), ("add relu", &["second".to_string(), "input".into()][..]));
    assert_eq!((add.receptive_field, &add.output[..]), (Some([5, 5]), &[8, 16, 16][..]));
    assert!(summary.rows.iter().filter(|row| row.layer != "add1").all(|row| row.reads.is_empty()));
    assert!(summary.to_string().contains("add relu of second, input"), "{summary}");
    assert_eq!(summary.output[..], [10]);
}

/// What is read before its activation as well is a row of its own.
#[test]
fn an_activation_of_what_others_read_too_is_a_layer() {
    let net = Network::new([4, 8, 8])
        .layer(Layer::conv2d(4, 1))
        .layer(Layer::relu())
        .after("conv1")
        .layer(Layer::tanh())
        .named("gate")
        .product(["relu1", "gate"])
        .after("relu1")
        .layer(Layer::conv2d(2, 3).padding(1))
        .concat(["mul1", "conv2"]);
    let summary = Summary::of(&net).unwrap();
    let rows: Vec<_> = summary.rows.iter().map(|r| (r.layer.as_str(), r.kind.as_str(), r.reads.join(" "))).collect();
    let expected = [
        ("conv1", "conv2d 1x1", ""),
        ("relu1", "relu", ""),
        ("gate", "tanh", "conv1"),
        ("mul1", "mul", "relu1 gate"),
        ("conv2", "conv2d 3x3 pad 1", "relu1"),
        ("concat1", "concat", "mul1 conv2"),
    ];
    assert_eq!(rows, expected.map(|(layer, kind, reads)| (layer, kind, reads.to_string())));
    assert_eq!(summary.output[..], [6, 8, 8]);
    assert_eq!(Network::from_toml(&net.to_toml()).unwrap(), net);
}

#[test]
fn a_chain_is_a_stack_and_a_branch_is_not() {
    let stack = Sequential::new([1, 8, 8]).named("chain").conv2d(2, 3).named("stem").relu().flatten().dense(3);
    let net = Network::from(stack.clone());
    assert_eq!(net.last(), "fc1");
    assert_eq!(Sequential::try_from(net.clone()).unwrap(), stack);
    // What names the layer before is a chain too.
    let named = Network::new([1, 8, 8]).named("chain").layer(Layer::conv2d(2, 3)).named("stem");
    let named = named.after("stem").stack([Layer::relu(), Layer::flatten(), Layer::dense(3)]);
    assert_eq!(named, net);
    let error = Sequential::try_from(residual()).unwrap_err().to_string();
    assert_eq!(error, "layer \"add1\": input: expected the layer before it, found second, input");
}

#[test]
fn pictures_are_normalised_before_whatever_reads_them() {
    let net = residual().normalized([0.5], [0.25; 8]).unwrap();
    let summary = Summary::of(&net).unwrap();
    let reads = |layer: &str| summary.rows.iter().find(|row| row.layer == layer).unwrap().reads.clone();
    assert_eq!(summary.rows[0].layer, "normalize");
    assert_eq!((reads("conv1").len(), reads("add1")), (0, vec!["second".to_string(), "normalize".into()]));
    // Layers keep their names, and with them the weights.
    assert_eq!(Layout::of(&net).unwrap(), Layout::of(&residual()).unwrap());
    assert_eq!(Network::from_toml(&net.to_toml()).unwrap(), net);
    let error = net.normalized([0.5], [0.25]).unwrap_err().to_string();
    let says = "layer \"normalize\": expected a network that does not begin with normalize, found one that does";
    assert_eq!(error, says);
    let error = Summary::of(&residual().normalized([0.5; 3], [0.25]).unwrap()).unwrap_err().to_string();
    let says = "layer \"normalize\": mean: expected 1 number for all channels, or 8, one for each channel, found 3";
    assert_eq!(error, says);
}

#[test]
fn what_is_wrong_is_told_when_the_network_is_built() {
    let begin = || Network::new([1, 8, 8]).layer(Layer::conv2d(2, 3));
    for (net, message) in [
        (
            begin().after("conv").layer(Layer::flatten()),
            "layer \"flatten1\": input: expected \"input\" or the name of a layer above it, found \"conv\" (did you mean \
             \"conv1\"?)",
        ),
        (
            begin().after("input").layer(Layer::flatten()),
            "layer \"conv1\": expected a later layer that reads it, as only the last layer gives the output, found none",
        ),
        (
            begin().layer(Layer::conv2d(2, 3).named("conv1")),
            "layer \"conv1\": name: expected a name that no other layer has, found that of layer 1; layers without a name \
             are numbered by kind",
        ),
        (
            begin().layer(Layer::flatten()).named("input"),
            "layer \"input\": name: expected another name than \"input\", which the network's input has, found \"input\"",
        ),
        (begin().sum(["conv1"]), "add \"add1\": inputs: expected at least 2, found 1"),
        (begin().join(Layer::flatten(), ["conv1", "input"]), "flatten \"flatten1\": inputs: expected 1, found 2"),
        (
            begin().layer(Layer::add()),
            "layer \"add1\": inputs: expected the names of what it joins, at least 2, found none",
        ),
        (begin().after("conv1"), ".after(\"conv1\"): expected a layer after it, found the network's end"),
        (
            begin().layer(Layer::flatten()).concat(["flatten1", "conv1"]),
            "layer \"concat1\": concat: inputs: expected as many axes as [1, 72], found [1, 2, 6, 6]",
        ),
        (
            begin().join(Layer::concat().axis(0), ["conv1", "conv1"]),
            "layer \"concat1\": concat: axis: expected at least 1, for 0 is the batch, found 0",
        ),
        (
            begin().layer(Layer::relu().padding(1)),
            ".padding(): expected a layer with the option padding before it (conv2d, conv_transpose2d, max_pool2d, \
             avg_pool2d, lp_pool2d, pad), found relu",
        ),
        (
            Network::from(Sequential::new([1, 8, 8]).stride(2)),
            ".stride(): expected a layer before it, found the network's beginning",
        ),
    ] {
        assert_eq!(Summary::of(&net).unwrap_err().to_string(), message);
    }
    let sum = begin().sum(["conv1", "input"]);
    let error = Summary::of(&sum).unwrap_err().to_string();
    assert!(error.starts_with("add \"add1\": ") && error.contains("do not broadcast"), "{error}");
}
