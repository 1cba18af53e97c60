//! Kernel selection: one of an operation's candidates for each node.

use crate::graph::{Graph, NodeId, Placement};
use crate::kernel::{Io, Kernel, Limits};
use crate::{Error, Result};

/// A choice among the candidates of an operation, by index: of its name, its types and the candidates, at least one.
///
/// Errors: those of the measurements that it relies on.
pub type Choice<'a> = dyn Fn(&'static str, &Io<'_>, &[Kernel]) -> Result<usize> + 'a;

/// The choice of the first candidate, which is the operation's best guess.
pub fn first(_: &'static str, _: &Io<'_>, _: &[Kernel]) -> Result<usize> {
    Ok(0)
}

/// The kernel of each node of `order`; `None` for leaves and for operations that move no data.
///
/// Candidates that bind more buffers than the device allows are left out before the choice.
///
/// Errors: no candidate is left; those of `choice`.
pub fn select(graph: &Graph, order: &[NodeId], limits: &Limits, choice: &Choice<'_>) -> Result<Vec<Option<Kernel>>> {
    let one = |&id: &NodeId| {
        let node = graph.node(id);
        let Some(op) = node.op() else { return Ok(None) };
        if graph.traits(id).placement != Placement::Own {
            return Ok(None);
        }
        let io = graph.io(id);
        let mut candidates = op.kernels(&io, limits);
        let most = limits.max_storage_buffers_per_shader_stage as usize;
        candidates.retain(|k| k.dispatches.iter().all(|d| d.bindings.len() <= most));
        if candidates.is_empty() {
            return Err(Error::Limit {
                what: format!("{} \"{}\"", op.name(), node.name),
                limit: "maxStorageBuffersPerShaderStage",
                needed: most as u64 + 1,
                available: most as u64,
                hint: String::new(),
            });
        }
        let chosen = choice(op.name(), &io, &candidates)?;
        Ok(Some(candidates.swap_remove(chosen)))
    };
    order.iter().map(one).collect()
}
