//! The order of execution: which nodes are needed, in an order that respects data and updates.

use std::collections::{BTreeSet, HashMap};

use crate::graph::{Graph, NodeId};
use crate::{Error, Result};

/// The nodes that outputs and updates need, operations and leaves, in order. Updates come last, so that every other node
/// that reads a variable sees its value from before the step; an update that reads another update's variable goes before
/// it.
///
/// Errors: updates that read each other's variables in a circle.
pub fn schedule(graph: &Graph) -> Result<Vec<NodeId>> {
    let is_update = updates(graph);
    let needed = needed_with(graph, &is_update);
    let mut order: Vec<NodeId> = graph.ids().filter(|id| needed[id.index()] && !is_update[id.index()]).collect();
    let updates: Vec<NodeId> = graph.ids().filter(|id| is_update[id.index()]).collect();
    order.extend(in_turn(graph, &updates)?);
    Ok(order)
}

/// The updates, each before those that replace what it reads; among those that may come next, the first in the graph.
fn in_turn(graph: &Graph, updates: &[NodeId]) -> Result<Vec<NodeId>> {
    let mut replaced_by: HashMap<NodeId, Vec<usize>> = HashMap::new();
    for (number, &update) in updates.iter().enumerate() {
        for &input in graph.traits(update).updates {
            replaced_by.entry(graph.node(update).inputs()[input]).or_default().push(number);
        }
    }
    // For each update, those that have to come after it; and how many have to come before it.
    let mut later = vec![vec![]; updates.len()];
    let mut waits_for = vec![0usize; updates.len()];
    for (number, &update) in updates.iter().enumerate() {
        let reads = graph.node(update).inputs().iter().map(|&input| graph.viewed(input));
        let mut after: Vec<usize> =
            reads.filter_map(|variable| replaced_by.get(&variable)).flatten().copied().collect();
        after.sort_unstable();
        after.dedup();
        after.retain(|&other| other != number);
        after.iter().for_each(|&other| waits_for[other] += 1);
        later[number] = after;
    }
    let mut free: BTreeSet<usize> = (0..updates.len()).filter(|&u| waits_for[u] == 0).collect();
    let mut order = vec![];
    while let Some(next) = free.pop_first() {
        order.push(updates[next]);
        for &other in &later[next] {
            waits_for[other] -= 1;
            if waits_for[other] == 0 {
                free.insert(other);
            }
        }
    }
    if order.len() < updates.len() {
        let reason = "updates read each other's variables in a circle".into();
        return Err(Error::Gpu { what: "schedule".into(), reason });
    }
    Ok(order)
}

/// For each node, whether an output or an update needs it.
pub(super) fn needed(graph: &Graph) -> Vec<bool> {
    needed_with(graph, &updates(graph))
}

fn needed_with(graph: &Graph, is_update: &[bool]) -> Vec<bool> {
    let mut needed = is_update.to_vec();
    graph.outputs().iter().for_each(|output| needed[output.index()] = true);
    for id in graph.ids().rev() {
        if needed[id.index()] {
            graph.node(id).inputs().iter().for_each(|input| needed[input.index()] = true);
        }
    }
    needed
}

/// For each node, whether it updates variables.
fn updates(graph: &Graph) -> Vec<bool> {
    graph.ids().map(|id| !graph.traits(id).updates.is_empty()).collect()
}
