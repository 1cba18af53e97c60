//! Layers by themselves: their results and gradients, and the errors of layers that do not fit: which layer, by its path,
//! what was expected and found, what to do.

#[path = "common/mod.rs"]
mod common;

use lenslet::compile::pull_back;
use lenslet::nn::{Build, Layer, Layout, Model, Network, Reach, Summary};
use lenslet::ops::Affine;
use lenslet::{Device, Error, Graph, NodeId, Result, Session, ShaderChecks, Shape, Tensor, TensorType};

/// A convolution and a pooling that turn 12x12 pictures into maps of 4x4, then something else.
struct Third<F>(F);

impl<F: Fn(&mut Build<'_>, NodeId) -> Result<NodeId> + Send + Sync> Model for Third<F> {
    fn name(&self) -> &str {
        "third"
    }

    fn input(&self) -> Shape {
        [1, 12, 12].into()
    }

    fn forward(&self, b: &mut Build<'_>, x: NodeId) -> Result<NodeId> {
        let x = Layer::conv2d(4, 5).apply(b, "stem.conv", x)?;
        let x = Layer::max_pool2d(2).apply(b, "stem.pool", x)?;
        (self.0)(b, x)
    }
}

fn refused(third: impl Fn(&mut Build<'_>, NodeId) -> Result<NodeId> + Send + Sync) -> String {
    Summary::of(&Third(third)).expect_err("a layer that does not fit").to_string()
}

/// A layer of one of the graph's own operations.
fn operation(f: impl Fn(&mut Build<'_>, NodeId) -> Result<NodeId> + Send + Sync) -> String {
    refused(move |b, x| b.layer("body.own", "own", x, Reach::All, |b| f(b, x)))
}

#[test]
fn a_picture_too_small_for_the_third_layer() {
    let fit = "window of 5 rows does not fit the input of 4 rows with padding 0 + 0; use a window of at most 4, or \
               padding of at least 0 + 1";
    assert_eq!(refused(|b, x| Layer::conv2d(4, 5).apply(b, "body.conv", x)), format!("conv2d \"body.conv\": {fit}"));
    let pooled = refused(|b, x| Layer::max_pool2d(5).apply(b, "body.pool", x));
    assert_eq!(pooled, format!("max_pool2d \"body.pool\": {fit}"));
}

#[test]
fn operations_made_of_others_name_the_layer_too() {
    let norm = operation(|b, x| b.graph.group_norm(x, 3, Affine::default(), 1e-5));
    assert_eq!(norm, "layer \"body.own\": group_norm: groups: expected a divisor of the 4 channels of x, found 3");
    let pool = operation(|b, x| {
        let matrix = b.graph.flatten(x)?;
        b.graph.global_avg_pool2d(matrix)
    });
    assert_eq!(pool, "global_avg_pool2d \"body.own\": x must be [N, C, H, W], is [1, 64]");
    let reshaped = operation(|b, x| b.graph.reshape(x, [3, 3]));
    assert_eq!(reshaped, "reshape \"body.own\": x [1, 4, 4, 4] has 64 elements, [3, 3] has 9");
    let named = operation(|_, _| Err(Error::option("rate of \"body.own\"", "below 1", 2)));
    assert_eq!(named, "rate of \"body.own\": expected below 1, found 2", "it names its layer itself");
}

/// Extents of the input: two images of two channels, four rows, six columns.
const X: [usize; 4] = [2, 2, 4, 6];

/// Numbers without order or ties, away from 0.25, so that no clip or maximum changes in a small step.
fn numbers(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| ((i + seed) * 37 % 101) as f64 / 50.0 - 1.005).collect()
}

/// The result and the gradient of x of a network of these layers.
fn computed(device: &Device, net: &Network, x: &[f64], dy: &dyn Fn(usize) -> Vec<f64>) -> Result<[Vec<f32>; 2]> {
    let narrow = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<_>>();
    let layout = Layout::of(net)?;
    let mut graph = Graph::new();
    let input = graph.input("x", TensorType::f32(X))?;
    let parameters = graph.variable("parameters", layout.ty())?;
    let y = layout.forward(net, &mut graph, parameters, input)?;
    let shape = graph.shape(y).clone();
    let upstream = narrow(&dy(shape.elements()));
    let dy = graph.constant("dy", Tensor::from_fn(shape, |i| upstream[i]))?;
    let dx = pull_back(&mut graph, y, dy, &[input])?[0];
    [y, dx].iter().for_each(|&output| graph.output(output));
    let mut session = Session::new(device, &graph)?;
    session.write(input, narrow(x).as_slice())?;
    session.run(1);
    Ok([session.read(y)?, session.read(dx)?])
}

/// The elements of x at these places, None for a zero.
fn taken(x: &[f64], places: impl IntoIterator<Item = Option<[usize; 4]>>) -> Vec<f64> {
    let [_, c, h, w] = X;
    places.into_iter().map(|place| place.map_or(0.0, |[n, k, i, j]| x[((n * c + k) * h + i) * w + j])).collect()
}

/// All places of these extents, in row-major order.
fn places([n, c, h, w]: [usize; 4]) -> Vec<[usize; 4]> {
    (0..n * c * h * w).map(|at| [at / (c * h * w), at / (h * w) % c, at / w % h, at % w]).collect()
}

type Reference = fn(&[f64]) -> Vec<f64>;

/// Each layer, and the same in a few lines.
fn references() -> Vec<(Layer, Reference)> {
    vec![
        (Layer::reshape([3, -1]), |x| x.to_vec()),
        (Layer::permute([2, 3, 1]), |x| {
            taken(x, places([2, 4, 6, 2]).into_iter().map(|[n, h, w, c]| Some([n, c, h, w])))
        }),
        (Layer::crop(1), |x| taken(x, places([2, 2, 2, 4]).into_iter().map(|[n, c, h, w]| Some([n, c, h + 1, w + 1])))),
        (Layer::pad_channels(3), |x| {
            taken(x, places([2, 5, 4, 6]).into_iter().map(|place| (place[1] < 2).then_some(place)))
        }),
        (Layer::clip(-0.25, 0.5), |x| x.iter().map(|v| v.clamp(-0.25, 0.5)).collect()),
        (Layer::mean(), |x| x.chunks(24).map(|image| image.iter().sum::<f64>() / 24.0).collect()),
        // Of the pooling below: the maximum of each 2x2 block stays, the others are 0.
        (Layer::max_unpool2d("down"), |x| {
            let block = |[n, c, h, w]: [usize; 4]| {
                let corners = [[0, 0], [0, 1], [1, 0], [1, 1]];
                taken(x, corners.map(|[i, j]| Some([n, c, h / 2 * 2 + i, w / 2 * 2 + j])))
            };
            let largest = |place| block(place).into_iter().fold(f64::NEG_INFINITY, f64::max);
            x.iter().zip(places(X)).map(|(v, place)| if *v == largest(place) { *v } else { 0.0 }).collect()
        }),
    ]
}

#[test]
fn results_and_gradients_are_those_of_a_few_lines() {
    const STEP: f64 = 1e-5;
    let devices: Vec<Device> = [Some(Device::Cpu), common::gpu(ShaderChecks::Trusted).as_ref().map(Device::from)]
        .into_iter()
        .flatten()
        .collect();
    let x = numbers(X.iter().product(), 0);
    for (layer, reference) in references() {
        let mut net = Network::new([2, 4, 6]);
        if layer.kind() == "max_unpool2d" {
            net = net.layer(Layer::max_pool2d(2).named("down"));
        }
        let net = net.layer(layer.clone());
        assert_eq!(Network::from_toml(&net.to_toml()).unwrap(), net);
        let y = reference(&x);
        let dy = numbers(y.len(), 5);
        let moved = |at: usize, by: f64| {
            let mut x = x.clone();
            x[at] += by;
            reference(&x).iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
        };
        let dx: Vec<f64> = (0..x.len()).map(|at| (moved(at, STEP) - moved(at, -STEP)) / (2.0 * STEP)).collect();
        for device in &devices {
            let found = computed(device, &net, &x, &|n| numbers(n, 5)).unwrap();
            for (what, found, want) in [("y", &found[0], &y), ("dx", &found[1], &dx)] {
                assert_eq!(found.len(), want.len(), "{layer:?}: {what}");
                for (i, (found, want)) in found.iter().zip(want).enumerate() {
                    assert!((f64::from(*found) - want).abs() < 1e-5, "{layer:?}: {what}: {i}: {found}, not {want}");
                }
            }
        }
    }
}
