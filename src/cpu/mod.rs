//! The CPU: the interpreter of a graph by each operation's f64 reference, which kernels are checked against, and the
//! [session](CpuSession) in f32, the fallback on machines without a GPU.

mod budget;
mod session;

pub use budget::budget;
pub use session::CpuSession;

use crate::graph::{Graph, NodeId, Source};
use crate::shape::DType;
use crate::tensor::{HostData, View, ViewData};
use crate::{Error, Result, compile};

/// A value of the step. Integers are held as f64, bytes as bytes.
#[derive(Clone, Debug)]
enum Value {
    F64(Vec<f64>),
    U8(Vec<u8>),
}

/// A graph with the values of its leaves, ready to run.
pub struct Interpreter {
    graph: Graph,
    order: Vec<NodeId>,
    /// Position in `order` after which a value is no longer needed.
    last_use: Vec<usize>,
    values: Vec<Option<Value>>,
}

impl Interpreter {
    /// Prepares a graph; leaves hold zeros until written.
    ///
    /// Errors: the graph is not [sound](Graph::verify).
    pub fn new(graph: &Graph) -> Result<Self> {
        graph.verify().map_err(Error::Graph)?;
        let order = compile::schedule(graph)?;
        let mut last_use = vec![0; graph.len()];
        for (position, id) in order.iter().enumerate() {
            graph.node(*id).inputs().iter().for_each(|i| last_use[i.index()] = position);
        }
        for id in graph.ids() {
            if graph.node(id).op().is_none() || graph.outputs().contains(&id) {
                last_use[id.index()] = usize::MAX;
            }
        }
        let leaf = |id: NodeId| {
            let node = graph.node(id);
            match (&node.source, node.ty.dtype) {
                (Source::Op { .. }, _) => None,
                (Source::Constant(values), _) => Some(Value::F64(values.iter().map(|&v| f64::from(v)).collect())),
                (_, DType::U8) => Some(Value::U8(vec![0; node.ty.shape.elements()])),
                (_, _) => Some(Value::F64(vec![0.0; node.ty.shape.elements()])),
            }
        };
        let values = graph.ids().map(leaf).collect();
        Ok(Self { graph: graph.clone(), order, last_use, values })
    }

    /// Sets a leaf.
    ///
    /// Errors: data of another type or length.
    pub fn write(&mut self, node: NodeId, data: HostData<'_>) -> Result<()> {
        data.check(&format!("\"{}\"", self.graph.node(node).name), self.graph.ty(node))?;
        self.values[node.index()] = Some(match data {
            HostData::F32(v) => Value::F64(v.iter().map(|&v| f64::from(v)).collect()),
            HostData::U32(v) => Value::F64(v.iter().map(|&v| f64::from(v)).collect()),
            HostData::U8(v) => Value::U8(v.to_vec()),
        });
        Ok(())
    }

    /// Sets a leaf in the reference's own precision.
    pub fn write_f64(&mut self, node: NodeId, data: &[f64]) -> Result<()> {
        assert_eq!(data.len(), self.graph.shape(node).elements(), "one value an element");
        self.values[node.index()] = Some(Value::F64(data.to_vec()));
        Ok(())
    }

    /// A value in the reference's own precision: a leaf, or an output after a step.
    ///
    /// Errors: the value is not kept, or is bytes.
    pub fn read_f64(&self, node: NodeId) -> Result<&[f64]> {
        match &self.values[node.index()] {
            Some(Value::F64(values)) => Ok(values),
            _ => Err(Error::option("node", "a leaf or an output that is not bytes", node.index())),
        }
    }

    /// The numbers of a value of any type: a leaf, or an output after a step.
    ///
    /// Errors: the value is not kept.
    pub fn read(&self, node: NodeId) -> Result<Vec<f64>> {
        match &self.values[node.index()] {
            Some(Value::F64(values)) => Ok(values.clone()),
            Some(Value::U8(bytes)) => Ok(bytes.iter().map(|&byte| f64::from(byte)).collect()),
            None => Err(Error::option("node", "a leaf or an output", node.index())),
        }
    }

    /// Runs one step: every operation in order, updates last.
    pub fn step(&mut self) {
        for position in 0..self.order.len() {
            let id = self.order[position];
            let Source::Op { op, inputs } = &self.graph.node(id).source else { continue };
            let views: Vec<View<'_>> = inputs.iter().map(|&i| self.view(i)).collect();
            let updates = self.graph.traits(id).updates;
            let length = match updates {
                [] => self.graph.shape(id).elements(),
                updates => updates.iter().map(|&u| self.graph.shape(inputs[u]).elements()).sum(),
            };
            let mut out = vec![0.0; length];
            op.eval(&views, &mut out);
            let mut rest = out.as_slice();
            let updated: Vec<NodeId> = updates.iter().map(|&u| inputs[u]).collect();
            for variable in updated {
                let (new, others) = rest.split_at(self.graph.shape(variable).elements());
                self.values[variable.index()] = Some(Value::F64(new.to_vec()));
                rest = others;
            }
            if updates.is_empty() {
                self.values[id.index()] = Some(Value::F64(out));
            }
            for &input in self.graph.node(id).inputs() {
                if self.last_use[input.index()] == position {
                    self.values[input.index()] = None;
                }
            }
        }
    }

    fn view(&self, id: NodeId) -> View<'_> {
        let data = match self.values[id.index()].as_ref().expect("inputs are computed earlier") {
            Value::F64(v) => ViewData::F64(v),
            Value::U8(v) => ViewData::U8(v),
        };
        View { shape: self.graph.shape(id), data }
    }
}
