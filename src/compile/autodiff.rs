//! Reverse-mode differentiation: appends the backward graph to the forward one.

use crate::Result;
use crate::graph::{Graph, NodeId};
use crate::tensor::Tensor;

/// The gradients of the sum of `loss` to each node of `wrt`, as new nodes. See [`pull_back`].
pub fn gradients(graph: &mut Graph, loss: NodeId, wrt: &[NodeId]) -> Result<Vec<NodeId>> {
    graph.set_scope("loss");
    let ones = Tensor::from_fn(graph.shape(loss).clone(), |_| 1.0);
    let ones = graph.constant("loss gradient", ones)?;
    pull_back(graph, loss, ones, wrt)
}

/// The gradients to each node of `wrt` of whatever has the gradient `dy` to `y`, as new nodes: the vector-Jacobian
/// product.
///
/// Walks the nodes from `y` back, asks each operation for the gradients to its inputs, and adds up where a value is
/// used more than once. Only nodes on a path from `wrt` to `y` are visited. A node that does not influence `y` gets
/// zeros.
pub fn pull_back(graph: &mut Graph, y: NodeId, dy: NodeId, wrt: &[NodeId]) -> Result<Vec<NodeId>> {
    // Which nodes depend on `wrt`: gradients flow only through those.
    let mut depends = vec![false; y.index() + 1];
    for id in graph.ids().take(y.index() + 1) {
        depends[id.index()] = wrt.contains(&id) || graph.node(id).inputs().iter().any(|i| depends[i.index()]);
    }
    let mut gradient: Vec<Option<NodeId>> = vec![None; y.index() + 1];
    gradient[y.index()] = Some(dy);
    for index in (0..=y.index()).rev() {
        let id = NodeId(index as u32);
        let (Some(dy), true) = (gradient[index], depends[index]) else { continue };
        let node = graph.node(id).clone();
        if wrt.contains(&id) && !node.inputs().iter().any(|i| depends[i.index()]) {
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
