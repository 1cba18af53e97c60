//! The f64 reference: what a graph means, operation by operation.

use crate::graph::{Graph, NodeId, Source};
use crate::shape::{DType, TensorType};
use crate::tensor::{HostData, View, ViewData};
use crate::{Error, Result, compile};

/// A value of the reference.
#[derive(Clone, Debug)]
pub enum Value {
    /// Numbers: floats, and integers exact to 2⁵³.
    Numbers(Vec<f64>),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// Numbers as a value of a type: bytes for [`DType::U8`].
    pub fn of(dtype: DType, numbers: Vec<f64>) -> Self {
        match dtype {
            DType::U8 => Value::Bytes(numbers.into_iter().map(|v| v as u8).collect()),
            DType::F32 | DType::U32 => Value::Numbers(numbers),
        }
    }

    /// As an operand of [`Op::eval`](crate::graph::Op::eval).
    pub fn view<'a>(&'a self, ty: &'a TensorType) -> View<'a> {
        let data = match self {
            Value::Numbers(v) => ViewData::F64(v),
            Value::Bytes(v) => ViewData::U8(v),
        };
        View { shape: &ty.shape, data }
    }

    /// Calls `write` with the value in the form that a device takes.
    pub fn with_host_data<R>(&self, dtype: DType, write: impl FnOnce(HostData<'_>) -> R) -> R {
        match (self, dtype) {
            (Value::Bytes(v), _) => write(HostData::U8(v)),
            (Value::Numbers(v), DType::F32) => write(HostData::F32(&v.iter().map(|&v| v as f32).collect::<Vec<_>>())),
            (Value::Numbers(v), _) => write(HostData::U32(&v.iter().map(|&v| v as u32).collect::<Vec<_>>())),
        }
    }

    /// Zeros of a type.
    fn zeros(ty: &TensorType) -> Self {
        Self::of(ty.dtype, vec![0.0; ty.shape.elements()])
    }

    /// With each float rounded to f32.
    fn rounded(mut self, dtype: DType) -> Self {
        if let (Value::Numbers(v), DType::F32) = (&mut self, dtype) {
            v.iter_mut().for_each(|v| *v = f64::from(*v as f32));
        }
        self
    }
}

/// A graph with the values of its leaves, run by each operation's [`eval`](crate::graph::Op::eval) in f64.
///
/// [`Reference::new`] is a session: values that nothing needs any more are dropped, and updates replace variables.
/// [`Reference::values`] keeps every value of one run, for comparing operations one by one.
pub struct Reference {
    graph: Graph,
    order: Vec<NodeId>,
    /// Position in `order` after which a value is no longer needed.
    last_use: Vec<usize>,
    values: Vec<Option<Value>>,
    /// Whether updates replace variables; else their outputs are kept as any node's.
    updates: bool,
}

impl Reference {
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
            if graph.node(id).op().is_none() || graph.is_output(id) {
                last_use[id.index()] = usize::MAX;
            }
        }
        let leaf = |id: NodeId| {
            let node = graph.node(id);
            match &node.source {
                Source::Op { .. } => None,
                Source::Constant(values) => Some(Value::Numbers(values.iter().map(|&v| f64::from(v)).collect())),
                Source::Input | Source::Variable => Some(Value::zeros(&node.ty)),
            }
        };
        let values = graph.ids().map(leaf).collect();
        Ok(Self { graph: graph.clone(), order, last_use, values, updates: true })
    }

    /// Every value of a graph after one run, in the order of its nodes. `leaves` are the values of its inputs and
    /// variables, in order. An update's value is its output, the new values end to end; its variables stay.
    pub fn values(graph: &Graph, leaves: &[Value]) -> Vec<Value> {
        Self::values_of(graph, leaves, |_| true)
    }

    /// As [`Reference::values`], with each float of the result rounded to f32, as a device's buffer holds it.
    pub fn rounded_values(graph: &Graph, leaves: &[Value]) -> Vec<Value> {
        let values = Self::values(graph, leaves);
        graph.ids().zip(values).map(|(id, value)| value.rounded(graph.dtype(id))).collect()
    }

    /// As [`Reference::values`], for the operations that are `wanted`, which must not read the results of others. Of
    /// those the value has no elements.
    pub fn values_of(graph: &Graph, leaves: &[Value], wanted: impl Fn(NodeId) -> bool) -> Vec<Value> {
        let mut leaves = leaves.iter();
        let mut value = |id: NodeId| match &graph.node(id).source {
            Source::Op { .. } => None,
            Source::Constant(values) => Some(Value::Numbers(values.iter().map(|&v| f64::from(v)).collect())),
            Source::Input | Source::Variable => Some(leaves.next().expect("a value for each leaf").clone()),
        };
        let values = graph.ids().map(&mut value).collect();
        let order = graph.ids().filter(|&id| wanted(id)).collect();
        let last_use = vec![usize::MAX; graph.len()];
        let mut reference = Self { graph: graph.clone(), order, last_use, values, updates: false };
        reference.step();
        reference.values.into_iter().map(|value| value.unwrap_or(Value::Numbers(vec![]))).collect()
    }

    /// Sets a leaf.
    ///
    /// Errors: data of another type or length.
    pub fn write(&mut self, node: NodeId, data: HostData<'_>) -> Result<()> {
        data.check(&format!("\"{}\"", self.graph.node(node).name), self.graph.ty(node))?;
        self.values[node.index()] = Some(match data {
            HostData::F32(v) => Value::Numbers(v.iter().map(|&v| f64::from(v)).collect()),
            HostData::U32(v) => Value::Numbers(v.iter().map(|&v| f64::from(v)).collect()),
            HostData::U8(v) => Value::Bytes(v.to_vec()),
        });
        Ok(())
    }

    /// Sets a leaf in f64.
    ///
    /// Errors: data of another length.
    pub fn write_f64(&mut self, node: NodeId, data: &[f64]) -> Result<()> {
        let elements = self.graph.shape(node).elements();
        if data.len() != elements {
            let leaf = format!("\"{}\"", self.graph.node(node).name);
            return Err(Error::option(leaf, format!("{elements} values"), data.len()));
        }
        self.values[node.index()] = Some(Value::Numbers(data.to_vec()));
        Ok(())
    }

    /// A value in f64: a leaf, or an output after a step.
    ///
    /// Errors: the value is not kept, or is bytes.
    pub fn read_f64(&self, node: NodeId) -> Result<&[f64]> {
        match &self.values[node.index()] {
            Some(Value::Numbers(values)) => Ok(values),
            Some(Value::Bytes(_)) => Err(Error::option("node", "a value that is not bytes", self.graph.describe(node))),
            None => Err(not_kept(&self.graph, node)),
        }
    }

    /// The numbers of a value of any type: a leaf, or an output after a step.
    ///
    /// Errors: the value is not kept.
    pub fn read(&self, node: NodeId) -> Result<Vec<f64>> {
        match &self.values[node.index()] {
            Some(Value::Numbers(values)) => Ok(values.clone()),
            Some(Value::Bytes(bytes)) => Ok(bytes.iter().map(|&byte| f64::from(byte)).collect()),
            None => Err(not_kept(&self.graph, node)),
        }
    }

    /// Runs one step: every operation in order, updates last.
    pub fn step(&mut self) {
        for position in 0..self.order.len() {
            let id = self.order[position];
            let Source::Op { op, inputs } = &self.graph.node(id).source else { continue };
            let views: Vec<View<'_>> = inputs.iter().map(|&i| self.view(i)).collect();
            let updates = if self.updates { self.graph.traits(id).updates } else { &[] };
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
                self.values[variable.index()] = Some(Value::Numbers(new.to_vec()));
                rest = others;
            }
            if updates.is_empty() {
                self.values[id.index()] = Some(Value::Numbers(out));
            }
            for &input in self.graph.node(id).inputs() {
                if self.last_use[input.index()] == position {
                    self.values[input.index()] = None;
                }
            }
        }
    }

    fn view(&self, id: NodeId) -> View<'_> {
        self.values[id.index()].as_ref().expect("inputs are computed earlier").view(self.graph.ty(id))
    }
}

/// The error of reading a node whose value is not kept.
pub(super) fn not_kept(graph: &Graph, node: NodeId) -> Error {
    let expected = "a leaf or an output of the graph; to keep a value, call Graph::output for its node before the graph \
                    goes to the device";
    Error::option("node", expected, graph.describe(node))
}
