//! The `Op` trait. Passes never match on an operation; they ask it.

use std::fmt::Debug;
use std::sync::Arc;

use crate::graph::{Graph, NodeId};
use crate::kernel::{Io, Kernel, Limits};
use crate::shape::TensorType;
use crate::tensor::{View, ViewData};
use crate::{Error, Result};

/// An operation: its shape rule, its meaning, its gradient, its kernels.
///
/// `Debug` prints its attributes and is what graph dumps show.
pub trait Op: Debug + Send + Sync {
    /// The stable name of the operation, the same as the graph builder's method.
    fn name(&self) -> &'static str;

    /// The shape rule: the type of the output.
    ///
    /// Errors: the reason why the inputs do not fit.
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String>;

    /// The reference, in f64 throughout: writes the output to `out`, which has its length and holds zeros. Values are in
    /// row-major order.
    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]);

    /// The computation in f32, for the CPU as a device. Floats among the inputs are f32; `out` has the output's length and
    /// arbitrary contents. For finite operands the result is within the tolerance of kernels; integers are written as
    /// exact floats. Sums have one order, independent of the number of threads. Returns `false` if there is no such
    /// path: then `out` is undefined, and the device calls `eval`.
    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let _ = (inputs, out);
        false
    }

    /// The gradient with respect to each input, as new nodes: the vector-Jacobian product of `dy`, the gradient with
    /// respect to this node. `None` for inputs without one (labels, indices). Nodes that turn out not to be needed are
    /// not scheduled.
    ///
    /// Errors: the operation has no gradient, which is the default.
    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let _ = dy;
        let reason = "has no gradient".to_string();
        Err(Error::Shape { op: self.name(), node: graph.node(node).name.clone(), reason })
    }

    /// The GPU kernels that compute the operation, best guess first, at least one. Operations that are only a
    /// [`Placement`] have none.
    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel>;

    /// Variants, by the same names, of those of its kernels that can max-pool their output before they write it, and
    /// store the argmax indices in scratch 0 if [`Pooling::leaves`] asks for them. `io` has the types without pooling.
    fn pooled_kernels(&self, io: &Io<'_>, limits: &Limits, pooling: Pooling) -> Vec<Kernel> {
        let _ = (io, limits, pooling);
        vec![]
    }

    /// The largest magnitude whose rounding error reaches the output, where terms may cancel so that the output itself is
    /// smaller. Not needed where [`Traits::multilinear`] holds.
    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        let _ = inputs;
        0.0
    }

    /// The facts about the operation that passes rely on.
    fn traits(&self, io: &Io<'_>) -> Traits {
        let _ = io;
        Traits::default()
    }
}

/// Facts about an operation, for fusion, memory planning, tolerances and benchmarks.
#[derive(Clone, Debug)]
pub struct Traits {
    /// Length of the longest sum behind one output element: the tolerance grows with its root.
    pub reduction: usize,
    /// Whether the output is linear in each input, so that the error's scale is `eval` on absolute inputs.
    pub multilinear: bool,
    /// Inputs that the output may overwrite in place, element by element.
    pub overwrites: &'static [usize],
    /// Inputs that are variables and are replaced by the operation. Its output is their new values, end to end.
    pub updates: &'static [usize],
    /// Set by a scalar function that can be fused into the end of another operation's kernel.
    pub epilogue: Option<Epilogue>,
    /// Whether its kernels have an `epilogue` function, so that a scalar function can be fused into them.
    pub takes_epilogue: bool,
    /// Set by an operation that scatters the elements of one input to indices given by another, with 0 elsewhere.
    pub spreads: Option<Spread>,
    /// Set by an operation that computes the indices at which elements of one input occur in another.
    pub finds: Option<Find>,
    /// Set by max pooling over windows that do not overlap.
    pub pools: Option<Pooling>,
    /// Whether there are [pooled kernels](Op::pooled_kernels) of it.
    pub takes_pooling: bool,
    /// Multiply-adds of one evaluation.
    pub multiply_adds: u64,
    /// Where the output is stored: most operations write it with their kernels, some only name existing memory.
    pub placement: Placement,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            reduction: 1,
            multilinear: false,
            overwrites: &[],
            updates: &[],
            epilogue: None,
            takes_epilogue: false,
            spreads: None,
            finds: None,
            pools: None,
            takes_pooling: false,
            multiply_adds: 0,
            placement: Placement::Own,
        }
    }
}

/// An elementwise function of one input, and possibly of the same element of a second one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epilogue {
    /// In WGSL, of `v` and `factor[i]`.
    pub expression: String,
    /// The input that is `v`: the value whose kernel the function can be fused into.
    pub of: usize,
    /// The input that is `factor`, if there is one.
    pub factor: Option<usize>,
    /// Whether it is linear in `v`, and 0 for a `v` of 0 whatever the factor, NaN and infinities included.
    pub keeps_zeros: bool,
}

/// The inputs of a scatter, such as max-unpooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The input whose elements are scattered; elements with the same index are added.
    pub of: usize,
    /// The input with the indices.
    pub to: usize,
}

/// The inputs of a search, such as the argmax of max pooling.
#[derive(Clone, Debug)]
pub struct Find {
    /// The input whose elements are searched for.
    pub of: usize,
    /// The input that is searched.
    pub within: usize,
    /// The operation that computes `of` from `within` and stores the indices in its kernel's last scratch buffer.
    pub by: Option<Arc<dyn Op>>,
}

/// Max pooling over adjacent windows that do not overlap, from the first element of a plane; a remainder that fills no
/// window is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooling {
    /// Rows and columns of a window, which are the strides too.
    pub size: [usize; 2],
    /// Whether the argmax indices, counted within a plane, are stored too.
    pub leaves: bool,
}

impl Pooling {
    /// Windows of one element.
    pub const NONE: Self = Self { size: [1, 1], leaves: false };
}

/// Where an output lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In its own memory, written by the operation's kernel.
    Own,
    /// In the memory of its first input, from this element on.
    ViewOf(usize),
    /// In its own memory, which holds its inputs as ranges that begin at these elements.
    Holds(Vec<usize>),
    /// In the last scratch buffer of the kernel of the input with this number.
    LeftBy(usize),
}

/// The output of `op` for the absolute values of its inputs, of this many elements: the size its sums would have if no
/// terms canceled.
pub fn eval_absolute(op: &dyn Op, inputs: &[View<'_>], elements: usize) -> Vec<f64> {
    // Bytes have no sign.
    let absolute: Vec<Option<Vec<f64>>> = inputs
        .iter()
        .map(|view| match view.data {
            ViewData::U8(_) => None,
            _ => Some(view.f64().iter().map(|x| x.abs()).collect()),
        })
        .collect();
    let views = inputs.iter().zip(&absolute);
    let views: Vec<View<'_>> =
        views.map(|(view, absolute)| absolute.as_ref().map_or(*view, |data| View::new(view.shape, data))).collect();
    let mut sums = vec![0.0; elements];
    op.eval(&views, &mut sums);
    sums
}
