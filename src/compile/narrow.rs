//! Moves an activation's gradient ahead of max-unpooling, so it runs on the pooled elements only.

use crate::graph::Graph;

/// The graph with each scalar function of an unpooled gradient applied before the unpooling instead.
///
/// In terms of [`Traits`](crate::graph::Traits): if a node is an epilogue `f(v, factor)` where `v` is
/// [spread](crate::graph::Spread) to positions that were [found](crate::graph::Find) in `factor`, then `f` is applied to
/// the elements before they are spread, with the elements of `factor` that were found. So the backward operation of an
/// activation before a pooling layer reads the pooled value, and nothing reads the full-size one.
///
/// Elements that nothing is spread to stay 0, which holds only for functions that
/// [keep zeros](crate::graph::Epilogue::keeps_zeros). Where several elements are spread to one position, they share its
/// factor, and the function is linear in `v`.
pub fn narrow(graph: &Graph) -> Graph {
    let mut narrowed = graph.clone();
    let readers = graph.readers();
    for id in graph.ids() {
        let (node, Some(epilogue)) = (graph.node(id), graph.traits(id).epilogue) else { continue };
        let (Some(scalar), Some(factor), true) = (node.op(), epilogue.factor, epilogue.keeps_zeros) else { continue };
        let [value, spread] = [factor, epilogue.of].map(|number| node.inputs()[number]);
        let (Some(op), Some(spreads)) = (graph.node(spread).op(), graph.traits(spread).spreads) else { continue };
        let (mut operands, mut spread_inputs) = (node.inputs().to_vec(), graph.node(spread).inputs().to_vec());
        let positions = spread_inputs[spreads.to];
        let Some(finds) = graph.traits(positions).finds else { continue };
        let searched = graph.node(positions).inputs();
        let alone = readers[spread.index()] == [id] && !graph.is_output(spread);
        if alone && searched[finds.within] == value {
            operands[factor] = searched[finds.of];
            operands[epilogue.of] = std::mem::replace(&mut spread_inputs[spreads.of], spread);
            narrowed.replace(spread, node.name.clone(), scalar.clone(), operands);
            narrowed.replace(id, graph.node(spread).name.clone(), op.clone(), spread_inputs);
        }
    }
    narrowed
}
