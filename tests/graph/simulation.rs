//! Follows a plan step by step over pretended memory, where every range remembers which value was written there. Wrong
//! lifetimes, ranges and orders show as a dispatch that reads another value than its operation needs.
//!
//! The passes before memory are taken as they are; where things are, when they are written and how long they last is
//! derived anew.

use std::collections::HashMap;

use lenslet::NodeId;
use lenslet::compile::{Choice, compile_with, inline, merge, schedule, select};
use lenslet::graph::{Graph, Placement, Source};
use lenslet::kernel::{Dispatch, Kernel, Limits, Operand};
use lenslet::plan::{Bound, BufferRole, Place, Plan, Step};

/// A value some bytes may belong to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Value {
    /// Of a leaf or an operation.
    Node(NodeId),
    /// Between two dispatches of the node at that position.
    Scratch(usize, usize),
    /// What that update made of its variable.
    Updated(NodeId, usize),
}

/// Bytes that belong to a value: where they begin in memory, where in the value, how many.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Piece {
    at: u64,
    value: Value,
    from: u64,
    bytes: u64,
}

/// When a value in a slot is written and last read, in steps.
struct Life {
    first: usize,
    last: usize,
    bytes: u64,
}

struct Memory<'a> {
    graph: &'a Graph,
    order: &'a [NodeId],
    kernels: &'a [Option<Kernel>],
    plan: &'a Plan,
    buffers: Vec<Vec<Piece>>,
    lives: HashMap<Value, Life>,
    now: usize,
}

/// Compiles a graph and follows the plan. See [`follow`].
pub fn plan_and_follow(graph: &Graph, limits: &Limits, choice: &Choice<'_>) -> Result<Plan, String> {
    let plan = compile_with(graph, limits, choice).map_err(|error| error.to_string())?;
    let fused = inline(&merge(graph), limits);
    let order = schedule(&fused).map_err(|error| error.to_string())?;
    let kernels = select(&fused, &order, limits, choice).map_err(|error| error.to_string())?;
    let most_alive = follow(&fused, &order, &kernels, &plan)?;
    let memory = plan.memory;
    let slots = plan.bytes(|role| *role == BufferRole::Slot);
    if most_alive > memory.lower_bound || memory.lower_bound > memory.planned || memory.planned > memory.naive {
        return Err(format!("{memory:?}, and {most_alive} bytes are alive at once"));
    }
    if memory.planned != slots {
        return Err(format!("{memory:?}, and the slots take {slots} bytes"));
    }
    Ok(plan)
}

/// Holds that every dispatch of a plan reads the values its operation needs, that outputs are there at the end, that
/// leaves outlast the step, and that WebGPU's rules on bindings are kept. Returns the most bytes of slots that are alive
/// at once.
pub fn follow(graph: &Graph, order: &[NodeId], kernels: &[Option<Kernel>], plan: &Plan) -> Result<u64, String> {
    let buffers = vec![vec![]; plan.buffers.len()];
    let mut memory = Memory { graph, order, kernels, plan, buffers, lives: HashMap::new(), now: 0 };
    for &id in order.iter().filter(|id| graph.node(**id).op().is_none()) {
        memory.write(memory.place(id)?, &[memory.whole(id)]);
    }
    let mut copies = copies(graph, order, &memory)?;
    // Which of a node's dispatches have run.
    let mut run: HashMap<NodeId, Vec<usize>> = HashMap::new();
    for (number, launch) in plan.launches().enumerate() {
        memory.now = number;
        check_bindings(plan, launch.steps)?;
        for step in launch.steps {
            if step.launch != number {
                return Err(format!("{} is in launch {} of the plan, and says {}", step.name, number, step.launch));
            }
            let position = order.iter().position(|id| *id == step.node).ok_or("a step of no node")?;
            let done = run.entry(step.node).or_default();
            let own = kernels[position].iter().flat_map(|kernel| &kernel.dispatches).enumerate();
            let same = |d: &Dispatch| d.shader == step.dispatch.shader && d.bindings == step.dispatch.bindings;
            if let Some((next, _)) = own.into_iter().find(|(i, dispatch)| !done.contains(i) && same(dispatch)) {
                let dispatches = kernels[position].iter().flat_map(|kernel| &kernel.dispatches);
                let earlier = dispatches.enumerate().filter(|(i, _)| done.contains(i));
                let bindings = earlier.flat_map(|(_, dispatch)| &dispatch.bindings);
                let written: Vec<Operand> = bindings.filter(|b| b.writes).map(|b| b.operand).collect();
                done.push(next);
                memory.run(step, position, &written).map_err(|error| format!("{}: {error}", step.name))?;
            } else {
                let copy = copies.iter().position(|copy| copy.part == step.node);
                let copy = copies.remove(copy.ok_or_else(|| format!("{} is one too many", step.dispatch.shader.name))?);
                memory.copy(step, copy)?;
            }
        }
    }
    for (id, kernel) in order.iter().zip(kernels) {
        if kernel.as_ref().map_or(0, |kernel| kernel.dispatches.len()) != run.get(id).map_or(0, Vec::len) {
            return Err(format!("a dispatch of {} is missing", graph.node(*id).name));
        }
    }
    if !copies.is_empty() {
        return Err("a copy into a packed value is missing".into());
    }
    memory.finish(order)?;
    let alive = |at: usize| memory.lives.values().filter(|l| l.first <= at && at <= l.last).map(|l| l.bytes).sum();
    Ok((0..=plan.launches().count()).map(alive).max().unwrap_or(0))
}

