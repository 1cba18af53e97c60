//! Writing a network down.

use crate::nn::build::INPUT;
use crate::nn::layer::Layer;
use crate::nn::network::{Network, Wired};
use crate::{Error, Result};

impl Network {
    /// Names the last layer, or the network if there is no layer yet.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        match self.layers.last_mut() {
            // Branches read activations by name too.
            Some(wired) => wired.layer.name = Some(name.into()),
            None => self.name = name.into(),
        }
        self
    }

    /// Appends a layer that reads the last one, or the layer that [`after`](Self::after) names.
    pub fn layer(mut self, layer: Layer) -> Self {
        let inputs = self.after.take().into_iter().collect();
        self.push(layer, inputs)
    }

    /// Appends layers, each of which reads the one before.
    pub fn stack(self, layers: impl IntoIterator<Item = Layer>) -> Self {
        layers.into_iter().fold(self, Self::layer)
    }

    /// Begins a branch: the next layer reads the layer of that name, or `input`.
    pub fn after(mut self, name: impl Into<String>) -> Self {
        self.after = Some(name.into());
        self
    }

    /// Appends a layer that joins those of the names given.
    pub fn join<S: Into<String>>(self, layer: Layer, inputs: impl IntoIterator<Item = S>) -> Self {
        self.push(layer, inputs.into_iter().map(Into::into).collect())
    }

    /// Appends the sum of the layers of those names.
    pub fn sum<S: Into<String>>(self, inputs: impl IntoIterator<Item = S>) -> Self {
        self.join(Layer::add(), inputs)
    }

    /// Appends the product of the layers of those names, element by element.
    pub fn product<S: Into<String>>(self, inputs: impl IntoIterator<Item = S>) -> Self {
        self.join(Layer::mul(), inputs)
    }

    /// Appends the channels of the layers of those names, one behind the other.
    pub fn concat<S: Into<String>>(self, inputs: impl IntoIterator<Item = S>) -> Self {
        self.join(Layer::concat(), inputs)
    }

    /// The network with a [`Layer::normalize`] of that name in front, which replaces the input for all other layers.
    ///
    /// Errors: it begins with such a layer.
    pub fn normalized(mut self, mean: impl Into<Vec<f32>>, deviation: impl Into<Vec<f32>>) -> Result<Self> {
        let layer = Layer::normalize(mean, deviation);
        let name = layer.stem().to_string();
        if let (Some(Wired { layer, .. }), Some(first)) = (self.layers.first(), self.names().first())
            && layer.kind() == name
        {
            let expected = format!("a network that does not begin with {name}");
            return Err(Error::option(format!("layer \"{first}\""), expected, "one that does"));
        }
        let reads_input = |input: &&mut String| *input == INPUT;
        self.layers
            .iter_mut()
            .flat_map(|wired| &mut wired.inputs)
            .filter(reads_input)
            .for_each(|i| i.clone_from(&name));
        self.layers.insert(0, Wired { layer: layer.named(name), inputs: vec![] });
        Ok(self)
    }

    /// The name of the last layer, or `input` if there is none, for a later branch.
    pub fn last(&self) -> String {
        self.names().pop().unwrap_or_else(|| INPUT.into())
    }

    /// An input that is the layer before is the default.
    pub(in crate::nn) fn push(mut self, layer: Layer, mut inputs: Vec<String>) -> Self {
        if !layer.is_join() && inputs.len() == 1 && inputs[0] == self.last() {
            inputs.clear();
        }
        self.layers.push(Wired { layer, inputs });
        self
    }
}
