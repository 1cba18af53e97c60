//! Launches: which dispatches run side by side.
//!
//! A device runs one launch after another and pays for each: some microseconds on a GPU, in which little work leaves most
//! of it idle. So each dispatch joins the first launch after those that it depends on, if what is in it and the device's
//! limits allow, or begins a new one.

use std::collections::{HashMap, HashSet};

use crate::graph::{Graph, NodeId, Placement};
use crate::kernel::{Dispatch, Kernel, Limits, Operand, workgroup_size};

/// Invocations that a launch may have in all on a software device, for others to join it: there every invocation goes
/// through the text of all parts, its own and the others'. Register tiles, whose text is long, stay alone.
const FEW_INVOCATIONS: u64 = 4096;

/// Workgroups of a launch on a GPU in all that several parts with memory or subgroups of their own may have: as many fill
/// a large one for long, and each part then holds the registers and the memory of the hungriest.
const MANY_WORKGROUPS: u64 = 4096;

/// The launch of each dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launches {
    /// For each position of the order, those of its kernel's dispatches; of a packed value, the one before which all it
    /// holds has been written.
    pub of: Vec<Vec<usize>>,
    /// How many there are; some may turn out to be empty.
    pub count: usize,
}

/// What a dispatch reads or writes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Value {
    Node(NodeId),
    /// Between the dispatches of the kernel at that position.
    Scratch(usize, usize),
}

/// A value as a type, and how many bindings of it the dispatch has before this one.
type Bound = (Value, &'static str, usize);

/// What is in a launch.
struct Launch<'k> {
    dispatches: Vec<&'k Dispatch>,
    bindings: HashSet<Bound>,
    /// Whether others may join.
    is_open: bool,
}

/// Assigns the dispatches of `kernels`, those of the nodes of `order`, to launches.
pub fn launches(graph: &Graph, order: &[NodeId], kernels: &[Option<Kernel>], limits: &Limits) -> Launches {
    let (written, read, left) = Default::default();
    let mut planner = Planner { graph, limits, order, kernels, launches: vec![], written, read, left };
    let of = order.iter().zip(kernels).enumerate().map(|(position, (&id, kernel))| planner.node(position, id, kernel));
    let of = of.collect();
    Launches { of, count: planner.launches.len() }
}

struct Planner<'k> {
    graph: &'k Graph,
    limits: &'k Limits,
    order: &'k [NodeId],
    kernels: &'k [Option<Kernel>],
    launches: Vec<Launch<'k>>,
    /// The last launch that writes a value, and the last that reads it.
    written: HashMap<Value, usize>,
    read: HashMap<Value, usize>,
    /// Nodes that are values between dispatches.
    left: HashMap<NodeId, Value>,
}

impl<'k> Planner<'k> {
    fn node(&mut self, position: usize, id: NodeId, kernel: &'k Option<Kernel>) -> Vec<usize> {
        if let Placement::Holds(_) = self.graph.traits(id).placement {
            let parts = self.graph.node(id).inputs();
            let reads: Vec<Value> = parts.iter().map(|&part| self.memory_of(part)).collect();
            let launch = self.first_after(&reads, &[Value::Node(id)]).max(self.launches.len());
            self.launches.push(Launch { dispatches: vec![], bindings: HashSet::new(), is_open: false });
            self.note(launch, &reads, &[Value::Node(id)]);
            return vec![launch];
        }
        if let Placement::LeftBy(by) = self.graph.traits(id).placement {
            let by = self.order.iter().position(|&other| other == self.graph.node(id).inputs()[by]);
            let by = by.expect("inputs come earlier");
            let scratch = self.kernels[by].as_ref().map_or(0, |kernel| kernel.scratch.len());
            self.left.insert(id, Value::Scratch(by, scratch - 1));
        }
        let dispatches = kernel.iter().flat_map(|kernel| &kernel.dispatches);
        dispatches.map(|dispatch| self.dispatch(position, id, dispatch)).collect()
    }

    fn dispatch(&mut self, position: usize, id: NodeId, dispatch: &'k Dispatch) -> usize {
        let inputs = self.graph.node(id).inputs();
        let exact = |operand| match operand {
            Operand::Input(number) => Value::Node(inputs[number]),
            Operand::Output => Value::Node(id),
            Operand::Scratch(number) => Value::Scratch(position, number),
        };
        let (mut reads, mut writes) = (vec![], vec![]);
        for binding in &dispatch.bindings {
            let value = match exact(binding.operand) {
                Value::Node(node) => self.memory_of(node),
                scratch => scratch,
            };
            if binding.writes { &mut writes } else { &mut reads }.push(value);
        }
        let mut bindings: Vec<Bound> = vec![];
        for bound in dispatch.bound() {
            let (value, ty) = (exact(bound.operand), dispatch.declared_type(bound.number));
            let before = bindings.iter().filter(|(v, t, _)| (*v, *t) == (value, ty)).count();
            bindings.push((value, ty, before));
        }
        let first = self.first_after(&reads, &writes);
        let open = (first..self.launches.len()).find(|&launch| self.takes(launch, dispatch, &bindings));
        let launch = open.unwrap_or_else(|| {
            self.launches.push(Launch { dispatches: vec![], bindings: HashSet::new(), is_open: !dispatch.is_opaque() });
            self.launches.len() - 1
        });
        self.launches[launch].dispatches.push(dispatch);
        self.launches[launch].bindings.extend(bindings);
        self.note(launch, &reads, &writes);
        launch
    }

    /// The value whose memory a node's is.
    fn memory_of(&self, id: NodeId) -> Value {
        let whole = self.graph.viewed(id);
        self.left.get(&whole).copied().unwrap_or(Value::Node(whole))
    }

    /// The first launch in which something may run that reads and writes these.
    fn first_after(&self, reads: &[Value], writes: &[Value]) -> usize {
        let after =
            |launches: &HashMap<Value, usize>, value: &Value| launches.get(value).map_or(0, |launch| launch + 1);
        let read = reads.iter().map(|value| after(&self.written, value));
        let written = writes.iter().map(|value| after(&self.written, value).max(after(&self.read, value)));
        read.chain(written).max().unwrap_or(0)
    }

    fn note(&mut self, launch: usize, reads: &[Value], writes: &[Value]) {
        for (last, values) in [(&mut self.read, reads), (&mut self.written, writes)] {
            for &value in values {
                let last = last.entry(value).or_insert(launch);
                *last = launch.max(*last);
            }
        }
    }

    /// Whether a dispatch may join a launch.
    fn takes(&self, launch: usize, dispatch: &Dispatch, bindings: &[Bound]) -> bool {
        let launch = &self.launches[launch];
        // The quick answers first.
        if !launch.is_open || dispatch.is_opaque() {
            return false;
        }
        let all = || launch.dispatches.iter().copied().chain([dispatch]);
        let bound = launch.bindings.len() + bindings.iter().filter(|b| !launch.bindings.contains(b)).count();
        let is_few = match self.limits.software {
            true => {
                let invocations: u64 = all().map(|d| d.workgroups * d.workgroup().size).sum();
                invocations <= FEW_INVOCATIONS && all().all(|d| !d.workgroup().is_fixed)
            }
            false => {
                let fixed = || all().filter(|d| d.workgroup().is_fixed);
                fixed().count() < 2 || fixed().map(|d| d.workgroups).sum::<u64>() <= MANY_WORKGROUPS
            }
        };
        bound <= self.limits.max_storage_buffers_per_shader_stage as usize && workgroup_size(all()).is_some() && is_few
    }
}