/// A value's way into one that holds it, where it was not written there.
#[derive(Clone, Copy)]
struct Copy {
    part: NodeId,
    from: Place,
    to: Place,
}

fn copies(graph: &Graph, order: &[NodeId], memory: &Memory<'_>) -> Result<Vec<Copy>, String> {
    let mut copies = vec![];
    for &id in order {
        let Placement::Holds(offsets) = graph.traits(id).placement else { continue };
        for (&part, offset) in graph.node(id).inputs().iter().zip(offsets) {
            let (from, whole) = (memory.place(part)?, memory.place(id)?);
            let to = Place { offset: whole.offset + 4 * offset as u64, bytes: from.bytes, ..whole };
            if from != to {
                copies.push(Copy { part, from, to });
            }
        }
    }
    Ok(copies)
}

impl Memory<'_> {
    fn place(&self, id: NodeId) -> Result<Place, String> {
        self.plan.places[id.index()].ok_or_else(|| format!("node {} has no place", id.index()))
    }

    /// A value as one piece.
    fn whole(&self, id: NodeId) -> Piece {
        Piece { at: 0, value: Value::Node(id), from: 0, bytes: self.graph.ty(id).bytes() }
    }

    /// What a node's bytes are: its own, or those of other values that it only names.
    fn pieces(&self, id: NodeId) -> Vec<Piece> {
        let inputs = self.graph.node(id).inputs();
        match self.graph.traits(id).placement {
            Placement::Own => vec![self.whole(id)],
            Placement::LeftBy(by) => {
                let position = self.order.iter().position(|other| *other == inputs[by]).expect("inputs come earlier");
                let scratch = &self.kernels[position].as_ref().expect("a kernel leaves it").scratch;
                vec![Piece { value: Value::Scratch(position, scratch.len() - 1), ..self.whole(id) }]
            }
            Placement::ViewOf(element) => {
                let (begin, end) = (4 * element as u64, 4 * element as u64 + self.graph.ty(id).bytes());
                let cut = |piece: Piece| {
                    let (first, last) = (piece.at.max(begin), (piece.at + piece.bytes).min(end));
                    let from = piece.from + first.saturating_sub(piece.at);
                    (first < last).then(|| Piece { at: first - begin, from, bytes: last - first, ..piece })
                };
                self.pieces(inputs[0]).into_iter().filter_map(cut).collect()
            }
            Placement::Holds(elements) => {
                let parts = inputs.iter().zip(elements);
                let moved = |(&part, element): (&NodeId, usize)| {
                    let pieces = self.pieces(part).into_iter();
                    pieces.map(move |piece| Piece { at: piece.at + 4 * element as u64, ..piece }).collect::<Vec<_>>()
                };
                parts.flat_map(moved).collect()
            }
        }
    }

    /// Puts a value's pieces at a place. Whatever was there in part is gone as a whole.
    fn write(&mut self, place: Place, pieces: &[Piece]) {
        let buffer = &mut self.buffers[place.buffer];
        buffer.retain(|p| p.at + p.bytes <= place.offset || place.offset + place.bytes <= p.at);
        buffer.extend(pieces.iter().map(|piece| Piece { at: place.offset + piece.at, ..*piece }));
        if self.plan.buffers[place.buffer].role == BufferRole::Slot {
            let life = |piece: &Piece| Life { first: self.now, last: self.now, bytes: piece.bytes };
            self.lives.extend(pieces.iter().map(|piece| (piece.value, life(piece))));
        }
    }

    /// Refuses a place that does not hold these pieces.
    fn read(&mut self, place: Place, pieces: &[Piece]) -> Result<(), String> {
        for expected in pieces {
            let at = place.offset + expected.at;
            let holds =
                |p: &&Piece| p.at <= at && at + expected.bytes <= p.at + p.bytes && at - p.at + p.from == expected.from;
            match self.buffers[place.buffer].iter().find(holds) {
                Some(found) if found.value == expected.value => {
                    if let Some(life) = self.lives.get_mut(&found.value) {
                        life.last = self.now;
                    }
                }
                found => {
                    let found = found.map(|piece| piece.value);
                    return Err(format!("{place:?} should hold {:?}, holds {found:?}", expected.value));
                }
            }
        }
        Ok(())
    }

    /// A value on its way into one that holds it.
    fn copy(&mut self, step: &Step, Copy { part, from, to }: Copy) -> Result<(), String> {
        match step.bindings[..] {
            [x, y] if x.place == from && !x.writes && y.place == to && y.writes => {}
            _ => return Err(format!("{} should copy node {} from {from:?} to {to:?}", step.name, part.index())),
        }
        let pieces = self.pieces(part);
        self.read(from, &pieces)?;
        self.write(to, &pieces);
        Ok(())
    }

    /// One dispatch of a node, others of which have `written` these operands: reads first, then writes.
    fn run(&mut self, step: &Step, position: usize, written: &[Operand]) -> Result<(), String> {
        let now = self.now;
        let bound = |binding: usize| step.bindings.iter().find(|b| b.binding as usize == binding);
        if step.bindings.len() != step.dispatch.bound().count() {
            return Err("binds more or fewer than its kernel".into());
        }
        let inputs = self.graph.node(step.node).inputs();
        let updates = self.graph.traits(step.node).updates;
        for wanted in &step.dispatch.bindings {
            let binding = wanted.number;
            let pieces = match wanted.operand {
                // The next range of a variable whose earlier ones another dispatch of this update has replaced.
                Operand::Input(n) if wanted.writes && written.contains(&wanted.operand) => {
                    vec![Piece { value: Value::Updated(step.node, n), ..self.whole(inputs[n]) }]
                }
                Operand::Input(n) => self.pieces(inputs[n]),
                // Written, and read only after another dispatch of the kernel has written it.
                Operand::Scratch(_) if wanted.writes => continue,
                Operand::Scratch(n) => vec![scratch(position, n, bound(binding).ok_or("unbound")?)],
                Operand::Output => continue,
            };
            if step.dispatch.in_place == Some(binding) {
                let written = step.bindings.iter().find(|b| b.writes).ok_or("nothing is written")?;
                // Not the last use of memory that goes on as the output's.
                self.now = now.saturating_sub(1);
                self.read(written.place, &pieces)?;
                self.now = now;
            } else {
                self.read(bound(binding).ok_or("an operand is not bound")?.place, &pieces)?;
            }
        }
        for wanted in step.dispatch.bindings.iter().filter(|b| b.writes) {
            let bound = bound(wanted.number).ok_or("what is written is not bound")?;
            let piece = match wanted.operand {
                Operand::Input(n) if updates.contains(&n) => {
                    Piece { value: Value::Updated(step.node, n), ..self.whole(inputs[n]) }
                }
                Operand::Input(n) => return Err(format!("writes its input {n}")),
                Operand::Scratch(n) => scratch(position, n, bound),
                Operand::Output => self.whole(step.node),
            };
            if piece.bytes != bound.place.bytes {
                return Err(format!("binds {} bytes for {} bytes", bound.place.bytes, piece.bytes));
            }
            self.write(bound.place, &[piece]);
        }
        Ok(())
    }

    /// What must be there after the step: outputs for the host, leaves for the next step.
    fn finish(&mut self, order: &[NodeId]) -> Result<(), String> {
        self.now = self.plan.launches().count();
        for &id in self.graph.outputs() {
            self.read(self.place(id)?, &self.pieces(id)).map_err(|error| format!("output: {error}"))?;
        }
        let graph = self.graph;
        let variables = |&id: &NodeId| graph.traits(id).updates.iter().map(move |&n| graph.node(id).inputs()[n]);
        let updated: Vec<NodeId> = order.iter().flat_map(variables).collect();
        for &id in order.iter().filter(|id| !updated.contains(id)) {
            if !matches!(self.graph.node(id).source, Source::Op { .. }) {
                self.read(self.place(id)?, &[self.whole(id)]).map_err(|error| format!("leaf: {error}"))?;
            }
        }
        Ok(())
    }
}

