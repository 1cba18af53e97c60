//! The computation as a value: an append-only list of nodes, each naming earlier nodes only.
//!
//! Acyclic by construction; shapes are inferred on insertion, so a graph that exists is well typed. One node has one
//! output. Forward, backward and optimizer of a training step are one graph.

mod dump;
mod op;
mod precision;

use std::collections::HashSet;
use std::sync::Arc;

pub use op::{Epilogue, Find, Op, Placement, Pooling, Spread, Traits, eval_absolute};
pub use precision::Precision;

use crate::kernel::Io;
use crate::shape::{DType, Shape, TensorType};
use crate::{Error, Result};

/// A node of one [`Graph`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The node at a position of its graph.
    pub fn from_index(index: usize) -> Self {
        Self(index as u32)
    }

    /// Position in the graph.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a node's value comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Written by the host, and kept from step to step.
    Input,
    /// Kept from step to step, and replaced by an operation that [updates](Traits::updates) it.
    Variable,
    /// Fixed when the graph is built.
    Constant(Arc<Vec<f32>>),
    /// Computed.
    Op {
        /// The operation.
        op: Arc<dyn Op>,
        /// Its operands, in order.
        inputs: Vec<NodeId>,
    },
}

/// A value of the computation.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it comes from.
    pub source: Source,
    /// Its type.
    pub ty: TensorType,
    /// The layer or role it belongs to; may be empty.
    pub name: String,
}

impl Node {
    /// The nodes it is computed from.
    pub fn inputs(&self) -> &[NodeId] {
        match &self.source {
            Source::Op { inputs, .. } => inputs,
            _ => &[],
        }
    }

    /// The operation that computes it.
    pub fn op(&self) -> Option<&Arc<dyn Op>> {
        match &self.source {
            Source::Op { op, .. } => Some(op),
            _ => None,
        }
    }
}

