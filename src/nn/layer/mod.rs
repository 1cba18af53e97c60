//! Layers as data: what there is is in `kind`, how it comes into a graph in `apply`.

mod apply;
mod kind;
mod make;
mod options;

pub use kind::{Groups, Kind};

use std::collections::HashMap;

/// A layer: what it does, and its name if it has one of its own.
#[derive(Clone, PartialEq, Debug)]
pub struct Layer {
    /// The name; networks number those without: `conv1`, `pool1`, `fc1`.
    pub name: Option<String>,
    /// Whether training changes its parameters.
    pub trainable: bool,
    /// What it does.
    pub kind: Kind,
    /// The first option that was given to this layer and that it does not have, and what has it. Told when built.
    misuse: Option<(&'static str, &'static str)>,
}

impl Layer {
    fn new(kind: Kind) -> Self {
        Self { name: None, trainable: true, kind, misuse: None }
    }
}

/// What layers are called: by their own names, or numbered by kind.
pub(super) fn names<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> impl Iterator<Item = String> {
    let mut counts = HashMap::new();
    layers.into_iter().map(move |layer| {
        let stem = layer.kind.stem();
        let count = counts.entry(stem).and_modify(|n| *n += 1).or_insert(1);
        layer.name.clone().unwrap_or_else(|| format!("{stem}{count}"))
    })
}
