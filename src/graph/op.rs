//! What every operation answers. Passes never match on an operation, they ask.

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
    /// A stable label, the same as the graph builder's method.
    fn name(&self) -> &'static str;

    /// The shape rule: the type of the output, or the reason why the inputs do not fit.
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String>;

    /// The meaning, in f64 from end to end. `out` has the output's length and holds zeros.
    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]);

    /// The same in f32, for the CPU as a device: floats among the inputs are f32, `out` may hold anything. Finite operands
    /// give what kernels must give too, within their tolerance; integers are floats in `out`, exact ones. `false`, and
    /// nothing promised of `out`, where there is no such path: then `eval` is used. Sums have one order, whatever the
    /// number of threads.
    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let _ = (inputs, out);
        false
    }

    /// The gradient to each input, by appending nodes; `None` where there is none (labels, indices).
    /// Nodes nobody needs are dropped later. Operations that no loss passes through need not say.
    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let _ = dy;
        let reason = "has no gradient".to_string();
        Err(Error::Shape { op: self.name(), node: graph.node(node).name.clone(), reason })
    }

    /// GPU candidates, best guess first, at least one. Every candidate computes what `eval` means.
    /// Operations that are only a [`Placement`] have none.
    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel>;

    /// Those of its kernels, under their names, that can write the first maximum of each window of their output instead of
    /// it, and to scratch 0 the maxima's positions, if those are to be left. `io` is what it is without pooling.
    fn pooled_kernels(&self, io: &Io<'_>, limits: &Limits, pooling: Pooling) -> Vec<Kernel> {
        let _ = (io, limits, pooling);
        vec![]
    }

    /// The largest magnitude whose rounding error reaches the output, where the output itself may be smaller because
    /// terms cancel. Not needed where [`Traits::multilinear`] holds.
    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        let _ = inputs;
        0.0
    }

    /// What passes may rely on.
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
    /// Inputs whose memory the output may take, element by element.
    pub overwrites: &'static [usize],
    /// Variables among the inputs that the operation replaces. Its output is their new values, end to end.
    pub updates: &'static [usize],
    /// Set by a scalar function that may end another operation's kernel.
    pub epilogue: Option<Epilogue>,
    /// Whether its kernels have an `epilogue` function that such a function can replace.
    pub takes_epilogue: bool,
    /// Set by an operation that puts the elements of one input at places that another names, and 0 elsewhere.
    pub spreads: Option<Spread>,
    /// Set by an operation that says where in one input the elements of another are found.
    pub finds: Option<Find>,
    /// Set by an operation that takes the first maxima of windows.
    pub pools: Option<Pooling>,
    /// Whether there are [pooled kernels](Op::pooled_kernels) of it.
    pub takes_pooling: bool,
    /// Multiply-adds of one evaluation.
    pub multiply_adds: u64,
    /// Whether it moves no data, only names it.
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

/// A function of one input, and perhaps of another one's element of the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epilogue {
    /// In WGSL, of `v` and `factor[i]`.
    pub expression: String,
    /// The input that is `v`: the operation whose kernel may end so.
    pub of: usize,
    /// The input that is `factor`, if there is one.
    pub factor: Option<usize>,
    /// Whether it is linear in `v`, with 0 for a `v` of 0 beside whatever factor: NaN and infinities too.
    pub keeps_zeros: bool,
}

/// Which inputs are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The one whose elements go elsewhere; those that come to one place are added.
    pub of: usize,
    /// The one that says where to.
    pub to: usize,
}

/// Which inputs are compared.
#[derive(Clone, Debug)]
pub struct Find {
    /// The one whose elements are found.
    pub of: usize,
    /// The one that they are found in.
    pub within: usize,
    /// What makes the one of the other and leaves where it found them: the last value between its kernels' dispatches.
    pub by: Option<Arc<dyn Op>>,
}

/// Windows side by side, from the first element of a plane on; what is left over at the end has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooling {
    /// Rows and columns of a window.
    pub size: [usize; 2],
    /// Whether the positions of the maxima in their planes are left, too.
    pub leaves: bool,
}

impl Pooling {
    /// Windows of one element.
    pub const NONE: Self = Self { size: [1, 1], leaves: false };
}

/// Where an output lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In memory of its own, filled by kernels.
    Own,
    /// It is the range of its first input that begins at this element.
    ViewOf(usize),
    /// Its inputs are ranges of it, beginning at these elements.
    Holds(Vec<usize>),
    /// It is the last of the values between the dispatches of that input's kernel.
    LeftBy(usize),
}

/// What `op` makes of the absolute values of its inputs: the size its sums would have if nothing cancelled.
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
