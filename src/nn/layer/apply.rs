//! Layers put into a network under construction.

use crate::graph::NodeId;
use crate::nn::build::Build;
use crate::nn::layer::kind::{Layer, Misuse, Place, Role};
use crate::nn::layer::registry;
use crate::nn::reach::Reach;
use crate::{Error, Result};

impl Layer {
    /// Appends the layer to a network under construction, under `name` (its own name goes first).
    ///
    /// Errors: the operation's shape rule; an option the layer does not have; no filters or units; a name that is
    /// taken; an unknown activation.
    pub fn apply(&self, b: &mut Build<'_>, name: &str, x: NodeId) -> Result<NodeId> {
        self.join(b, name, &[x])
    }

    /// As [`Layer::apply`], with all values that the layer reads: a layer that joins branches reads several.
    ///
    /// Errors: too many or too few values; those of [`Layer::apply`].
    pub fn join(&self, b: &mut Build<'_>, name: &str, inputs: &[NodeId]) -> Result<NodeId> {
        let name = self.name.as_deref().unwrap_or(name);
        let text = self.describe();
        if let Some(misuse) = &self.misuse {
            return Err(misuse.error(text));
        }
        match (inputs, self.role()) {
            (&[x], Role::Activation) => b.activation(name, &text, x, |b| Ok(self.append(b, name, inputs)?.0)),
            (&[_], Role::Layer) | (&[_, _, ..], Role::Join) => {
                b.row(name, &text, inputs, |b| self.append(b, name, inputs))
            }
            (_, role) => {
                let expected = if role == Role::Join { "at least 2" } else { "1" };
                Err(Error::option(format!("{text} \"{name}\": inputs"), expected, inputs.len()))
            }
        }
    }

    /// As [`Layer::apply`], for an activation of a value that other layers read too: it has a row of its own.
    pub(in crate::nn) fn apply_apart(&self, b: &mut Build<'_>, name: &str, x: NodeId) -> Result<NodeId> {
        b.row(name, &self.describe(), &[x], |b| self.append(b, name, &[x]))
    }

    fn append(&self, b: &mut Build<'_>, name: &str, inputs: &[NodeId]) -> Result<(NodeId, Reach)> {
        let x = inputs[0];
        let mut at = Place { build: b, name, x, inputs, trainable: self.trainable };
        let y = self.kind.append(&mut at)?;
        Ok((y, self.kind.reach(b.graph.shape(x))))
    }
}

impl Misuse {
    fn error(&self, found: String) -> Error {
        let (method, expected) = match self {
            Misuse::Other { method, expected } => (method, format!("{expected} before it")),
            Misuse::Option { method, key, value } => {
                let has = |layer: &Layer| layer.clone().set(key, value.clone());
                let kinds: Vec<_> = registry::kinds().filter(has).map(|layer| layer.kind().to_string()).collect();
                (method, format!("a layer with the option {key} before it ({})", kinds.join(", ")))
            }
        };
        Error::option(format!(".{method}()"), expected, found)
    }
}
