//! A network of layers with named inputs: branches and joins.

mod append;
mod fault;
mod wires;

pub(crate) use fault::Fault;

use crate::graph::NodeId;
use crate::nn::build::Build;
use crate::nn::layer::{self, Layer};
use crate::nn::model::Model;
use crate::nn::sequential::Sequential;
use crate::ops::Augment;
use crate::shape::Shape;
use crate::{Error, Result};

/// A network whose layers read the one before or those they name: branches, residual connections, gates.
///
/// A layer's name is its own or, as in a [`Sequential`], numbered by kind: `conv1`, `relu1`, `add1`. `input` is what the
/// network reads. The last layer gives the network's output; every other is read by a later one. Nothing fails while a
/// network is written down: errors are reported, with the layer's name, when it is built or summarized.
///
/// ```
/// use lenslet::nn::{Layer, Network, Summary};
///
/// let model = Network::new([8, 16, 16])
///     .stack([Layer::conv2d(8, 3).padding(1), Layer::relu(), Layer::conv2d(8, 3).padding(1)])
///     .sum(["conv2", "input"])
///     .stack([Layer::relu(), Layer::global_avg_pool2d(), Layer::flatten(), Layer::dense(10)]);
/// assert_eq!(Summary::of(&model)?.parameters, 2 * (8 * 8 * 9 + 8) + 90);
/// # Ok::<(), lenslet::Error>(())
/// ```
///
/// The same as a file, which [`load`](Self::load) reads and [`to_toml`](Self::to_toml) writes:
///
/// ```
/// # use lenslet::nn::Network;
/// let model = Network::from_toml(r#"
///     input = [8, 16, 16]
///     layer = [
///         { kind = "conv2d", filters = 8, size = 3, padding = 1 },
///         { kind = "relu" },
///         { kind = "conv2d", filters = 8, size = 3, padding = 1 },
///         { kind = "add", inputs = ["conv2", "input"] },
///         { kind = "relu" },
///         { kind = "global_avg_pool2d" },
///         { kind = "flatten" },
///         { kind = "dense", units = 10 },
///     ]
/// "#)?;
/// assert_eq!(Network::from_toml(&model.to_toml())?, model);
/// # Ok::<(), lenslet::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Network {
    pub(crate) name: String,
    pub(crate) input: Vec<usize>,
    pub(crate) layers: Vec<Wired>,
    pub(crate) augment: Option<Augment>,
    /// The input of the next layer, if that is not the last layer.
    pub(crate) after: Option<String>,
    /// The first option that was given before any layer.
    pub(crate) misuse: Option<&'static str>,
}

/// A layer and its inputs.
#[derive(Clone, PartialEq, Debug)]
pub struct Wired {
    /// The layer.
    pub layer: Layer,
    /// The names of its inputs; none for the layer before it.
    pub inputs: Vec<String>,
}

impl Network {
    /// A network without layers; `input` is the shape of one input: `[C, H, W]` for images.
    pub fn new(input: impl Into<Shape>) -> Self {
        let (name, input) = ("network".into(), input.into().to_vec());
        Self { name, input, layers: vec![], augment: None, after: None, misuse: None }
    }

    /// The layers.
    pub fn layers(&self) -> &[Wired] {
        &self.layers
    }

    /// The names of the layers, given or numbered.
    pub fn names(&self) -> Vec<String> {
        layer::names(self.layers.iter().map(|wired| &wired.layer)).collect()
    }

    /// The augmentation of training images, the table `[augment]` of a network's file, if there is one.
    pub fn augment(&self) -> Option<Augment> {
        self.augment
    }

    /// Sets the augmentation of training images.
    pub fn with_augment(mut self, augment: Option<Augment>) -> Self {
        self.augment = augment;
        self
    }

    /// As [`Model::forward`], with the number of the layer that fails.
    pub(crate) fn run(&self, b: &mut Build<'_>, x: NodeId) -> Result<NodeId, Fault> {
        if let Some(option) = self.misuse {
            let error = Error::option(format!(".{option}()"), "a layer before it", "the network's beginning");
            return Err(Fault { layer: None, error });
        }
        if let Some(name) = &self.after {
            let error = Error::option(format!(".after({name:?})"), "a layer after it", "the network's end");
            return Err(Fault { layer: None, error });
        }
        let (names, wires) = self.wires()?;
        let mut readers = vec![0; names.len() + 1];
        wires.iter().flatten().for_each(|&value| readers[value] += 1);
        let mut values = vec![x];
        for (number, wired) in self.layers.iter().enumerate() {
            let (layer, name) = (&wired.layer, &names[number]);
            let inputs: Vec<NodeId> = wires[number].iter().map(|&value| values[value]).collect();
            // In a summary, an activation is part of the layer before it, unless others read that layer without it.
            let y = match wires[number][..] {
                [value] if layer.is_activation() && readers[value] > 1 => layer.apply_apart(b, name, inputs[0]),
                _ => layer.join(b, name, &inputs),
            };
            values.push(y.map_err(|error| Fault { layer: Some(number), error })?);
        }
        Ok(values[values.len() - 1])
    }
}

impl Model for Network {
    fn name(&self) -> &str {
        &self.name
    }

    fn input(&self) -> Shape {
        self.input.clone().into()
    }

    fn forward(&self, b: &mut Build<'_>, x: NodeId) -> Result<NodeId> {
        self.run(b, x).map_err(|fault| fault.error)
    }
}

impl From<Sequential> for Network {
    fn from(stack: Sequential) -> Self {
        let Sequential { name, input, layers, misuse } = stack;
        let layers = layers.into_iter().map(|layer| Wired { layer, inputs: vec![] }).collect();
        Self { name, input, layers, augment: None, after: None, misuse }
    }
}

impl TryFrom<Network> for Sequential {
    type Error = Error;

    /// The stack of a network whose layers each read the one before, without its augmentation.
    ///
    /// Errors: those of the network's wiring; a layer reads something else.
    fn try_from(network: Network) -> Result<Self> {
        let (names, wires) = network.wires().map_err(|fault| fault.error)?;
        let branch = wires.iter().enumerate().find(|(number, inputs)| inputs[..] != [*number]);
        if let Some((number, _)) = branch {
            let found = network.layers[number].inputs.join(", ");
            return Err(Error::option(format!("layer \"{}\": input", names[number]), "the layer before it", found));
        }
        let layers = network.layers.into_iter().map(|wired| wired.layer).collect();
        Ok(Self { name: network.name, input: network.input, layers, misuse: network.misuse })
    }
}
