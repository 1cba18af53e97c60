//! Memory: where each value of a step lives.
//!
//! Leaves have buffers of their own. A value that another one holds (a gradient in the flat gradient buffer) is written
//! straight into its range. The rest live in slots, which are buffers. Values are placed one after the other, each at the
//! first range that is free for its whole life (Pisarchyk & Lee 2020, arXiv:2001.03288, section 5), in the slot that
//! grows least by it or a new one; several orders are tried, by decreasing size among them, and the one that takes the
//! least memory stays. WebGPU tracks use per buffer and refuses a dispatch that reads one range and writes another of the
//! same one, so what a launch reads and what it writes go to different slots. An operation whose
//! output may overwrite an input that dies with it shares that input's memory.

mod slots;

use std::collections::{BTreeMap, HashSet};

use crate::compile::Launches;
use crate::graph::{Graph, NodeId, Placement, Source};
use crate::kernel::{Dispatch, Kernel, Operand};
use crate::ops;
use crate::plan::{Bound, BufferRole, BufferSpec, Memory, Place, Plan, Step};

/// Plans the buffers and dispatches of the nodes of `order` with their kernels, which run in these launches, and take these
/// nodes as [halves](crate::compile::halves).
pub fn memory(
    graph: &Graph,
    order: &[NodeId],
    mut kernels: Vec<Option<Kernel>>,
    launches: &Launches,
    halves: &HashSet<NodeId>,
) -> Plan {
    let mut planner = Planner::new(graph, order, &kernels, launches, halves);
    planner.share_in_place(&mut kernels);
    planner.assign_slots(&kernels);
    planner.steps(&kernels)
}

/// Memory that one or more values occupy in turn.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Home {
    /// A whole buffer made for a leaf or a packed value.
    Buffer(usize),
    /// A value in a slot, by number in [`Planner::lives`].
    Life(usize),
}

/// From when to when memory is needed, in launches, both included.
#[derive(Clone, Debug)]
struct Life {
    first: usize,
    last: usize,
    bytes: u64,
    place: Option<Place>,
}

/// A life in a launch.
struct Use {
    launch: usize,
    life: usize,
    writes: bool,
}

impl Life {
    /// Launches of it.
    fn length(&self) -> u64 {
        (self.last - self.first + 1) as u64
    }
}

struct Planner<'a> {
    graph: &'a Graph,
    order: &'a [NodeId],
    launches: &'a Launches,
    halves: &'a HashSet<NodeId>,
    buffers: Vec<BufferSpec>,
    /// Home and byte offset of each node that has a value.
    homes: Vec<Option<(Home, u64)>>,
    lives: Vec<Life>,
    /// The lives of each position's values between dispatches.
    scratch: Vec<Vec<usize>>,
    /// Where each node stands in the order, if it does.
    positions: Vec<Option<usize>>,
    naive: u64,
}

impl<'a> Planner<'a> {
    fn new(
        graph: &'a Graph,
        order: &'a [NodeId],
        kernels: &[Option<Kernel>],
        launches: &'a Launches,
        halves: &'a HashSet<NodeId>,
    ) -> Self {
        let (buffers, lives, scratch) = Default::default();
        let (homes, mut positions) = (vec![None; graph.len()], vec![None; graph.len()]);
        order.iter().enumerate().for_each(|(position, id)| positions[id.index()] = Some(position));
        let mut planner = Self { graph, order, launches, halves, buffers, homes, lives, scratch, positions, naive: 0 };
        planner.place_leaves_and_packs();
        for (&id, kernel) in order.iter().zip(kernels) {
            planner.place(id);
            let scratch = kernel.iter().flat_map(|kernel| &kernel.scratch);
            let lives = scratch.map(|ty| planner.new_life(ty.bytes())).collect();
            planner.scratch.push(lives);
        }
        for Use { launch, life, .. } in planner.uses(kernels) {
            let life = &mut planner.lives[life];
            (life.first, life.last) = (life.first.min(launch), life.last.max(launch));
        }
        for &output in graph.outputs() {
            if let Some(life) = planner.life(output) {
                planner.lives[life].last = launches.count;
            }
        }
        planner
    }

