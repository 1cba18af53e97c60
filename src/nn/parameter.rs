//! Parameters as layers declare them, and their roles in training.

use std::ops::Range;

use crate::graph::NodeId;
use crate::nn::init::Init;
use crate::shape::Shape;

/// How weight files hold a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Stored {
    /// As the engine does.
    #[default]
    AsIs,
    /// As the transposed matrix: dense weights, `[out, in]` in files as PyTorch has them.
    Transposed,
}

/// The declaration of a parameter.
#[derive(Clone, PartialEq, Debug)]
pub struct ParameterSpec {
    /// Layer and role: `conv1.weight`.
    pub name: String,
    /// Extents.
    pub shape: Shape,
    /// Initial values.
    pub init: Init,
    /// Fan in and fan out, for scaled initial values.
    pub fans: [usize; 2],
    /// Form in files.
    pub stored: Stored,
    /// Whether training may change it.
    pub trainable: bool,
    /// Of a running average, which training steps move, and no gradient: which row it is of the matrix that all those
    /// of its layer form.
    pub statistic: Option<usize>,
}

impl ParameterSpec {
    /// A weight as files hold it, which begins at 0.
    pub fn new(name: impl Into<String>, shape: impl Into<Shape>) -> Self {
        Self {
            name: name.into(),
            shape: shape.into(),
            init: Init::Zeros,
            fans: [1, 1],
            stored: Stored::AsIs,
            trainable: true,
            statistic: None,
        }
    }

    /// Sets the initial values and the fan in and fan out that scale them.
    pub fn init(mut self, init: Init, fans: [usize; 2]) -> Self {
        (self.init, self.fans) = (init, fans);
        self
    }

    /// Sets the form in files.
    pub fn stored(mut self, stored: Stored) -> Self {
        self.stored = stored;
        self
    }

    /// Sets whether training may change it.
    pub fn trainable(mut self, trainable: bool) -> Self {
        self.trainable = trainable;
        self
    }

    /// Whether its gradient changes it.
    pub fn has_gradient(&self) -> bool {
        self.trainable && self.statistic.is_none()
    }

    /// The shape in files.
    pub fn stored_shape(&self) -> Shape {
        match self.stored {
            Stored::AsIs => self.shape.clone(),
            Stored::Transposed => self.shape.iter().rev().copied().collect::<Vec<_>>().into(),
        }
    }
}

/// The role of a parameter in training.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Its gradient changes it, by the settings of the group of this number.
    Trained(usize),
    /// Nothing.
    Frozen,
    /// A running average: steps move it.
    Tracked,
}

/// The leaves of a training step that a network reads.
#[derive(Clone, Copy, Debug)]
pub struct Leaves {
    /// The trained parameters, a variable `f32[T]`, with T as `Layout::trained` and never 0.
    pub parameters: NodeId,
    /// The frozen parameters, an input, if there are any.
    pub frozen: Option<NodeId>,
    /// The number of the step over the whole run, `u32[1]`.
    pub clock: NodeId,
    /// The random seed.
    pub seed: u64,
}

/// A value in a graph with the range of the flat buffer that it holds.
pub type Part = (NodeId, Range<usize>);
