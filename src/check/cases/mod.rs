//! The table: what is run, on which shapes and values. One file a family of operations.

mod convolution;
mod elementwise;
mod layout;
mod losses;
mod matrices;
mod normalization;
mod pooling;
mod reductions;
mod training;

use crate::{Graph, NodeId, Result, TensorType};

/// How an input is filled.
#[derive(Clone, Copy)]
pub enum Fill {
    /// Floats in −2..2.
    Any,
    /// Floats of magnitude 0.5 to 2.
    AwayFromZero,
    /// Floats of 0.5 to 2.
    Positive,
    /// Floats of −2 to −0.5.
    Negative,
    /// Few distinct values, so that maxima tie.
    Ties,
    /// As `Ties`, with NaN and infinities among them.
    Special,
    /// Floats in −10⁴..10⁴.
    Large,
    /// Integers below this.
    Below(u32),
    /// Integers below this, with rows that count for nothing among them.
    BelowOrIgnore(u32),
    /// This number everywhere.
    Only(u32),
    /// Bytes.
    Bytes,
}

/// An input of a case.
pub struct Input {
    /// Its type.
    pub ty: TensorType,
    /// Its values.
    pub fill: Fill,
}

/// Appends a case's operation to a graph that holds its inputs.
pub type Build = Box<dyn Fn(&mut Graph, &[NodeId]) -> Result<NodeId>>;

/// One operation with its options, on inputs of given shapes.
pub struct Case {
    /// What it is; fixes the values too.
    pub name: String,
    /// In the operation's order.
    pub inputs: Vec<Input>,
    /// The operation.
    pub build: Build,
    /// Compare with central differences: no ties, not too large.
    pub differentiable: bool,
    /// Look at the gradient's kernels too.
    pub backward: bool,
    /// The inputs are variables that the operation replaces.
    pub updates: bool,
    /// It is several operations, to be tried as the compiler joins them.
    pub joined: bool,
}

impl Case {
    fn fill(mut self, fill: Fill) -> Self {
        self.inputs[0].fill = fill;
        self.differentiable = matches!(fill, Fill::Any | Fill::AwayFromZero | Fill::Positive);
        self
    }

    /// Too large for central differences and for the gradient.
    pub fn forward_only(mut self) -> Self {
        self.differentiable = false;
        self.backward = false;
        self
    }

    /// Several operations.
    fn joined(mut self) -> Self {
        self.joined = true;
        self
    }

    /// No central differences: too many elements for too little insight.
    fn no_differences(mut self) -> Self {
        self.differentiable = false;
        self
    }
}

/// A case of float inputs of these shapes, forward and backward.
pub fn case(
    name: impl Into<String>,
    shapes: &[&[usize]],
    build: impl Fn(&mut Graph, &[NodeId]) -> Result<NodeId> + 'static,
) -> Case {
    let inputs = shapes.iter().map(|&s| Input { ty: TensorType::f32(s), fill: Fill::Any }).collect();
    Case {
        name: name.into(),
        inputs,
        build: Box::new(build),
        differentiable: true,
        backward: true,
        updates: false,
        joined: false,
    }
}

/// One over what a grid holds along one axis, in workgroups of 64.
const MANY: usize = 65_535 * 64 + 77;

/// Every case.
pub fn all() -> Vec<Case> {
    [
        convolution::all(),
        pooling::all(),
        matrices::all(),
        elementwise::all(),
        reductions::all(),
        losses::all(),
        normalization::all(),
        layout::all(),
        training::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