    /// Which lives each launch reads and writes.
    fn uses(&self, kernels: &[Option<Kernel>]) -> Vec<Use> {
        (0..self.order.len()).flat_map(|position| self.uses_at(position, kernels)).collect()
    }

    /// Those of the dispatches of the node at a position.
    fn uses_at(&self, position: usize, kernels: &[Option<Kernel>]) -> Vec<Use> {
        let (id, mut uses) = (self.order[position], vec![]);
        let (inputs, of) = (self.graph.node(id).inputs(), &self.launches.of[position]);
        let Some(kernel) = &kernels[position] else {
            // A packed value is copied together from the parts that are not written in place.
            for &launch in of {
                let parts = inputs.iter().filter_map(|&part| self.life(part));
                uses.extend(parts.map(|life| Use { launch, life, writes: false }));
            }
            return uses;
        };
        for (dispatch, &launch) in kernel.dispatches.iter().zip(of) {
            for binding in &dispatch.bindings {
                let life = match binding.operand {
                    Operand::Input(number) => self.life(inputs[number]),
                    Operand::Output => self.life(id),
                    Operand::Scratch(number) => Some(self.scratch[position][number]),
                };
                uses.extend(life.map(|life| Use { launch, life, writes: binding.writes }));
            }
        }
        uses
    }

    /// Buffers of leaves, and of packed values with the ranges of what they hold.
    fn place_leaves_and_packs(&mut self) {
        let order = self.order;
        let mut readers = vec![0usize; self.graph.len()];
        for &id in order {
            self.graph.node(id).inputs().iter().for_each(|i| readers[i.index()] += 1);
        }
        for &id in order {
            let node = self.graph.node(id);
            let role = match &node.source {
                Source::Input => BufferRole::Input,
                Source::Variable => BufferRole::Variable,
                Source::Constant(values) => BufferRole::Constant(values.clone()),
                Source::Op { .. } => match self.graph.traits(id).placement {
                    Placement::Holds(_) => BufferRole::Packed,
                    _ => continue,
                },
            };
            let label = node.op().map_or(node.name.as_str(), |op| op.name()).to_string();
            self.buffers.push(BufferSpec { label, bytes: node.ty.bytes(), role });
            let home = Home::Buffer(self.buffers.len() - 1);
            self.homes[id.index()] = Some((home, 0));
            if let Placement::Holds(offsets) = self.graph.traits(id).placement {
                let parts: Vec<(NodeId, usize)> = node.inputs().iter().copied().zip(offsets).collect();
                for (whole, begin) in self.written_in_place(&parts, node.ty.shape.elements(), &readers) {
                    self.homes[whole.index()] = Some((home, begin as u64 * 4));
                }
            }
        }
    }

    /// The values that kernels can write straight into a packed value of these parts and this length, with where they
    /// begin there: parts, and values whose views are parts that lie there as they do in it.
    fn written_in_place(&self, parts: &[(NodeId, usize)], total: usize, readers: &[usize]) -> Vec<(NodeId, usize)> {
        let whole = |&(part, offset): &(NodeId, usize)| match self.graph.traits(part).placement {
            Placement::ViewOf(start) => Some((self.graph.node(part).inputs()[0], offset.checked_sub(start)?)),
            _ => Some((part, offset)),
        };
        let end = |&(part, at): &(NodeId, usize)| at + self.graph.shape(part).elements();
        let (mut begins, mut ends): (Vec<usize>, Vec<usize>) = parts.iter().map(|part| (part.1, end(part))).unzip();
        begins.sort_unstable();
        ends.sort_unstable();
        let mut parts_of: BTreeMap<(NodeId, usize), Vec<NodeId>> = BTreeMap::new();
        for part in parts {
            whole(part).into_iter().for_each(|whole| parts_of.entry(whole).or_default().push(part.0));
        }
        // A value with other readers must stay out: those could write another range of this buffer.
        let is_free = |id: NodeId, count: usize| readers[id.index()] == count && !self.graph.is_output(id);
        let fits = |&(&(id, begin), own): &(&(NodeId, usize), &Vec<NodeId>)| {
            let end = begin + self.graph.shape(id).elements();
            // Parts that reach into its range are its own.
            let inside = begins.partition_point(|&at| at < end) - ends.partition_point(|&at| at <= begin);
            self.graph.node(id).op().is_some()
                && self.graph.traits(id).placement == Placement::Own
                && self.homes[id.index()].is_none()
                && is_free(id, own.len())
                && own.iter().all(|&part| is_free(part, 1))
                && inside == own.len()
                && end <= total
        };
        parts_of.iter().filter(fits).map(|(&whole, _)| whole).collect()
    }

