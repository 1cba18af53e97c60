//! Fusion: a scalar function ends the kernel of the operation before it.

use std::fmt;
use std::sync::Arc;

use crate::graph::{Graph, Op, Traits, eval_absolute};
use crate::kernel::{Io, Kernel, Limits};
use crate::shape::TensorType;
use crate::tensor::View;

/// The graph with each scalar function joined to the operation before it, where that operation's kernels take an
/// epilogue and nothing else reads its value. Node numbers stay; the nodes joined into others are no longer reached.
pub fn fuse(graph: &Graph) -> Graph {
    let mut fused = graph.clone();
    let readers = graph.readers();
    for id in graph.ids() {
        let (Some(op), [producer]) = (graph.node(id).op(), graph.node(id).inputs()) else { continue };
        let Some(expression) = graph.traits(id).epilogue else { continue };
        let alone = readers[producer.index()] == [id] && !graph.outputs().contains(producer);
        if let Some(inner) = graph.node(*producer).op()
            && alone
            && graph.traits(*producer).takes_epilogue
        {
            let joined = WithEpilogue { inner: inner.clone(), scalar: op.clone(), expression };
            fused.replace(id, Arc::new(joined), graph.node(*producer).inputs().to_vec());
        }
    }
    fused
}

/// An operation whose kernels end in a scalar function.
struct WithEpilogue {
    inner: Arc<dyn Op>,
    scalar: Arc<dyn Op>,
    expression: String,
}

impl fmt::Debug for WithEpilogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} then {}", self.inner, self.scalar.name())
    }
}

impl Op for WithEpilogue {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.inner.infer(inputs)
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let types: Vec<_> = inputs.iter().map(|v| TensorType::f32(v.shape.clone())).collect();
        let shape = self.infer(&types.iter().collect::<Vec<_>>()).expect("inferred when built").shape;
        let mut inner = vec![0.0; out.len()];
        self.inner.eval(inputs, &mut inner);
        self.scalar.eval(&[View::new(&shape, &inner)], out);
    }

    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        let mut kernels = self.inner.kernels(io, limits);
        for kernel in &mut kernels {
            let last = kernel.dispatches.last_mut().expect("a kernel has a dispatch");
            last.functions.push(("epilogue", self.expression.clone()));
        }
        kernels
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        // What the inner sums would be if nothing cancelled; the scalar functions have slopes of about 1 at most.
        let types: Vec<_> = inputs.iter().map(|v| TensorType::f32(v.shape.clone())).collect();
        let output = self.infer(&types.iter().collect::<Vec<_>>()).expect("inferred when built");
        let sums = eval_absolute(self.inner.as_ref(), inputs, output.shape.elements());
        sums.into_iter().filter(|s| s.is_finite()).fold(0.0, f64::max)
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        Traits { takes_epilogue: false, multilinear: false, ..self.inner.traits(io) }
    }
}
