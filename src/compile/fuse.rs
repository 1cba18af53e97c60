//! Fusion: a scalar function ends the kernel of the operation before it.

use std::fmt;
use std::sync::Arc;

use crate::compile::{narrow, pool};
use crate::graph::{Epilogue, Graph, NodeId, Op, Placement, Pooling, Traits, eval_absolute};
use crate::kernel::{Io, Kernel, Limits, Operand};
use crate::shape::{Shape, TensorType};
use crate::tensor::View;

/// The graph, [narrowed](narrow), with each scalar function joined to the operation before it, where that operation's
/// kernels take an epilogue and nothing else reads its value, or only as a view of all of it: activations to what they
/// follow, and the gradients of activations to what makes the gradient they scale. Node numbers stay; the nodes joined
/// into others are no longer reached. Then [pooling](pool) is.
pub fn fuse(graph: &Graph) -> Graph {
    let graph = &narrow(graph);
    let mut fused = graph.clone();
    let readers = graph.readers();
    for id in graph.ids() {
        let Some(scalar) = graph.node(id).op() else { continue };
        let Some(epilogue) = graph.traits(id).epilogue else { continue };
        let inputs = graph.node(id).inputs();
        let alone = |value: NodeId, reader| readers[value.index()] == [reader] && !graph.outputs().contains(&value);
        let is_view = |value| graph.traits(value).placement == Placement::ViewOf(0);
        let (mut producer, mut reader) = (inputs[epilogue.of], id);
        while alone(producer, reader) && is_view(producer) && same_length(graph, producer) {
            (producer, reader) = (graph.node(producer).inputs()[0], producer);
        }
        if let Some(inner) = graph.node(producer).op()
            && alone(producer, reader)
            && graph.traits(producer).takes_epilogue
            && has_epilogue(inner.as_ref(), &graph.io(producer))
        {
            let mut operands: Vec<NodeId> = graph.node(producer).inputs().to_vec();
            let factor = epilogue.factor.map(|number| inputs[number]);
            let shared = operands.iter().position(|&operand| Some(operand) == factor);
            operands.extend(factor);
            let (ty, shape) = (graph.ty(producer).clone(), graph.shape(id).clone());
            let joined = WithEpilogue { inner: inner.clone(), ty, shape, scalar: scalar.clone(), epilogue, shared };
            // It is the layer of the operation that does the work.
            fused.replace(id, graph.node(producer).name.clone(), Arc::new(joined), operands);
        }
    }
    pool(&fused)
}

/// Whether each kernel of an operation ends in a shader that the loader may rewrite.
fn has_epilogue(op: &dyn Op, io: &Io<'_>) -> bool {
    let kernels = op.kernels(io, &Limits::default());
    kernels.iter().all(|kernel| kernel.dispatches.last().is_some_and(|last| !last.is_opaque()))
}

/// Whether a view is of all of its input.
fn same_length(graph: &Graph, view: NodeId) -> bool {
    graph.shape(view).elements() == graph.shape(graph.node(view).inputs()[0]).elements()
}

/// An operation whose kernels end in a scalar function. Its inputs, then the function's other operand, if it has one.
struct WithEpilogue {
    inner: Arc<dyn Op>,
    /// The type of its value, and the extents that the function sees.
    ty: TensorType,
    shape: Shape,
    scalar: Arc<dyn Op>,
    epilogue: Epilogue,
    /// The operation's own input that is that operand too.
    shared: Option<usize>,
}

impl WithEpilogue {
    /// Of all inputs, those of the operation.
    fn own<'a, T>(&self, inputs: &'a [T]) -> &'a [T] {
        &inputs[..inputs.len() - usize::from(self.epilogue.factor.is_some())]
    }

    /// The function's operands: what the operation makes of its own inputs, and the last input of all.
    fn operands<T: Clone>(&self, inner: T, inputs: &[T]) -> Vec<T> {
        let mut operands = vec![inner];
        if let (Some(number), Some(factor)) = (self.epilogue.factor, inputs.last()) {
            operands.insert(number, factor.clone());
        }
        operands
    }
}

impl fmt::Debug for WithEpilogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epilogue.factor {
            None => write!(f, "{:?} then {}", self.inner, self.scalar.name()),
            Some(_) => write!(f, "{:?} then {:?}", self.inner, self.scalar),
        }
    }
}

impl Op for WithEpilogue {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let inner = self.inner.infer(self.own(inputs))?;
        if inner != self.ty {
            return Err(format!("was {}, is {inner}", self.ty));
        }
        self.scalar.infer(&self.operands(&TensorType { shape: self.shape.clone(), ..inner }, inputs))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let mut inner = vec![0.0; out.len()];
        self.inner.eval(self.own(inputs), &mut inner);
        self.scalar.eval(&self.operands(View::new(&self.shape, &inner), inputs), out);
    }

    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        let own = self.own(&io.inputs);
        let mut kernels = self.inner.kernels(&Io { inputs: own.to_vec(), output: &self.ty }, limits);
        let factor = self.epilogue.factor.map(|_| Operand::Input(self.shared.unwrap_or(own.len())));
        for kernel in &mut kernels {
            let last = kernel.dispatches.pop().expect("a kernel has a dispatch");
            kernel.dispatches.push(last.ends_in(&self.epilogue.expression, factor));
        }
        kernels
    }

    fn pooled_kernels(&self, io: &Io<'_>, limits: &Limits, pooling: Pooling) -> Vec<Kernel> {
        let own = Io { inputs: self.own(&io.inputs).to_vec(), output: &self.ty };
        let mut kernels = self.inner.pooled_kernels(&own, limits, pooling);
        for kernel in &mut kernels {
            let last = kernel.dispatches.pop().expect("a kernel has a dispatch");
            kernel.dispatches.push(last.ends_in(&self.epilogue.expression, None));
        }
        kernels
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        // What the inner sums would be if nothing cancelled, times how much the function enlarges an error: activations
        // have slopes of about 1 at most, gradients scale by what they make of 1.
        let shape = &self.shape;
        let sums = eval_absolute(self.inner.as_ref(), self.own(inputs), shape.elements());
        let sums = sums.into_iter().filter(|s| s.is_finite()).fold(0.0, f64::max);
        let mut slopes = vec![1.0; shape.elements()];
        if self.epilogue.factor.is_some() {
            let ones = vec![1.0; shape.elements()];
            self.scalar.eval(&self.operands(View::new(shape, &ones), inputs), &mut slopes);
        }
        sums.max(self.inner.error_scale(self.own(inputs))) * View::new(shape, &slopes).magnitude().max(1.0)
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let own = Io { inputs: self.own(&io.inputs).to_vec(), output: &self.ty };
        let inner = self.inner.traits(&own);
        // Pooled, the elements of another operand would be elsewhere.
        let takes_pooling = inner.takes_pooling && self.epilogue.factor.is_none();
        Traits { takes_epilogue: false, multilinear: false, takes_pooling, ..inner }
    }
}
