//! Reverse-mode differentiation: appends the backward graph to the forward one.

use std::collections::HashSet;

use crate::Result;
use crate::graph::{Graph, NodeId};
use crate::tensor::Tensor;

/// The gradients of the sum of `loss` with respect to each node of `wrt`, as new nodes of the shapes of `wrt`. See
/// [`pull_back`].
///
/// Errors: as [`pull_back`].
pub fn gradients(graph: &mut Graph, loss: NodeId, wrt: &[NodeId]) -> Result<Vec<NodeId>> {
    graph.set_scope("loss");
    let ones = Tensor::from_fn(graph.shape(loss).clone(), |_| 1.0);
    let ones = graph.constant("loss gradient", ones)?;
    pull_back(graph, loss, ones, wrt)
}

/// The vector-Jacobian products `dyᵀ · ∂y/∂w` for each node w of `wrt`, as new nodes of the shapes of `wrt`. `dy` has the
/// shape of `y`.
///
/// Reverse mode: walks the nodes back from `y`, asks each operation for the gradients with respect to its inputs, and
/// adds up where a value is used more than once. Only nodes on a path from `wrt` to `y` are visited. The gradient with
/// respect to a node that does not influence `y` is zeros.
///
/// Errors: an operation on such a path has no gradient.
pub fn pull_back(graph: &mut Graph, y: NodeId, dy: NodeId, wrt: &[NodeId]) -> Result<Vec<NodeId>> {
    let wanted: HashSet<NodeId> = wrt.iter().copied().collect();
    // Which nodes depend on `wrt`: gradients flow only through those.
    let mut depends = vec![false; y.index() + 1];
    for id in graph.ids().take(y.index() + 1) {
        depends[id.index()] = wanted.contains(&id) || graph.node(id).inputs().iter().any(|i| depends[i.index()]);
    }
    let mut gradient: Vec<Option<NodeId>> = vec![None; y.index() + 1];
    gradient[y.index()] = Some(dy);
    for index in (0..=y.index()).rev() {
        let id = NodeId(index as u32);
        let (Some(dy), true) = (gradient[index], depends[index]) else { continue };
        let node = graph.node(id).clone();
        if wanted.contains(&id) && !node.inputs().iter().any(|i| depends[i.index()]) {
            continue;
        }
        let Some(op) = node.op() else { continue };
        graph.set_scope(node.name.clone());
        let grads = op.grad(graph, id, dy)?;
        for (&input, grad) in node.inputs().iter().zip(grads) {
            let Some(grad) = grad.filter(|_| depends[input.index()]) else { continue };
            gradient[input.index()] = Some(match gradient[input.index()] {
                None => grad,
                Some(earlier) => graph.add(earlier, grad)?,
            });
        }
    }
    wrt.iter()
        .map(|&id| match gradient.get(id.index()).copied().flatten() {
            Some(grad) => Ok(grad),
            None => graph.constant("zero gradient", Tensor::from_fn(graph.shape(id).clone(), |_| 0.0)),
        })
        .collect()
}
