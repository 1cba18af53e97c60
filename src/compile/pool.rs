//! Computes max pooling and its argmax in one kernel, fused into the producer if possible.

use std::collections::HashSet;
use std::sync::Arc;

use crate::compile::schedule::needed;
use crate::compile::wrap::Wrapped;
use crate::graph::{Graph, NodeId, Placement};

/// The graph with argmax indices stored by the kernel that computes the maxima, and with each max pooling merged into the
/// operation before it, where that operation has [pooled kernels](crate::graph::Op::pooled_kernels) and no other node
/// reads its value.
pub fn pool(graph: &Graph) -> Graph {
    join(&leave(graph))
}

/// Argmax indices are [left](Placement::LeftBy) by the kernel that computes the maxima.
fn leave(graph: &Graph) -> Graph {
    let (mut pooled, mut leaving) = (graph.clone(), HashSet::new());
    let needed = needed(graph);
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let (node, Some(finds)) = (graph.node(id), graph.traits(id).finds) else { continue };
        let (Some(op), Some(by)) = (node.op(), finds.by) else { continue };
        let found = node.inputs()[finds.of];
        if leaving.insert(found) {
            pooled.replace(found, graph.node(found).name.clone(), by, vec![node.inputs()[finds.within]]);
            let left = Wrapped::left(op.clone(), finds.of);
            pooled.replace(id, node.name.clone(), Arc::new(left), node.inputs().to_vec());
        }
    }
    pooled
}

/// Max pooling is merged into the kernels of its operand.
fn join(graph: &Graph) -> Graph {
    let mut joined = graph.clone();
    let readers = graph.readers();
    let needed = needed(graph);
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let Some(pooling) = graph.traits(id).pools else { continue };
        let producer = graph.node(id).inputs()[0];
        let left_by = |reader: NodeId| match graph.traits(reader).placement {
            Placement::LeftBy(by) => graph.node(reader).inputs()[by] == id,
            _ => false,
        };
        let read = || readers[producer.index()].iter().copied().filter(|reader| needed[reader.index()]);
        if !graph.traits(producer).takes_pooling
            || graph.is_output(producer)
            || !read().all(|reader| reader == id || left_by(reader))
        {
            continue;
        }
        let (operands, name) = (graph.node(producer).inputs(), &graph.node(producer).name);
        for reader in read() {
            let Some(whole) = Wrapped::pooling(graph, producer, reader, pooling) else { continue };
            if reader == id {
                joined.replace(id, name.clone(), Arc::new(whole), operands.to_vec());
            } else {
                let left = Wrapped::left(Arc::new(whole), operands.len());
                let inputs = operands.iter().copied().chain([id]).collect();
                joined.replace(reader, name.clone(), Arc::new(left), inputs);
            }
        }
    }
    joined
}
