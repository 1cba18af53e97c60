//! What is said about a layer that does not fit: which layer by its path, what was expected and found, what to do.

use lenslet::nn::{Build, Layer, Model, Reach, Summary};
use lenslet::ops::Affine;
use lenslet::{Error, NodeId, Result, Shape};

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
