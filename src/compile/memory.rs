//! Memory: where each value of a step lives.
//!
//! Leaves have buffers of their own. A value that another one holds (a gradient in the flat gradient buffer) is written
//! straight into its range. The rest live in slots, which are buffers. Values are placed one after the other, each at the
//! first range that is free for its whole life (Pisarchyk & Lee 2020, arXiv:2001.03288, section 5), in the slot that
//! grows least by it or a new one; several orders are tried, by decreasing size among them, and the one that takes the
//! least memory stays. WebGPU tracks use per buffer and refuses a dispatch that reads one range and writes another of the
//! same one, so values that a kernel binds together while writing one of them go to different slots. An operation whose
//! output may overwrite an input that dies with it shares that input's memory.

use std::cmp::Reverse;
use std::collections::HashSet;

use crate::graph::{Graph, NodeId, Placement, Source};
use crate::kernel::{ALIGNMENT, Dispatch, Kernel, Operand};
use crate::ops;
use crate::plan::{Bound, BufferRole, BufferSpec, Memory, Place, Plan, Step};

/// How many values are tried at the front of the order.
const MOST_PROMOTED: usize = 32;

/// Plans the buffers and dispatches of the nodes of `order` with their kernels.
pub fn memory(graph: &Graph, order: &[NodeId], kernels: Vec<Option<Kernel>>) -> Plan {
    let mut planner = Planner::new(graph, order);
    let mut kernels = kernels;
    planner.share_in_place(order, &mut kernels);
    planner.assign_slots(order);
    planner.steps(order, &kernels)
}

/// Memory that one or more values occupy in turn.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Home {
    /// A whole buffer made for a leaf or a packed value.
    Buffer(usize),
    /// A value in a slot, by number in [`Planner::lives`].
    Life(usize),
}

/// From when to when memory is needed, in positions of the order, both included.
#[derive(Clone, Debug)]
struct Life {
    first: usize,
    last: usize,
    bytes: u64,
    place: Option<Place>,
}

impl Slots {
    fn bytes(&self) -> u64 {
        self.sizes.iter().sum()
    }
}

impl Life {
    fn length(&self) -> u64 {
        (self.last - self.first + 1) as u64
    }
}

/// Slots with what lives in them; the buffer of a place is the slot's number.
#[derive(Default)]
struct Slots {
    sizes: Vec<u64>,
    places: Vec<(usize, Place)>,
}

struct Planner<'a> {
    graph: &'a Graph,
    buffers: Vec<BufferSpec>,
    /// Home and byte offset of each node that has a value.
    homes: Vec<Option<(Home, u64)>>,
    lives: Vec<Life>,
    /// The lives of each position's values between dispatches.
    scratch: Vec<Vec<usize>>,
    naive: u64,
}

impl<'a> Planner<'a> {
    fn new(graph: &'a Graph, order: &[NodeId]) -> Self {
        let mut planner = Self {
            graph,
            buffers: vec![],
            homes: vec![None; graph.len()],
            lives: vec![],
            scratch: vec![vec![]; order.len()],
            naive: 0,
        };
        planner.place_leaves_and_packs(order);
        for (position, &id) in order.iter().enumerate() {
            planner.place(position, id);
        }
        // Everything read at a position lives at least until then; outputs to the end.
        for (position, &id) in order.iter().enumerate() {
            for input in graph.node(id).inputs() {
                planner.lives_until(*input, position);
            }
        }
        for &output in graph.outputs() {
            planner.lives_until(output, order.len());
        }
        planner
    }

