//! Inlining: the elements of an operand are computed where the kernels that read it load them.

use std::sync::Arc;

use crate::compile::schedule::needed;
use crate::compile::wrap::{Wrapped, value};
use crate::graph::{Graph, NodeId, Op, Placement};
use crate::kernel::{Io, Limits};

/// Multiply-adds of a kernel per element loaded: those of a register tile.
const USES_OF_A_LOAD: u64 = 32;
/// Cost of one term of a computed element, loads included, in operations.
const OPERATIONS_A_TERM: u64 = 8;
/// Cost of writing an element and reading it again, in operations.
const OPERATIONS_OF_STORAGE: u64 = 4;
/// Operations that a GPU does in the microseconds of one more launch.
const OPERATIONS_OF_A_LAUNCH: u64 = 1 << 24;
/// The same for a software device.
const OPERATIONS_OF_A_SOFTWARE_LAUNCH: u64 = 1 << 15;

/// The graph in which matrix products and convolutions compute an operand themselves, where a shader of the operand's
/// operation defines `value(i)`, every reader can do so, and computing each element once per load costs less than a
/// dispatch, a write and a read.
pub fn inline(graph: &Graph, limits: &Limits) -> Graph {
    let mut inlined = graph.clone();
    let needed = needed(graph);
    let readers = graph.readers();
    for id in graph.ids().filter(|&id| needed[id.index()] && !graph.is_output(id)) {
        let has_value = |op: &Arc<dyn Op>| value(op.as_ref(), &inlined.io(id), limits).is_some();
        if !inlined.node(id).op().is_some_and(has_value) {
            continue;
        }
        let readers: Vec<NodeId> =
            readers[id.index()].iter().copied().filter(|reader| needed[reader.index()]).collect();
        let loads: u64 = readers.iter().map(|&reader| graph.traits(reader).multiply_adds / USES_OF_A_LOAD).sum();
        let operations = OPERATIONS_A_TERM * graph.traits(id).reduction as u64;
        let launch = if limits.software { OPERATIONS_OF_A_SOFTWARE_LAUNCH } else { OPERATIONS_OF_A_LAUNCH };
        let stored = graph.shape(id).elements() as u64 * (operations + OPERATIONS_OF_STORAGE);
        if loads * operations > launch + stored {
            continue;
        }
        let computing: Option<Vec<_>> = readers.iter().map(|&reader| computing(&inlined, reader, id, limits)).collect();
        for (&reader, op) in readers.iter().zip(computing.into_iter().flatten()) {
            let (node, inputs) = (inlined.node(reader), inputs_of_both(&inlined, reader, id));
            inlined.replace(reader, node.name.clone(), Arc::new(op), inputs);
        }
    }
    inlined
}

/// The inputs of `reader` without `id`, then those of `id`.
fn inputs_of_both(graph: &Graph, reader: NodeId, id: NodeId) -> Vec<NodeId> {
    let own = graph.node(reader).inputs().iter().copied().filter(|input| *input != id);
    own.chain(graph.node(id).inputs().iter().copied()).collect()
}

/// The operation of `reader` with the value of `id` computed inside, if its first kernel can do so.
fn computing(graph: &Graph, reader: NodeId, id: NodeId, limits: &Limits) -> Option<Wrapped> {
    let (op, io, traits) = (graph.node(reader).op()?, graph.io(reader), graph.traits(reader));
    let is_product = traits.multiply_adds > 0 && traits.updates.is_empty();
    // A value that another node's kernel stores has that node's inputs and no kernel.
    let is_left = matches!(traits.placement, Placement::LeftBy(_));
    let inputs = graph.node(reader).inputs();
    let number = inputs.iter().position(|input| *input == id)?;
    if inputs.iter().filter(|input| **input == id).count() > 1 || !(is_left || is_product) {
        return None;
    }
    let whole = Wrapped::computing(graph, id, reader, number)?;
    let types = inputs_of_both(graph, reader, id);
    let all = Io { inputs: types.iter().map(|&input| graph.ty(input)).collect(), output: io.output };
    // Not at the price of the kernel that suits the reader best.
    let best = || op.kernels(&io, limits).first().map(|kernel| kernel.name);
    let keeps_best = || whole.kernels(&all, limits).first().is_some_and(|kernel| Some(kernel.name) == best());
    (is_left || keeps_best()).then_some(whole)
}