fn scratch(position: usize, number: usize, bound: &Bound) -> Piece {
    Piece { at: 0, value: Value::Scratch(position, number), from: 0, bytes: bound.place.bytes }
}

/// WebGPU's rules for one launch: ranges inside their buffers, at multiples of 256 bytes; a buffer is read or written, and
/// no range of it that is written is bound twice.
fn check_bindings(plan: &Plan, steps: &[Step]) -> Result<(), String> {
    let all: Vec<&Bound> = steps.iter().flat_map(|step| &step.bindings).collect();
    for (number, bound) in all.iter().enumerate() {
        let Place { buffer, offset, bytes } = bound.place;
        if bytes == 0 || offset + bytes > plan.buffers[buffer].bytes || !offset.is_multiple_of(256) {
            return Err(format!("binds {:?} of a buffer of {} bytes", bound.place, plan.buffers[buffer].bytes));
        }
        for other in all[number + 1..].iter().map(|other| (other.place, other.writes)) {
            let (place, writes) = other;
            let apart = place.offset + place.bytes <= offset || offset + bytes <= place.offset;
            if place.buffer == buffer && (bound.writes != writes || writes && !apart) {
                return Err(format!("reads and writes buffer {buffer}, or writes a range of it twice"));
            }
        }
    }
    Ok(())
}
