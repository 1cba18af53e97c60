//! Fuses scalar functions (activations and their gradients) into the kernels of the operations before them.

use std::sync::Arc;

use crate::compile::wrap::Wrapped;
use crate::graph::{Graph, NodeId, Op, Placement};
use crate::kernel::{Io, Limits};

/// The graph with each [epilogue](crate::graph::Epilogue) merged into the operation before it, where that operation
/// [takes one](crate::graph::Traits::takes_epilogue) and no other node reads its value. Views of the whole value between
/// the two are passed over.
///
/// Node numbers stay; a node that is merged into another one is no longer needed by any output.
pub fn fuse(graph: &Graph) -> Graph {
    let mut fused = graph.clone();
    let readers = graph.readers();
    for id in graph.ids() {
        let Some(epilogue) = graph.traits(id).epilogue else { continue };
        let inputs = graph.node(id).inputs();
        let alone = |value: NodeId, reader| readers[value.index()] == [reader] && !graph.is_output(value);
        let is_view = |value| graph.traits(value).placement == Placement::ViewOf(0);
        let (mut producer, mut reader) = (inputs[epilogue.of], id);
        while alone(producer, reader) && is_view(producer) && same_length(graph, producer) {
            (producer, reader) = (graph.node(producer).inputs()[0], producer);
        }
        if !alone(producer, reader)
            || !graph.traits(producer).takes_epilogue
            || !graph.node(producer).op().is_some_and(|op| has_epilogue(op.as_ref(), &graph.io(producer)))
        {
            continue;
        }
        let factor = epilogue.factor.map(|number| inputs[number]);
        if let Some(ending) = Wrapped::ending(graph, producer, id, epilogue) {
            let operands = graph.node(producer).inputs().iter().copied().chain(factor).collect();
            // Named after the layer of the operation that does the work.
            fused.replace(id, graph.node(producer).name.clone(), Arc::new(ending), operands);
        }
    }
    fused
}

/// Whether each kernel of an operation ends in a shader that the loader may rewrite.
fn has_epilogue(op: &dyn Op, io: &Io<'_>) -> bool {
    let kernels = op.kernels(io, &Limits::default());
    kernels.iter().all(|kernel| kernel.dispatches.last().is_some_and(|last| !last.is_opaque()))
}

/// Whether a view is of all elements of its input.
fn same_length(graph: &Graph, view: NodeId) -> bool {
    graph.shape(view).elements() == graph.shape(graph.node(view).inputs()[0]).elements()
}
