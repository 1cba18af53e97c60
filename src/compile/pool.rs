//! Pooling: maxima and where they are come out of one kernel, and out of that which makes what is pooled, if it can.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::compile::schedule::needed;
use crate::graph::{Graph, NodeId, Op, Placement, Pooling, Traits, eval_absolute};
use crate::kernel::{Io, Kernel, Limits, Operand};
use crate::shape::TensorType;
use crate::tensor::View;

/// The graph with each value that says where another was found left by the kernel that finds it, and with each pooling
/// joined to the operation before it, where that has pooled kernels and nothing else reads its value.
pub fn pool(graph: &Graph) -> Graph {
    join(&leave(graph))
}

/// Where maxima are is left by the kernel that takes them.
fn leave(graph: &Graph) -> Graph {
    let (mut pooled, mut leaving) = (graph.clone(), HashSet::new());
    let needed = needed(graph);
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let (node, Some(finds)) = (graph.node(id), graph.traits(id).finds) else { continue };
        let (Some(op), Some(by)) = (node.op(), finds.by) else { continue };
        let found = node.inputs()[finds.of];
        if leaving.insert(found) {
            pooled.replace(found, graph.node(found).name.clone(), by, vec![node.inputs()[finds.within]]);
            let left = Left { op: op.clone(), by: finds.of };
            pooled.replace(id, node.name.clone(), Arc::new(left), node.inputs().to_vec());
        }
    }
    pooled
}

/// Pooling ends the kernels of what is pooled.
fn join(graph: &Graph) -> Graph {
    let mut joined = graph.clone();
    let readers = graph.readers();
    let needed = needed(graph);
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let (Some(then), Some(pooling)) = (graph.node(id).op(), graph.traits(id).pools) else { continue };
        let first_id = graph.node(id).inputs()[0];
        let Some(first) = graph.node(first_id).op().filter(|_| graph.traits(first_id).takes_pooling) else { continue };
        let left_by = |reader: NodeId| match graph.traits(reader).placement {
            Placement::LeftBy(by) => graph.node(reader).inputs()[by] == id,
            _ => false,
        };
        let read = || readers[first_id.index()].iter().copied().filter(|reader| needed[reader.index()]);
        if graph.outputs().contains(&first_id) || !read().all(|reader| reader == id || left_by(reader)) {
            continue;
        }
        let operands = graph.node(first_id).inputs();
        let join = |then: &Arc<dyn Op>| Joined {
            first: first.clone(),
            ty: graph.ty(first_id).clone(),
            then: then.clone(),
            own: operands.len(),
            pooling,
        };
        let name = &graph.node(first_id).name;
        joined.replace(id, name.clone(), Arc::new(join(then)), operands.to_vec());
        for left in read().filter(|&reader| reader != id) {
            let op = join(graph.node(left).op().expect("computed"));
            let inputs = operands.iter().copied().chain([id]).collect();
            joined.replace(left, name.clone(), Arc::new(Left { op: Arc::new(op), by: operands.len() }), inputs);
        }
    }
    joined
}

/// An operation whose value another one's kernel leaves.
struct Left {
    op: Arc<dyn Op>,
    by: usize,
}

impl fmt::Debug for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} left", self.op)
    }
}

impl Op for Left {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.op.infer(inputs)
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        self.op.eval(inputs, out);
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        vec![]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { placement: Placement::LeftBy(self.by), ..Traits::default() }
    }
}

/// An operation after another, of that one's inputs and then its own others.
struct Joined {
    first: Arc<dyn Op>,
    /// What the first makes.
    ty: TensorType,
    then: Arc<dyn Op>,
    /// How many inputs are the first's.
    own: usize,
    pooling: Pooling,
}

impl Joined {
    fn first_io<'a>(&'a self, io: &Io<'a>) -> Io<'a> {
        Io { inputs: io.inputs[..self.own].to_vec(), output: &self.ty }
    }

    /// The first's kernel, then the other's.
    fn in_turn(&self, mut kernel: Kernel, io: &Io<'_>, limits: &Limits) -> Kernel {
        let between = kernel.scratch.len();
        let then = self.then.kernels(&Io { inputs: vec![&self.ty], output: io.output }, limits).swap_remove(0);
        kernel.scratch.push(self.ty.clone());
        let is_between = |operand| if operand == Operand::Output { Operand::Scratch(between) } else { operand };
        let first = kernel.dispatches.into_iter().map(|dispatch| dispatch.with_operands(is_between));
        let then_reads = |operand| match operand {
            Operand::Input(_) => Operand::Scratch(between),
            Operand::Scratch(number) => Operand::Scratch(between + 1 + number),
            Operand::Output => Operand::Output,
        };
        let second = then.dispatches.into_iter().map(|dispatch| dispatch.with_operands(then_reads));
        kernel.dispatches = first.chain(second).collect();
        kernel.scratch.extend(then.scratch);
        kernel
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} then {} {:?}", self.first, self.then.name(), self.then)
    }
}

impl Op for Joined {
    fn name(&self) -> &'static str {
        self.first.name()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let first = self.first.infer(&inputs[..self.own])?;
        self.then.infer(&[&[&first], &inputs[self.own..]].concat())
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let mut first = vec![0.0; self.ty.shape.elements()];
        self.first.eval(&inputs[..self.own], &mut first);
        self.then.eval(&[&[View::new(&self.ty.shape, &first)], &inputs[self.own..]].concat(), out);
    }

    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        let first = self.first_io(io);
        let pooled = self.first.pooled_kernels(&first, limits, self.pooling);
        let kernel = |plain: Kernel| match pooled.iter().find(|pooled| pooled.name == plain.name) {
            Some(pooled) => pooled.clone(),
            None => self.in_turn(plain, io, limits),
        };
        self.first.kernels(&first, limits).into_iter().map(kernel).collect()
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        // What the first's sums would be if nothing cancelled.
        let first = &inputs[..self.own];
        let sums = eval_absolute(self.first.as_ref(), first, self.ty.shape.elements());
        sums.into_iter().filter(|s| s.is_finite()).fold(self.first.error_scale(first), f64::max)
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let Traits { reduction, multiply_adds, .. } = self.first.traits(&self.first_io(io));
        Traits { reduction, multiply_adds, ..Traits::default() }
    }
}
