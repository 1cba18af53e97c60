//! The work of compiling grows with the number of nodes, not with its square.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lenslet::compile::compile;
use lenslet::graph::{Op, Pooling, Source, Traits};
use lenslet::kernel::{Io, Kernel, Limits};
use lenslet::nn::Sequential;
use lenslet::optim::Sgd;
use lenslet::tensor::View;
use lenslet::{Graph, NodeId, Result, Tensor, TensorType};

/// An operation that counts what passes ask it.
#[derive(Debug)]
struct Counting {
    op: Arc<dyn Op>,
    questions: Arc<AtomicUsize>,
}

impl Counting {
    fn count(&self) -> &dyn Op {
        self.questions.fetch_add(1, Ordering::Relaxed);
        self.op.as_ref()
    }
}

impl Op for Counting {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.count().infer(inputs)
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        self.count().eval(inputs, out);
    }

    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        self.count().kernels(io, limits)
    }

    fn pooled_kernels(&self, io: &Io<'_>, limits: &Limits, pooling: Pooling) -> Vec<Kernel> {
        self.count().pooled_kernels(io, limits, pooling)
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        self.count().traits(io)
    }
}

/// The training step of so many dense layers, and the count of what its operations are asked.
fn counted(layers: usize) -> Result<(Graph, Arc<AtomicUsize>)> {
    let start = Sequential::new([1, 2, 2]).flatten();
    let model = (0..layers).fold(start, |model, _| model.dense(4).relu()).dense(10);
    let plain = super::training_step(&model, &Sgd::new(0.1), 4).graph;
    let (mut graph, questions) = (Graph::new(), Arc::new(AtomicUsize::new(0)));
    for id in plain.ids() {
        let node = plain.node(id);
        graph.set_scope(node.name.clone());
        let same: NodeId = match &node.source {
            Source::Input => graph.input(&node.name, node.ty.clone())?,
            Source::Variable => graph.variable(&node.name, node.ty.clone())?,
            Source::Constant(values) => {
                graph.constant(&node.name, Tensor::new(node.ty.shape.clone(), values.to_vec())?)?
            }
            Source::Op { op, inputs } => {
                graph.append(Counting { op: op.clone(), questions: questions.clone() }, inputs)?
            }
        };
        assert_eq!(same, id);
    }
    plain.outputs().iter().for_each(|&output| graph.output(output));
    questions.store(0, Ordering::Relaxed);
    Ok((graph, questions))
}

#[test]
fn ten_times_the_layers_ask_operations_ten_times_as_much() -> Result<()> {
    let asked = |layers: usize| -> Result<f64> {
        let (graph, questions) = counted(layers)?;
        compile(&graph, &Limits::desktop())?;
        Ok(questions.load(Ordering::Relaxed) as f64 / graph.len() as f64)
    };
    let (few, many) = (asked(40)?, asked(400)?);
    assert!(many < 1.1 * few, "a node of 40 layers is asked {few:.1} times, one of 400 layers {many:.1} times");
    Ok(())
}
