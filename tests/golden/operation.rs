//! An operation, forward and backward, on the reference and on the GPU.

use lenslet::compile::pull_back;
use lenslet::cpu::Reference;
use lenslet::{DType, Device, Gpu, Graph, NodeId, Result, Session, Tensor, TensorType};

use crate::build::build;
use crate::cases::{Case, Golden};
use crate::{compare, in_words};

/// A case as a graph.
pub struct Built {
    pub graph: Graph,
    inputs: Vec<NodeId>,
    /// What PyTorch's values are compared with, by the name they have there.
    results: Vec<(NodeId, String)>,
}

impl Built {
    pub fn of(case: &Case) -> Result<Self> {
        let mut graph = Graph::new();
        let mut inputs = vec![];
        for input in &case.inputs {
            let shape = input.shape.clone();
            let ty = if input.is_integer() { TensorType::u32(shape) } else { TensorType::f32(shape) };
            inputs.push(if input.variable { graph.variable("x", ty)? } else { graph.input("x", ty)? });
        }
        let made = build(case, &mut graph, &inputs)?;
        let mut results = vec![(made.y, "y".to_string())];
        results.extend(made.others.iter().map(|(name, node)| (*node, name.to_string())));
        if !case.wrt.is_empty() {
            let shape = graph.shape(made.y).clone();
            let upstream = case.upstream(&shape).iter().map(|&v| v as f32).collect();
            let upstream = graph.constant("upstream", Tensor::new(shape, upstream)?)?;
            let wrt: Vec<NodeId> = case.wrt.iter().map(|&i| inputs[i]).collect();
            let grads = pull_back(&mut graph, made.y, upstream, &wrt)?;
            results.extend(grads.iter().zip(&case.wrt).map(|(&grad, i)| (grad, format!("d{i}"))));
        }
        Ok(Self { graph, inputs, results })
    }

    /// The reference after a step, with every value kept.
    fn reference(&self, case: &Case) -> Result<Reference> {
        let mut every = self.graph.clone();
        computed(&self.graph).for_each(|id| every.output(id));
        let mut reference = Reference::new(&every)?;
        for (number, &id) in self.inputs.iter().enumerate() {
            reference.write_f64(id, &case.input(number))?;
        }
        reference.step();
        Ok(reference)
    }

    /// What the GPU makes of the case, in the order of the results.
    fn on(&self, gpu: &Gpu, case: &Case) -> Result<Vec<Vec<f64>>> {
        let mut graph = self.graph.clone();
        self.results.iter().for_each(|(node, _)| graph.output(*node));
        let mut session = Session::new(&Device::from(gpu), &graph)?;
        for (number, &id) in self.inputs.iter().enumerate() {
            let data = case.input(number);
            match graph.dtype(id) {
                DType::F32 => session.write(id, data.iter().map(|&v| v as f32).collect::<Vec<_>>().as_slice())?,
                _ => session.write(id, data.iter().map(|&v| v as u32).collect::<Vec<_>>().as_slice())?,
            }
        }
        session.run(1);
        self.results.iter().map(|(node, _)| session.read_f64(*node)).collect()
    }

    /// A step's values may err by 4·ε·√L of the largest value in it, L the longest sums of its operations end to end.
    fn allowed(&self, reference: &Reference) -> f64 {
        let mut largest: f64 = 1e-30;
        let mut length = 1;
        for id in computed(&self.graph) {
            if self.graph.dtype(id) == DType::F32 {
                let values = reference.read_f64(id).expect("every node is an output");
                largest = values.iter().fold(largest, |m, v| m.max(v.abs()));
            }
            length += self.graph.traits(id).reduction - 1;
        }
        4.0 * f64::from(f32::EPSILON) * (length as f64).sqrt() * largest
    }
}

/// The nodes that have a value: updates have none of their own.
fn computed(graph: &Graph) -> impl Iterator<Item = NodeId> {
    graph.ids().filter(|&id| graph.node(id).op().is_none() || graph.traits(id).updates.is_empty())
}

/// The file holds f32: half a unit in the last place of its largest value, whatever the reference computes.
fn stored(want: &[f32]) -> f64 {
    want.iter().fold(1e-30, |m: f64, v| m.max(f64::from(v.abs()))) * f64::from(f32::EPSILON)
}

/// The case on the reference, and on the GPU if there is one.
pub fn check(case: &Case, golden: &Golden, gpu: Option<&Gpu>) -> Result<(), String> {
    let built = Built::of(case).map_err(in_words)?;
    let mut named: Vec<&str> = built.results.iter().map(|(_, name)| name.as_str()).collect();
    named.sort_unstable();
    if !named.iter().copied().eq(golden.results(case)) {
        return Err(format!("has the results {named:?}, PyTorch others"));
    }
    let reference = built.reference(case).map_err(in_words)?;
    for (node, name) in &built.results {
        let (want, got) = (golden.of(case, name), reference.read_f64(*node).map_err(in_words)?);
        compare(got, want, stored(want)).map_err(|e| format!("{name} on the CPU: {e}"))?;
    }
    let Some(gpu) = gpu else { return Ok(()) };
    let allowed = built.allowed(&reference);
    let all = built.on(gpu, case).map_err(in_words)?;
    for ((node, name), got) in built.results.iter().zip(all) {
        let allowed = if built.graph.dtype(*node) == DType::F32 { allowed } else { 0.0 };
        compare(&got, golden.of(case, name), allowed).map_err(|e| format!("{name} on the GPU: {e}"))?;
    }
    Ok(())
}
