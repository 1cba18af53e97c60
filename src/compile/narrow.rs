//! Narrowing: what a gradient is scaled by before it is spread need not be computed where it is 0.

use crate::graph::Graph;

/// The graph with each scalar function of a spread gradient and the value that its elements were picked from taken before
/// the spreading instead, of the elements alone: the gradient of an activation whose value is pooled is that at the maxima.
/// Nothing then reads the large value for it.
///
/// An element that nothing is spread to stays 0, as the function makes 0 of 0 whatever the value there, NaN and infinities
/// among them: those that say so only are moved. Where several come to one place, their values there are the same one, and
/// the function is linear.
pub fn narrow(graph: &Graph) -> Graph {
    let mut narrowed = graph.clone();
    let readers = graph.readers();
    for id in graph.ids() {
        let (node, Some(epilogue)) = (graph.node(id), graph.traits(id).epilogue) else { continue };
        let (Some(scalar), Some(factor), true) = (node.op(), epilogue.factor, epilogue.keeps_zeros) else { continue };
        let [value, spread] = [factor, epilogue.of].map(|number| node.inputs()[number]);
        let (Some(op), Some(spreads)) = (graph.node(spread).op(), graph.traits(spread).spreads) else { continue };
        let (mut operands, mut spread_inputs) = (node.inputs().to_vec(), graph.node(spread).inputs().to_vec());
        let places = spread_inputs[spreads.to];
        let Some(finds) = graph.traits(places).finds else { continue };
        let searched = graph.node(places).inputs();
        let alone = readers[spread.index()] == [id] && !graph.outputs().contains(&spread);
        if alone && searched[finds.within] == value {
            operands[factor] = searched[finds.of];
            operands[epilogue.of] = std::mem::replace(&mut spread_inputs[spreads.of], spread);
            narrowed.replace(spread, node.name.clone(), scalar.clone(), operands);
            narrowed.replace(id, graph.node(spread).name.clone(), op.clone(), spread_inputs);
        }
    }
    narrowed
}
