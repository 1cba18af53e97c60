//! The CPU as a device: the graph in f32, each operation by its own f32 path, or by the f64 reference if it has none.

use std::sync::Arc;

use crate::cpu::reference::not_kept;
use crate::graph::{Graph, NodeId, Op, Placement, Source};
use crate::shape::DType;
use crate::tensor::{HostData, View, ViewData};
use crate::{Error, Result, compile};

/// A stored value. Views are ranges of another node's.
#[derive(Clone, Debug)]
enum Value {
    Floats(Vec<f32>),
    /// As the reference holds them.
    Integers(Vec<f64>),
    Bytes(Vec<u8>),
}

/// A graph with the values of its leaves, ready to run. Floats are f32, as on a GPU.
pub struct CpuSession {
    graph: Graph,
    tasks: Vec<Task>,
    /// For each node the one that holds its value, and where in that it begins.
    places: Vec<(NodeId, usize)>,
    values: Vec<Option<Value>>,
    /// Buffers of values that are no longer needed, for reuse.
    free: Vec<Vec<f32>>,
}

/// One operation of a step.
struct Task {
    node: NodeId,
    op: Arc<dyn Op>,
    inputs: Vec<NodeId>,
    /// Variables that it replaces, in the order of its output.
    updates: Vec<NodeId>,
    /// Elements of its output.
    length: usize,
    /// Nodes whose values nothing needs after it.
    last_uses: Vec<NodeId>,
}

impl CpuSession {
    /// Prepares a graph; leaves hold zeros until written.
    ///
    /// Errors: the graph is not [sound](Graph::verify), or its [precision](Graph::precision) is not f32.
    pub fn new(graph: &Graph) -> Result<Self> {
        graph.precision().check("the CPU", false)?;
        graph.verify().map_err(Error::Graph)?;
        let mut places: Vec<(NodeId, usize)> = vec![];
        for id in graph.ids() {
            places.push(match graph.traits(id).placement {
                Placement::ViewOf(start) => {
                    let (whole, offset) = places[graph.node(id).inputs()[0].index()];
                    (whole, offset + start)
                }
                _ => (id, 0),
            });
        }
        let mut tasks = vec![];
        for node in compile::schedule(graph)? {
            let Source::Op { op, inputs } = &graph.node(node).source else { continue };
            if places[node.index()].0 != node {
                continue;
            }
            let updates: Vec<NodeId> = graph.traits(node).updates.iter().map(|&u| inputs[u]).collect();
            let elements = |id: &NodeId| graph.shape(*id).elements();
            let length = if updates.is_empty() { elements(&node) } else { updates.iter().map(elements).sum() };
            tasks.push(Task { node, op: op.clone(), inputs: inputs.clone(), updates, length, last_uses: vec![] });
        }
        let mut kept: Vec<bool> = graph.ids().map(|id| graph.node(id).op().is_none()).collect();
        graph.outputs().iter().for_each(|output| kept[places[output.index()].0.index()] = true);
        for task in tasks.iter_mut().rev() {
            for whole in task.inputs.iter().map(|input| places[input.index()].0) {
                if !std::mem::replace(&mut kept[whole.index()], true) {
                    task.last_uses.push(whole);
                }
            }
        }
        let leaf = |id: NodeId| {
            let node = graph.node(id);
            match (&node.source, node.ty.dtype) {
                (Source::Op { .. }, _) => None,
                (Source::Constant(values), _) => Some(Value::Floats(values.to_vec())),
                (_, DType::F32) => Some(Value::Floats(vec![0.0; node.ty.shape.elements()])),
                (_, DType::U32) => Some(Value::Integers(vec![0.0; node.ty.shape.elements()])),
                (_, DType::U8) => Some(Value::Bytes(vec![0; node.ty.shape.elements()])),
            }
        };
        let values = graph.ids().map(leaf).collect();
        Ok(Self { graph: graph.clone(), tasks, places, values, free: vec![] })
    }

    /// Sets a leaf.
    ///
    /// Errors: data of another type or length.
    pub fn write(&mut self, node: NodeId, data: HostData<'_>) -> Result<()> {
        data.check(&format!("\"{}\"", self.graph.node(node).name), self.graph.ty(node))?;
        self.values[node.index()] = Some(match data {
            HostData::F32(v) => Value::Floats(v.to_vec()),
            HostData::U32(v) => Value::Integers(v.iter().map(|&v| f64::from(v)).collect()),
            HostData::U8(v) => Value::Bytes(v.to_vec()),
        });
        Ok(())
    }

    /// The numbers of a value of any type: a leaf, or an output after a step.
    ///
    /// Errors: the value is not kept.
    pub fn read(&self, node: NodeId) -> Result<Vec<f64>> {
        match self.view(node).map(|view| view.data) {
            Some(ViewData::F32(values)) => Ok(values.iter().map(|&v| f64::from(v)).collect()),
            Some(ViewData::F64(values)) => Ok(values.to_vec()),
            Some(ViewData::U8(bytes)) => Ok(bytes.iter().map(|&byte| f64::from(byte)).collect()),
            None => Err(not_kept(&self.graph, node)),
        }
    }

