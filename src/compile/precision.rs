//! Storage precision: which values are stored as f16.

use std::collections::HashSet;

use crate::graph::{Graph, NodeId, Placement, Precision, Source};
use crate::kernel::{Kernel, Operand};
use crate::shape::DType;

/// Fewest elements of a value that is stored as f16: smaller ones save nothing worth the rounding.
const LEAST_HALVES: usize = 1024;

/// The nodes of `order` that are stored as f16, as the graph's [precision](Graph::precision) asks: none for f32, else
/// those of [`halves`] with at least 1024 elements.
pub fn precision(graph: &Graph, order: &[NodeId], kernels: &mut [Option<Kernel>]) -> HashSet<NodeId> {
    match graph.precision() {
        Precision::F32 => HashSet::new(),
        Precision::F16 => halves(graph, order, kernels, LEAST_HALVES),
    }
}

/// The nodes of `order` that can be stored as f16, with their kernels' bindings marked so. A view has the storage of what
/// it views and is not among them.
///
/// These are computed f32 values of at least two axes and `least` elements that stay inside the step, if every kernel
/// that binds them can load or store f16. Excluded are packed values (gradients of parameters); values that are viewed
/// from an element past the first; values that several dispatches of a kernel add to, whose sums would be rounded in
/// between; and values of an odd length, as bindings come in words of 4 bytes.
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