    fn place(&mut self, id: NodeId) {
        let (node, traits) = (self.graph.node(id), self.graph.traits(id));
        if node.op().is_none() || !traits.updates.is_empty() || self.homes[id.index()].is_some() {
            return;
        }
        self.homes[id.index()] = match traits.placement {
            Placement::ViewOf(offset) => {
                let (home, start) = self.homes[node.inputs()[0].index()].expect("inputs come earlier");
                Some((home, start + offset as u64 * 4))
            }
            Placement::LeftBy(by) => {
                let by = self.positions[node.inputs()[by].index()].expect("inputs come earlier");
                Some((Home::Life(*self.scratch[by].last().expect("it leaves a value")), 0))
            }
            _ => Some((Home::Life(self.new_life(self.bytes(id))), 0)),
        };
    }

    /// Of a node as it is stored.
    fn bytes(&self, id: NodeId) -> u64 {
        self.graph.ty(id).bytes() / if self.is_half(id) { 2 } else { 1 }
    }

    fn is_half(&self, id: NodeId) -> bool {
        self.halves.contains(&self.graph.viewed(id))
    }

    fn new_life(&mut self, bytes: u64) -> usize {
        self.naive += bytes;
        self.lives.push(Life { first: usize::MAX, last: 0, bytes, place: None });
        self.lives.len() - 1
    }

    fn life(&self, id: NodeId) -> Option<usize> {
        match self.homes[id.index()] {
            Some((Home::Life(life), _)) => Some(life),
            _ => None,
        }
    }

    /// Joins the life of an output with that of an input it may overwrite.
    fn share_in_place(&mut self, kernels: &mut [Option<Kernel>]) {
        let mut in_launch = vec![vec![]; self.launches.count];
        for (position, launches) in self.launches.of.iter().enumerate() {
            launches.iter().for_each(|&launch| in_launch[launch].push(position));
        }
        in_launch.iter_mut().for_each(|positions| positions.dedup());
        let mut living = vec![vec![]; self.lives.len()];
        for id in self.graph.ids() {
            self.life(id).into_iter().for_each(|life| living[life].push(id));
        }
        for (position, &id) in self.order.iter().enumerate() {
            let output = self.life(id);
            let [launch] = self.launches.of[position][..] else { continue };
            let overwrites = self.graph.traits(id).overwrites;
            if overwrites.is_empty() {
                continue;
            }
            let beside = in_launch[launch].iter().flat_map(|&position| self.uses_at(position, kernels));
            let beside: Vec<usize> = beside.filter(|other| other.launch == launch).map(|other| other.life).collect();
            let (Some(output), Some(kernel)) = (output, &mut kernels[position]) else { continue };
            let dispatch = &mut kernel.dispatches[0];
            if dispatch.is_opaque() {
                continue;
            }
            let inputs = self.graph.node(id).inputs();
            let overwritten = overwrites.iter().find_map(|&number| {
                let input = self.life(inputs[number])?;
                let lives = (&self.lives[input], &self.lives[output]);
                let alike = self.is_half(inputs[number]) == self.is_half(id);
                let dies_here = lives.0.last == launch && lives.0.first < launch && lives.0.bytes == lives.1.bytes;
                let read_once = beside.iter().filter(|life| **life == input).count() == 1;
                let binding = dispatch.bindings.iter().find(|b| b.operand == Operand::Input(number))?;
                (dies_here && read_once && alike).then_some((input, binding.number))
            });
            if let Some((input, binding)) = overwritten {
                dispatch.in_place = Some(binding);
                self.lives[input].last = self.lives[output].last;
                self.lives[output].bytes = 0;
                for node in std::mem::take(&mut living[output]) {
                    let offset = self.homes[node.index()].map_or(0, |(_, offset)| offset);
                    self.homes[node.index()] = Some((Home::Life(input), offset));
                    living[input].push(node);
                }
            }
        }
    }

