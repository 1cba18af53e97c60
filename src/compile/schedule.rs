//! The order of a step: what is needed, in an order that respects data and updates.

use crate::graph::{Graph, NodeId};
use crate::{Error, Result};

/// The nodes that outputs and updates need, operations and leaves, in order. Updates come last, so that whatever reads
/// a variable sees its value from before the step; an update that reads another update's variable goes before it.
pub fn schedule(graph: &Graph) -> Result<Vec<NodeId>> {
    let mut updates: Vec<NodeId> = graph.ids().filter(|&id| is_update(graph, id)).collect();
    let needed = needed(graph);
    let mut order: Vec<NodeId> = graph.ids().filter(|id| needed[id.index()] && !updates.contains(id)).collect();

    // `a` before `b` if it reads what `b` replaces.
    let before = |a: NodeId, b: NodeId| {
        let replaced = graph.traits(b).updates.iter().map(|&i| graph.node(b).inputs()[i]);
        a != b
            && replaced.into_iter().any(|variable| graph.node(a).inputs().iter().any(|&i| graph.viewed(i) == variable))
    };
    while !updates.is_empty() {
        let free = updates.iter().position(|&u| !updates.iter().any(|&other| before(other, u)));
        let next = free.ok_or_else(|| Error::Gpu {
            what: "schedule".into(),
            reason: "updates read each other's variables in a circle".into(),
        })?;
        order.push(updates.remove(next));
    }
    Ok(order)
}

/// For each node, whether an output or an update needs it.
pub(super) fn needed(graph: &Graph) -> Vec<bool> {
    let mut needed: Vec<bool> = graph.ids().map(|id| is_update(graph, id)).collect();
    graph.outputs().iter().for_each(|output| needed[output.index()] = true);
    for id in graph.ids().rev() {
        if needed[id.index()] {
            graph.node(id).inputs().iter().for_each(|input| needed[input.index()] = true);
        }
    }
    needed
}

fn is_update(graph: &Graph, id: NodeId) -> bool {
    !graph.traits(id).updates.is_empty()
}
