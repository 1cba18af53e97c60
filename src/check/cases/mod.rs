//! The table of cases: operations with their shapes and values. One file per family of operations.

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

/// The values of an input.
#[derive(Clone, Copy)]
pub enum Fill {
    /// Floats from −2 to 2.
    Any,
    /// Floats of magnitude 0.5 to 2.
    AwayFromZero,
    /// Floats of 0.5 to 2.
    Positive,
    /// Floats of −2 to −0.5.
    Negative,
    /// Few distinct values, so that maxima tie.
    Ties,
    /// As `Ties`, with NaN and infinities.
    Special,
    /// Floats from −10⁴ to 10⁴.
    Large,
    /// Integers below this bound.
    Below(u32),
    /// Integers below this bound, or the label of an ignored row.
    BelowOrIgnore(u32),
    /// A constant.
    Only(u32),
    /// Bytes.
    Bytes,
}

/// An input of a case.
pub struct Input {
    /// Type of the input.
    pub ty: TensorType,
    /// Values of the input.
    pub fill: Fill,
}

/// Appends a case's operation to a graph that holds its inputs.
pub type Build = Box<dyn Fn(&mut Graph, &[NodeId]) -> Result<NodeId>>;

/// One operation with its options, on inputs of given shapes.
pub struct Case {
    /// Name of the case; seeds its values.
    pub name: String,
    /// Inputs in the operation's order.
    pub inputs: Vec<Input>,
    /// Appends the operation.
    pub build: Build,
    /// Whether to compare the gradient with central differences: requires no ties and a small size.
    pub differentiable: bool,
    /// Whether to test the gradient's kernels.
    pub backward: bool,
    /// Whether the inputs are variables that the operation replaces.
    pub updates: bool,
    /// Whether the case has several operations, to be tested as the compiler fuses them.
    pub joined: bool,
}

impl Case {
    fn fill(mut self, fill: Fill) -> Self {
        self.inputs[0].fill = fill;
        self.differentiable = matches!(fill, Fill::Any | Fill::AwayFromZero | Fill::Positive);
        self
    }

    /// Excludes the gradient, and central differences, of large cases.
    pub fn forward_only(mut self) -> Self {
        self.differentiable = false;
        self.backward = false;
        self
    }

    /// Marks a case of several operations.
    fn joined(mut self) -> Self {
        self.joined = true;
        self
    }

    /// Excludes central differences, which take too long for many elements.
    fn no_differences(mut self) -> Self {
        self.differentiable = false;
        self
    }
}

/// A case of f32 inputs of these shapes, forward and backward.
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

/// More elements than one grid axis holds in workgroups of 64.
const MANY: usize = 65_535 * 64 + 77;

/// All cases.
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