    fn report(&self) -> Memory {
        // What comes alive at each launch, less what died before it.
        let mut change = vec![0i128; self.launches.count + 2];
        for life in self.lives.iter().filter(|life| life.first <= life.last) {
            change[life.first] += i128::from(life.bytes);
            change[life.last + 1] -= i128::from(life.bytes);
        }
        let (mut alive, mut lower_bound) = (0, 0);
        for change in &change {
            alive += change;
            lower_bound = alive.max(lower_bound);
        }
        let slots = self.buffers.iter().filter(|b| b.role == BufferRole::Slot);
        Memory {
            naive: self.naive,
            planned: slots.map(|b| b.bytes).sum(),
            lower_bound: u64::try_from(lower_bound).expect("no more than all values"),
        }
    }

    fn life_place(&self, life: usize) -> Place {
        self.lives[life].place.expect("every life has its place in a slot")
    }

    fn node_place(&self, id: NodeId) -> Option<Place> {
        let (home, start) = self.homes[id.index()]?;
        let (buffer, offset) = match home {
            Home::Buffer(buffer) => (buffer, 0),
            Home::Life(life) => (self.life_place(life).buffer, self.life_place(life).offset),
        };
        Some(Place { buffer, offset: offset + start, bytes: self.bytes(id) })
    }

    fn steps(self, kernels: &[Option<Kernel>]) -> Plan {
        let order = self.order;
        let dispatches = |position: usize| {
            let of = self.launches.of[position].iter();
            of.enumerate().map(move |(number, &launch)| (launch, position, number))
        };
        let mut sequence: Vec<_> = (0..order.len()).flat_map(dispatches).collect();
        sequence.sort_by_key(|&(launch, ..)| launch);
        let (mut steps, mut last, mut number) = (vec![], None, 0);
        for (launch, position, dispatch) in sequence {
            let id = order[position];
            if let Some(kernel) = &kernels[position] {
                // Launches that turn out to be empty are not counted.
                if last != Some(launch) {
                    (last, number) = (Some(launch), number + 1);
                }
                steps.push(self.step(number - 1, id, kernel.dispatches[dispatch].clone(), |operand| match operand {
                    Operand::Input(number) => self.node_place(self.graph.node(id).inputs()[number]),
                    Operand::Output => self.node_place(id),
                    Operand::Scratch(number) => Some(self.life_place(self.scratch[position][number])),
                }));
            } else if let Placement::Holds(offsets) = self.graph.traits(id).placement {
                let whole = self.node_place(id).expect("placed");
                for (&part, offset) in self.graph.node(id).inputs().iter().zip(offsets) {
                    let from = self.node_place(part).expect("placed");
                    let to = Place { offset: offset as u64 * 4, bytes: from.bytes, ..whole };
                    if from != to {
                        number += 1;
                        let copy = ops::copy_dispatch(self.graph.shape(part).elements());
                        let place = |operand| Some(if operand == Operand::Output { to } else { from });
                        steps.push(self.step(number - 1, part, copy, place));
                    }
                }
            }
        }
        let memory = self.report();
        let places = self.graph.ids().map(|id| self.node_place(id)).collect();
        Plan { buffers: self.buffers, steps, places, memory }
    }

    fn step(&self, launch: usize, id: NodeId, dispatch: Dispatch, place: impl Fn(Operand) -> Option<Place>) -> Step {
        let bind = |b: crate::kernel::Binding| Bound {
            binding: b.number as u32,
            place: place(b.operand).expect("inputs come earlier, and an update binds its variables"),
            writes: b.writes,
        };
        let bindings = dispatch.bound().map(bind).collect();
        let node = self.graph.node(id);
        let op = node.op().map_or("copy", |op| op.name());
        Step { launch, node: id, op, name: node.name.clone(), dispatch, bindings }
    }
}
