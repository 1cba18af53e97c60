//! Storage: which values are kept as halves.

use std::collections::HashSet;

use crate::graph::{Graph, NodeId, Placement, Source};
use crate::kernel::{Kernel, Operand};
use crate::shape::DType;

/// The nodes of `order` that are stored as halves, and their kernels' bindings marked so. Views are where what they view
/// is, and are not among them.
///
/// These are computed floats of at least two axes and `least` elements that stay inside the step, if every kernel takes
/// them as halves. Left out are those that are packed (gradients of parameters), those that are read from their middle,
/// those that several dispatches of a kernel add to, whose sums would be rounded in between, and those of an odd length,
/// as bindings come in words of 4 bytes.
pub fn halves(graph: &Graph, order: &[NodeId], kernels: &mut [Option<Kernel>], least: usize) -> HashSet<NodeId> {
    let fits = |id: NodeId| {
        let (node, traits) = (graph.node(id), graph.traits(id));
        let elements = node.ty.shape.elements();
        matches!(node.source, Source::Op { .. })
            && (traits.placement == Placement::Own && traits.updates.is_empty())
            && (node.ty.dtype == DType::F32 && node.ty.shape.len() >= 2)
            && (elements >= least && elements.is_multiple_of(2))
    };
    let mut halves: HashSet<NodeId> = order.iter().copied().filter(|&id| fits(id)).collect();
    graph.outputs().iter().for_each(|&output| _ = halves.remove(&graph.viewed(output)));
    for (&id, kernel) in order.iter().zip(kernels.iter()) {
        let inputs = graph.node(id).inputs();
        match graph.traits(id).placement {
            Placement::Holds(_) => inputs.iter().for_each(|&part| _ = halves.remove(&graph.viewed(part))),
            Placement::ViewOf(start) if start > 0 => _ = halves.remove(&graph.viewed(id)),
            _ => {}
        }
        let dispatches = || kernel.iter().flat_map(|kernel| &kernel.dispatches);
        if dispatches().filter(|d| d.bindings.iter().any(|b| b.operand == Operand::Output)).count() > 1 {
            halves.remove(&id);
        }
        for dispatch in dispatches() {
            for binding in dispatch.bindings.iter().filter(|binding| !dispatch.takes_halves(binding.number)) {
                bound(graph, id, binding.operand).map(|value| halves.remove(&value));
            }
        }
    }
    for (&id, kernel) in order.iter().zip(kernels) {
        for dispatch in kernel.iter_mut().flat_map(|kernel| &mut kernel.dispatches) {
            let is_half = |operand| bound(graph, id, operand).is_some_and(|value| halves.contains(&value));
            dispatch.halves = dispatch.bindings.iter().filter(|b| is_half(b.operand)).map(|b| b.number).collect();
        }
    }
    halves
}

/// The node in whose memory an operand of node `id` is.
fn bound(graph: &Graph, id: NodeId, operand: Operand) -> Option<NodeId> {
    match operand {
        Operand::Input(number) => Some(graph.viewed(graph.node(id).inputs()[number])),
        Operand::Output => Some(id),
        Operand::Scratch(_) => None,
    }
}