    /// Buffers of leaves, and of packed values with the ranges of what they hold.
    fn place_leaves_and_packs(&mut self, order: &[NodeId]) {
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
                for (&part, offset) in node.inputs().iter().zip(offsets) {
                    // A value with other readers must stay out: those could write another range of this buffer.
                    let own = self.graph.node(part).op().is_some()
                        && self.graph.traits(part).placement == Placement::Own
                        && readers[part.index()] == 1
                        && self.homes[part.index()].is_none()
                        && !self.graph.outputs().contains(&part);
                    if own {
                        self.homes[part.index()] = Some((home, offset as u64 * 4));
                    }
                }
            }
        }
    }

    fn place(&mut self, position: usize, id: NodeId) {
        let (node, traits) = (self.graph.node(id), self.graph.traits(id));
        if node.op().is_none() || !traits.updates.is_empty() || self.homes[id.index()].is_some() {
            return;
        }
        self.homes[id.index()] = match traits.placement {
            Placement::ViewOf(offset) => {
                let (home, start) = self.homes[node.inputs()[0].index()].expect("inputs come earlier");
                Some((home, start + offset as u64 * 4))
            }
            _ => Some((Home::Life(self.new_life(position, node.ty.bytes())), 0)),
        };
    }

    fn new_life(&mut self, position: usize, bytes: u64) -> usize {
        self.naive += bytes;
        self.lives.push(Life { first: position, last: position, bytes, place: None });
        self.lives.len() - 1
    }

    fn life(&self, id: NodeId) -> Option<usize> {
        match self.homes[id.index()] {
            Some((Home::Life(life), _)) => Some(life),
            _ => None,
        }
    }

    fn lives_until(&mut self, id: NodeId, position: usize) {
        if let Some(life) = self.life(id) {
            self.lives[life].last = self.lives[life].last.max(position);
        }
    }

    /// Joins the life of an output with that of an input it may overwrite, and gives scratch values their lives.
    fn share_in_place(&mut self, order: &[NodeId], kernels: &mut [Option<Kernel>]) {
        for (position, &id) in order.iter().enumerate() {
            let Some(kernel) = &mut kernels[position] else { continue };
            self.scratch[position] = kernel.scratch.iter().map(|ty| self.new_life(position, ty.bytes())).collect();
            let (Some(output), [dispatch]) = (self.life(id), kernel.dispatches.as_mut_slice()) else { continue };
            let inputs = self.graph.node(id).inputs();
            let overwritten = self.graph.traits(id).overwrites.iter().find_map(|&number| {
                let input = self.life(inputs[number])?;
                let lives = (&self.lives[input], &self.lives[output]);
                let dies_here = lives.0.last == position && lives.0.first < position && lives.0.bytes == lives.1.bytes;
                let read_once = inputs.iter().filter(|i| self.life(**i) == Some(input)).count() == 1;
                let binding = dispatch.bindings.iter().position(|b| b.operand == Operand::Input(number))?;
                (dies_here && read_once).then_some((input, binding))
            });
            if let Some((input, binding)) = overwritten {
                dispatch.in_place = Some(binding);
                self.lives[input].last = self.lives[output].last;
                self.lives[output].bytes = 0;
                let (from, to) = (Home::Life(output), Home::Life(input));
                self.homes.iter_mut().flatten().filter(|(home, _)| *home == from).for_each(|(home, _)| *home = to);
            }
        }
    }

    fn assign_slots(&mut self, order: &[NodeId]) {
        let rivals = self.rivals(order);
        let lives: Vec<usize> = (0..self.lives.len()).filter(|&l| self.lives[l].bytes > 0).collect();
        let orders: [fn(&Life) -> u64; 4] = [
            |life| life.bytes,
            |life| life.bytes * life.length(),
            |life| life.length(),
            |life| u64::MAX - life.first as u64,
        ];
        let tried = orders.map(|largest_first| {
            let mut order = lives.clone();
            order.sort_by_key(|&l| (Reverse(largest_first(&self.lives[l])), Reverse(self.lives[l].bytes)));
            (self.fill_slots(&order, &rivals), order)
        });
        let (mut least, mut order) = tried.into_iter().min_by_key(|(slots, _)| slots.bytes()).expect("orders");
        // What is placed late has to take what is left: each of the first ones in turn may go before all others.
        for at in 1..order.len().min(MOST_PROMOTED) {
            order[..=at].rotate_right(1);
            let slots = self.fill_slots(&order, &rivals);
            match slots.bytes() < least.bytes() {
                true => least = slots,
                false => order[..=at].rotate_left(1),
            }
        }
        for (life, place) in least.places {
            self.lives[life].place = Some(Place { buffer: self.buffers.len() + place.buffer, ..place });
        }
        for (number, bytes) in least.sizes.into_iter().enumerate() {
            self.buffers.push(BufferSpec { label: format!("slot {number}"), bytes, role: BufferRole::Slot });
        }
    }

    /// Places lives in this order.
    fn fill_slots(&self, order: &[usize], rivals: &[HashSet<usize>]) -> Slots {
        let mut slots = Slots::default();
        for &life in order {
            let bytes = self.lives[life].bytes;
            let growth = |slot: usize| {
                let offset = self.room(&slots, slot, life, &rivals[life])?;
                Some(((offset + bytes).saturating_sub(slots.sizes[slot]), slot, offset))
            };
            let new = (bytes, slots.sizes.len(), 0);
            let (_, buffer, offset) = (0..slots.sizes.len()).filter_map(growth).min().unwrap_or(new).min(new);
            slots.sizes.resize(slots.sizes.len().max(buffer + 1), 0);
            slots.sizes[buffer] = slots.sizes[buffer].max(offset + bytes);
            slots.places.push((life, Place { buffer, offset, bytes }));
        }
        slots
    }

    /// For each life, those that a kernel binds together with it while writing one of the two.
    fn rivals(&self, order: &[NodeId]) -> Vec<HashSet<usize>> {
        let mut rivals = vec![HashSet::new(); self.lives.len()];
        for (position, &id) in order.iter().enumerate() {
            let written = || self.life(id).into_iter().chain(self.scratch[position].iter().copied());
            let read = || self.graph.node(id).inputs().iter().filter_map(|&input| self.life(input));
            for a in written() {
                for b in written().chain(read()).filter(|&b| b != a) {
                    rivals[a].insert(b);
                    rivals[b].insert(a);
                }
            }
        }
        rivals
    }

    /// Where in a slot, or at its end, there is room for a whole life, if no rival ever lives in that slot.
    fn room(&self, slots: &Slots, slot: usize, life: usize, rivals: &HashSet<usize>) -> Option<u64> {
        let inside = || slots.places.iter().filter(|(_, place)| place.buffer == slot);
        if inside().any(|(other, _)| rivals.contains(other)) {
            return None;
        }
        let life = &self.lives[life];
        let meanwhile = |other: &Life| life.first <= other.last && other.first <= life.last;
        let taken = inside().filter(|(other, _)| meanwhile(&self.lives[*other]));
        let mut taken: Vec<_> = taken.map(|(_, p)| (p.offset, p.offset + p.bytes)).collect();
        taken.sort_unstable();
        let mut begin = 0;
        for (start, end) in taken {
            if begin + life.bytes <= start {
                break;
            }
            begin = begin.max(end.next_multiple_of(ALIGNMENT as u64));
        }
        Some(begin)
    }

    fn report(&self, positions: usize) -> Memory {
        let alive =
            |at: usize| self.lives.iter().filter(|l| l.first <= at && at <= l.last).map(|l| l.bytes).sum::<u64>();
        let slots = self.buffers.iter().filter(|b| b.role == BufferRole::Slot);
        Memory {
            naive: self.naive,
            planned: slots.map(|b| b.bytes).sum(),
            lower_bound: (0..=positions).map(alive).max().unwrap_or(0),
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
        Some(Place { buffer, offset: offset + start, bytes: self.graph.ty(id).bytes() })
    }

    fn steps(self, order: &[NodeId], kernels: &[Option<Kernel>]) -> Plan {
        let mut steps = vec![];
        for (position, (&id, kernel)) in order.iter().zip(kernels).enumerate() {
            let node = self.graph.node(id);
            let inputs = node.inputs();
            if let Placement::Holds(offsets) = self.graph.traits(id).placement {
                let whole = self.node_place(id).expect("placed");
                for (&part, offset) in inputs.iter().zip(offsets) {
                    let from = self.node_place(part).expect("placed");
                    let to = Place { offset: offset as u64 * 4, bytes: from.bytes, ..whole };
                    if from != to {
                        steps.push(self.step(part, ops::copy_dispatch(self.graph.shape(part).elements()), |operand| {
                            if operand == Operand::Output { to } else { from }
                        }));
                    }
                }
            }
            let Some(kernel) = kernel else { continue };
            for dispatch in &kernel.dispatches {
                steps.push(self.step(id, dispatch.clone(), |operand| match operand {
                    Operand::Input(number) => self.node_place(inputs[number]).expect("inputs come earlier"),
                    Operand::Output => self.node_place(id).expect("an update binds its variables, not its output"),
                    Operand::Scratch(number) => self.life_place(self.scratch[position][number]),
                }));
            }
        }
        let memory = self.report(order.len());
        let places = self.graph.ids().map(|id| self.node_place(id)).collect();
        Plan { buffers: self.buffers, steps, places, memory }
    }

    fn step(&self, id: NodeId, dispatch: Dispatch, place: impl Fn(Operand) -> Place) -> Step {
        let bind =
            |b: crate::kernel::Binding| Bound { binding: b.number as u32, place: place(b.operand), writes: b.writes };
        let bindings = dispatch.bound().map(bind).collect();
        let node = self.graph.node(id);
        Step { node: id, op: node.op().map_or("copy", |op| op.name()), name: node.name.clone(), dispatch, bindings }
    }
}
