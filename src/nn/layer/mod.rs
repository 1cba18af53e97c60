//! Layers as data: what there is is in `kind`, how it comes into a graph in `apply`.

mod apply;
mod kind;
mod make;
mod options;

pub use kind::{Groups, Kind};

use serde::{Deserialize, Serialize};

/// A layer: what it does, and its name if it has one of its own.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Layer {
    /// The name; [`Sequential`](super::Sequential) numbers those without: `conv1`, `pool1`, `fc1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether training changes its parameters.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub trainable: bool,
    /// What it does.
    #[serde(flatten)]
    pub kind: Kind,
    /// The first option that was given to this layer and that it does not have, and what has it. Told when built.
    #[serde(skip)]
    misuse: Option<(&'static str, &'static str)>,
}

fn yes() -> bool {
    true
}

impl Layer {
    fn new(kind: Kind) -> Self {
        Self { name: None, trainable: true, kind, misuse: None }
    }
}