    /// Runs `steps` steps: every operation in order, updates last.
    pub fn run(&mut self, steps: usize) {
        // On a thread of the pool, where parallel loops begin and end at less cost than outside of it.
        rayon::scope(|_| {
            for _ in 0..steps {
                (0..self.tasks.len()).for_each(|task| self.run_task(task));
            }
        });
    }

    /// Runs a step up to the first operation whose result has a number that is not finite, and returns its node.
    pub fn run_to_not_finite(&mut self) -> Option<NodeId> {
        let is_finite = |value: &Option<Value>| match value {
            Some(Value::Floats(values)) => values.iter().all(|value| value.is_finite()),
            _ => true,
        };
        (0..self.tasks.len()).find_map(|number| {
            self.run_task(number);
            let Task { node, updates, .. } = &self.tasks[number];
            let results = if updates.is_empty() { std::slice::from_ref(node) } else { updates };
            results.iter().any(|id| !is_finite(&self.values[id.index()])).then_some(*node)
        })
    }

    fn run_task(&mut self, number: usize) {
        let mut out = take(&mut self.free, self.tasks[number].length);
        let task = &self.tasks[number];
        let views: Vec<View<'_>> =
            task.inputs.iter().map(|&i| self.view(i).expect("inputs are computed earlier")).collect();
        let results = if task.updates.is_empty() { &[task.node][..] } else { &task.updates };
        let floats = results.iter().all(|&id| self.graph.dtype(id) == DType::F32);
        if !((floats || task.updates.is_empty()) && task.op.eval_f32(&views, &mut out)) {
            let reference = by_reference(task.op.as_ref(), &views, task.length);
            self.keep_reference(number, &reference);
            self.free.push(out);
        } else if !floats {
            let integers = out.iter().map(|&v| f64::from(v)).collect();
            self.values[task.node.index()] = Some(Value::Integers(integers));
            self.free.push(out);
        } else if task.updates.is_empty() {
            if let Some(Value::Floats(last)) = self.values[task.node.index()].replace(Value::Floats(out)) {
                self.free.push(last);
            }
        } else {
            let mut rest = out.as_slice();
            for variable in &task.updates {
                let Some(Value::Floats(values)) = &mut self.values[variable.index()] else { continue };
                let (new, others) = rest.split_at(values.len());
                values.copy_from_slice(new);
                rest = others;
            }
            self.free.push(out);
        }
        for id in &self.tasks[number].last_uses {
            if let Some(Value::Floats(values)) = self.values[id.index()].take() {
                self.free.push(values);
            }
        }
    }

    /// Stores a task's results from the reference.
    fn keep_reference(&mut self, number: usize, mut results: &[f64]) {
        let task = &self.tasks[number];
        let nodes = if task.updates.is_empty() { &[task.node][..] } else { &task.updates };
        for id in nodes {
            let (new, others) = results.split_at(self.graph.shape(*id).elements());
            self.values[id.index()] = Some(match self.graph.dtype(*id) {
                DType::F32 => {
                    let mut floats = take(&mut self.free, new.len());
                    floats.iter_mut().zip(new).for_each(|(float, &v)| *float = v as f32);
                    Value::Floats(floats)
                }
                _ => Value::Integers(new.to_vec()),
            });
            results = others;
        }
    }

    /// A value, if it is there.
    fn view(&self, id: NodeId) -> Option<View<'_>> {
        let (whole, start) = self.places[id.index()];
        let shape = self.graph.shape(id);
        let range = start..start + shape.elements();
        let data = match self.values[whole.index()].as_ref()? {
            Value::Floats(v) => ViewData::F32(&v[range]),
            Value::Integers(v) => ViewData::F64(&v[range]),
            Value::Bytes(v) => ViewData::U8(&v[range]),
        };
        Some(View { shape, data })
    }
}

/// A buffer of `length` floats of arbitrary values, the smallest free one that fits.
fn take(free: &mut Vec<Vec<f32>>, length: usize) -> Vec<f32> {
    let large_enough = (0..free.len()).filter(|&i| free[i].capacity() >= length);
    let mut memory = match large_enough.min_by_key(|&i| free[i].capacity()) {
        Some(smallest) => free.swap_remove(smallest),
        None => Vec::with_capacity(length),
    };
    memory.resize(length, 0.0);
    memory
}

/// The output of the f64 reference for these operands, of `length` elements.
fn by_reference(op: &dyn Op, inputs: &[View<'_>], length: usize) -> Vec<f64> {
    let widen = |view: &View<'_>| match view.data {
        ViewData::F32(v) => v.iter().map(|&v| f64::from(v)).collect(),
        _ => vec![],
    };
    let widened: Vec<Vec<f64>> = inputs.iter().map(widen).collect();
    let mut views = inputs.to_vec();
    for (view, widened) in views.iter_mut().zip(&widened) {
        if let ViewData::F32(_) = view.data {
            view.data = ViewData::F64(widened);
        }
    }
    let mut out = vec![0.0; length];
    op.eval(&views, &mut out);
    out
}
