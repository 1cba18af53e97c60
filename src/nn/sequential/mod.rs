//! A stack of layers.

use crate::graph::NodeId;
use crate::nn::build::Build;
use crate::nn::layer::{self, Layer};
use crate::nn::model::Model;
use crate::shape::Shape;
use crate::{Error, Result};

/// A network in which each layer reads the one before.
///
/// Methods that append a layer are followed by those that set its options. Nothing fails while it is written down: an
/// option that a layer lacks, a window that does not fit and the like are errors, with the layer's name, when the network
/// is built or summarized.
///
/// ```
/// use lenslet::Padding::Same;
/// use lenslet::nn::{Sequential, Summary};
///
/// let model = Sequential::new([1, 28, 28])
///     .conv2d(6, 5).padding(Same).relu().max_pool2d(2)
///     .conv2d(16, 5).relu().max_pool2d(2)
///     .flatten().dense(120).relu().dense(84).relu().dense(10);
/// assert_eq!(Summary::of(&model)?.parameters, 61_706);
/// # Ok::<(), lenslet::Error>(())
/// ```
///
/// Layers without a [name](Self::named) are numbered by kind: `conv1`, `conv2`, `pool1`, `flatten1`, `fc1`.
#[derive(Clone, PartialEq, Debug)]
pub struct Sequential {
    pub(super) name: String,
    pub(super) input: Vec<usize>,
    pub(super) layers: Vec<Layer>,
    /// The first option that was given before any layer.
    pub(super) misuse: Option<&'static str>,
}

impl Sequential {
    /// A network without layers; `input` is the shape of one input: `[C, H, W]` for images.
    pub fn new(input: impl Into<Shape>) -> Self {
        Self { name: "sequential".into(), input: input.into().to_vec(), layers: vec![], misuse: None }
    }

    /// The layers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Appends a layer.
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }
}

impl Model for Sequential {
    fn name(&self) -> &str {
        &self.name
    }

    fn input(&self) -> Shape {
        self.input.clone().into()
    }

    fn forward(&self, b: &mut Build<'_>, x: NodeId) -> Result<NodeId> {
        if let Some(option) = self.misuse {
            return Err(Error::option(format!(".{option}()"), "a layer before it", "the network's beginning"));
        }
        let named = self.layers.iter().zip(layer::names(&self.layers));
        named.into_iter().try_fold(x, |x, (layer, name)| layer.apply(b, &name, x))
    }
}

#[cfg(test)]
mod tests;