/// A computation. See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    outputs: Vec<NodeId>,
    /// The same, for the question whether a node is one.
    is_output: HashSet<NodeId>,
    scope: String,
    precision: Precision,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the nodes appended from here on, until the next call.
    pub fn set_scope(&mut self, name: impl Into<String>) {
        self.scope = name.into();
    }

    /// Sets the storage precision of the values between operations; f32 by default.
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// The storage precision of the values between operations.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Appends a value that the host writes.
    ///
    /// Errors: an axis of 0, or more elements than 32 bits count.
    pub fn input(&mut self, name: &str, ty: TensorType) -> Result<NodeId> {
        self.leaf(name, ty, Source::Input)
    }

    /// Appends a value that is kept from step to step.
    ///
    /// Errors: as [`Graph::input`].
    pub fn variable(&mut self, name: &str, ty: TensorType) -> Result<NodeId> {
        self.leaf(name, ty, Source::Variable)
    }

    /// Appends a constant.
    ///
    /// Errors: as [`Graph::input`].
    pub fn constant(&mut self, name: &str, tensor: crate::Tensor) -> Result<NodeId> {
        let ty = TensorType::f32(tensor.shape().clone());
        self.leaf(name, ty, Source::Constant(Arc::new(tensor.into_data())))
    }

    fn leaf(&mut self, name: &str, ty: TensorType, source: Source) -> Result<NodeId> {
        self.push(Node { source, ty, name: name.to_string() })
    }

    /// Appends an operation, with its type inferred.
    ///
    /// Errors: the operation's shape rule refuses the inputs.
    pub fn append(&mut self, op: impl Op + 'static, inputs: &[NodeId]) -> Result<NodeId> {
        self.append_shared(Arc::new(op), inputs)
    }

    /// As [`Graph::append`], for an operation that other graphs hold too.
    pub fn append_shared(&mut self, op: Arc<dyn Op>, inputs: &[NodeId]) -> Result<NodeId> {
        let types: Vec<&TensorType> = inputs.iter().map(|&i| self.ty(i)).collect();
        let ty = op.infer(&types).map_err(|reason| Error::Shape { op: op.name(), node: self.scope.clone(), reason })?;
        let name = self.scope.clone();
        self.push(Node { source: Source::Op { op, inputs: inputs.to_vec() }, ty, name })
    }

    fn push(&mut self, node: Node) -> Result<NodeId> {
        let (op, name) = (node.op().map_or("value", |op| op.name()), node.name.clone());
        let refuse = |reason: String| Err(Error::Shape { op, node: name.clone(), reason });
        if node.ty.shape.contains(&0) {
            return refuse(format!("{} has an axis of 0", node.ty));
        }
        // Shaders index with 32 bits.
        let elements = node.ty.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if elements.is_none_or(|n| n > u32::MAX as usize) {
            return refuse(format!("{} has more elements than 32 bits count", node.ty));
        }
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        Ok(id)
    }

    /// Marks a node as an output: its value can be read after a step.
    pub fn output(&mut self, node: NodeId) {
        if self.is_output.insert(node) {
            self.outputs.push(node);
        }
    }

    /// Whether a node is among the [outputs](Graph::outputs).
    pub fn is_output(&self, node: NodeId) -> bool {
        self.is_output.contains(&node)
    }

    /// The nodes whose values can be read after a step, in the order in which they were marked.
    pub fn outputs(&self) -> &[NodeId] {
        &self.outputs
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// A node's type.
    pub fn ty(&self, id: NodeId) -> &TensorType {
        &self.node(id).ty
    }

    /// A node's shape.
    pub fn shape(&self, id: NodeId) -> &Shape {
        &self.node(id).ty.shape
    }

    /// A node's element type.
    pub fn dtype(&self, id: NodeId) -> DType {
        self.node(id).ty.dtype
    }

    /// A node for messages: `node 3 (relu "conv1")`.
    pub fn describe(&self, id: NodeId) -> String {
        let node = self.node(id);
        let what = match &node.source {
            Source::Input => "input",
            Source::Variable => "variable",
            Source::Constant(_) => "constant",
            Source::Op { op, .. } => op.name(),
        };
        format!("node {} ({what} \"{}\")", id.index(), node.name)
    }

    /// All nodes, in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The types of a node's operands and result.
    pub fn io(&self, id: NodeId) -> Io<'_> {
        let node = self.node(id);
        Io { inputs: node.inputs().iter().map(|&i| self.ty(i)).collect(), output: &node.ty }
    }

    /// The facts that passes rely on about a node; the default ones for a leaf.
    pub fn traits(&self, id: NodeId) -> Traits {
        self.node(id).op().map_or_else(Traits::default, |op| op.traits(&self.io(id)))
    }

    /// For each node, the nodes that read it, each once, in order.
    pub fn readers(&self) -> Vec<Vec<NodeId>> {
        let mut readers = vec![Vec::new(); self.len()];
        for id in self.ids() {
            for input in self.node(id).inputs() {
                if readers[input.index()].last() != Some(&id) {
                    readers[input.index()].push(id);
                }
            }
        }
        readers
    }

    /// Replaces the operation of a node, and its name. For passes: what reads the node has to fit its new type.
    pub(crate) fn replace(&mut self, id: NodeId, name: String, op: Arc<dyn Op>, inputs: Vec<NodeId>) {
        let types: Vec<&TensorType> = inputs.iter().map(|&i| self.ty(i)).collect();
        let ty = op.infer(&types).expect("a pass gives operations what they take");
        self.nodes[id.index()] = Node { source: Source::Op { op, inputs }, ty, name };
    }

    /// The node whose memory a value is in, if views are all that lies between them.
    pub(crate) fn viewed(&self, mut id: NodeId) -> NodeId {
        while let Placement::ViewOf(_) = self.traits(id).placement {
            id = self.node(id).inputs()[0];
        }
        id
    }

    /// Checks the invariants that every device relies on: inputs come earlier, types are what the operations infer, updated inputs
    /// are variables that nothing else updates, nothing reads an update, and no output is a view of a variable that the
    /// step replaces.
    pub fn verify(&self) -> Result<(), String> {
        let mut updated = vec![false; self.len()];
        let readers = self.readers();
        for id in self.ids() {
            let Source::Op { op, inputs } = &self.node(id).source else { continue };
            let at = || self.describe(id);
            if let Some(late) = inputs.iter().find(|i| **i >= id) {
                return Err(format!("{} reads the later node {}", at(), late.index()));
            }
            let types: Vec<&TensorType> = inputs.iter().map(|&i| self.ty(i)).collect();
            let inferred = op.infer(&types).map_err(|e| format!("{}: {e}", at()))?;
            if inferred != *self.ty(id) {
                return Err(format!("{} has type {}, its operation infers {inferred}", at(), self.ty(id)));
            }
            for &input in self.traits(id).updates {
                let variable = inputs[input];
                if !matches!(self.node(variable).source, Source::Variable) {
                    return Err(format!("{} updates node {}, which is no variable", at(), variable.index()));
                }
                if std::mem::replace(&mut updated[variable.index()], true) {
                    return Err(format!("{} updates node {}, which another node updates", at(), variable.index()));
                }
                if !readers[id.index()].is_empty() {
                    return Err(format!("{} is an update and is read", at()));
                }
            }
        }
        // On a GPU it would be read after the update, by the CPU before it.
        for &output in &self.outputs {
            let whole = self.viewed(output);
            if output != whole && updated[whole.index()] {
                let (number, name) = (whole.index(), &self.node(whole).name);
                return Err(format!(
                    "output {} is a view of the variable {number} (\"{name}\"), which the step replaces; read the variable \
                     for its value after the step, or a copy of the view for that before it",
                    output.index()
                ));
            }
        }
        Ok(())
    }
}
