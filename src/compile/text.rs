//! Results of the passes after the graph's as text, for traces and for the snapshots of the tests.

use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};

use crate::compile::Launches;
use crate::graph::{Graph, NodeId};
use crate::kernel::Kernel;

/// Text that is written only when it is asked for.
struct Lazy<F>(F);

impl<F: Fn(&mut Formatter<'_>) -> fmt::Result> Display for Lazy<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0(f)
    }
}

/// One line a node of a schedule: `%3   relu    conv1`.
pub fn order(graph: &Graph, order: &[NodeId]) -> impl Display {
    Lazy(move |f: &mut Formatter<'_>| {
        for &id in order {
            let node = graph.node(id);
            writeln!(f, "%{:<3} {:26} {}", id.index(), node.op().map_or("leaf", |op| op.name()), node.name)?;
        }
        Ok(())
    })
}

/// One line a node with a kernel: its operation, the kernel, the kernel's shaders in turn.
pub fn kernels(graph: &Graph, order: &[NodeId], kernels: &[Option<Kernel>]) -> impl Display {
    Lazy(move |f: &mut Formatter<'_>| {
        for (&id, kernel) in order.iter().zip(kernels) {
            let (Some(kernel), Some(op)) = (kernel, graph.node(id).op()) else { continue };
            let shaders: Vec<&str> = kernel.dispatches.iter().map(|dispatch| dispatch.shader.name).collect();
            writeln!(f, "%{:<3} {:26} {:26} {}", id.index(), op.name(), kernel.name, shaders.join(" "))?;
        }
        Ok(())
    })
}

/// One line a node that is stored in 16 bits.
pub fn halves(graph: &Graph, order: &[NodeId], halves: &HashSet<NodeId>) -> impl Display {
    Lazy(move |f: &mut Formatter<'_>| {
        for id in order.iter().filter(|id| halves.contains(id)) {
            let node = graph.node(*id);
            let op = node.op().map_or("leaf", |op| op.name());
            writeln!(f, "%{:<3} {op:26} {} {}", id.index(), node.ty, node.name)?;
        }
        Ok(())
    })
}

/// One line a launch that is not empty: its number and its dispatches, as node and shader.
pub fn launches(graph: &Graph, order: &[NodeId], kernels: &[Option<Kernel>], launches: &Launches) -> impl Display {
    Lazy(move |f: &mut Formatter<'_>| {
        let mut of: Vec<Vec<String>> = vec![vec![]; launches.count];
        for ((&id, kernel), numbers) in order.iter().zip(kernels).zip(&launches.of) {
            let dispatches = kernel.iter().flat_map(|kernel| &kernel.dispatches);
            for (dispatch, &launch) in dispatches.zip(numbers) {
                of[launch].push(format!("%{} {}", id.index(), dispatch.shader.name));
            }
            if let (None, [launch]) = (kernel, &numbers[..]) {
                of[*launch].push(format!("%{} {}", id.index(), graph.node(id).op().map_or("leaf", |op| op.name())));
            }
        }
        for (number, dispatches) in of.iter().enumerate().filter(|(_, dispatches)| !dispatches.is_empty()) {
            writeln!(f, "{number:>3}  {}", dispatches.join(", "))?;
        }
        Ok(())
    })
}
