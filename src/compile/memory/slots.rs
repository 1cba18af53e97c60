//! Which values share memory, and where in it they lie.

use std::cmp::Reverse;
use std::collections::HashSet;

use crate::compile::memory::{Life, Place, Planner, Use};
use crate::kernel::{ALIGNMENT, Kernel};
use crate::plan::{BufferRole, BufferSpec};

/// How many values are tried earlier in the order.
const MOST_PROMOTED: usize = 96;

/// Placements of one value beside another that such tries may take in all, so that a step of thousands of values is planned
/// in about a second. Steps of up to about a thousand values take fewer.
const MOST_COMPARISONS: usize = 1 << 28;

/// What is this little above the lower bound, a 50th, is not worth more trying.
const ENOUGH: u64 = 50;

/// Slots with what lives in them; the buffer of a place is the slot's number.
#[derive(Default)]
struct Slots {
    sizes: Vec<u64>,
    places: Vec<(usize, Place)>,
    /// For each slot its values, as begin, end and life, by begin.
    inside: Vec<Vec<(u64, u64, usize)>>,
}

impl Slots {
    fn bytes(&self) -> u64 {
        self.sizes.iter().sum()
    }
}

impl Planner<'_> {
    /// Gives each life a place in a slot.
    pub fn assign_slots(&mut self, kernels: &[Option<Kernel>]) {
        let rivals = self.rivals(kernels);
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
        let bound = self.report().lower_bound;
        let mut least = Slots::default();
        for (slots, order) in tried {
            let slots = self.promote(slots, order, &rivals, bound);
            if least.sizes.is_empty() || slots.bytes() < least.bytes() {
                least = slots;
            }
        }
        for (life, place) in least.places {
            self.lives[life].place = Some(Place { buffer: self.buffers.len() + place.buffer, ..place });
        }
        for (number, bytes) in least.sizes.into_iter().enumerate() {
            self.buffers.push(BufferSpec { label: format!("slot {number}"), bytes, role: BufferRole::Slot });
        }
    }

    /// What is placed late has to take what is left: each of the first ones in turn may go before all others, or half way
    /// there, as long as that makes the slots smaller.
    fn promote(&self, mut least: Slots, mut order: Vec<usize>, rivals: &[HashSet<usize>], bound: u64) -> Slots {
        let mut tries = MOST_COMPARISONS / (order.len() * order.len()).max(1);
        loop {
            let before = least.bytes();
            for (at, to) in (1..order.len().min(MOST_PROMOTED)).flat_map(|at| [(at, 0), (at, at / 2)]) {
                if least.bytes() <= bound + bound / ENOUGH || tries == 0 {
                    return least;
                }
                tries -= 1;
                order[to..=at].rotate_right(1);
                let slots = self.fill_slots(&order, rivals);
                match slots.bytes() < least.bytes() {
                    true => least = slots,
                    false => order[to..=at].rotate_left(1),
                }
            }
            if least.bytes() == before {
                return least;
            }
        }
    }

    /// Places lives in this order.
    fn fill_slots(&self, order: &[usize], rivals: &[HashSet<usize>]) -> Slots {
        let mut slots = Slots::default();
        let mut slot_of = vec![None; self.lives.len()];
        for &life in order {
            let bytes = self.lives[life].bytes;
            let taken: HashSet<usize> = rivals[life].iter().filter_map(|&rival| slot_of[rival]).collect();
            let growth = |slot: usize| {
                let offset = self.room(&slots.inside[slot], life);
                ((offset + bytes).saturating_sub(slots.sizes[slot]), slot, offset)
            };
            let new = (bytes, slots.sizes.len(), 0);
            let others = (0..slots.sizes.len()).filter(|slot| !taken.contains(slot));
            let (_, buffer, offset) = others.map(growth).min().unwrap_or(new).min(new);
            slots.sizes.resize(slots.sizes.len().max(buffer + 1), 0);
            slots.inside.resize(slots.sizes.len(), vec![]);
            slots.sizes[buffer] = slots.sizes[buffer].max(offset + bytes);
            slots.places.push((life, Place { buffer, offset, bytes }));
            slot_of[life] = Some(buffer);
            let inside = &mut slots.inside[buffer];
            let at = inside.partition_point(|&(begin, ..)| begin <= offset);
            inside.insert(at, (offset, offset + bytes, life));
        }
        slots
    }

    /// For each life, those that a launch binds together with it while it writes the one and reads the other.
    fn rivals(&self, kernels: &[Option<Kernel>]) -> Vec<HashSet<usize>> {
        let mut bound = vec![[HashSet::new(), HashSet::new()]; self.launches.count];
        for Use { launch, life, writes } in self.uses(kernels) {
            bound[launch][usize::from(writes)].insert(life);
        }
        let mut rivals = vec![HashSet::new(); self.lives.len()];
        for [read, written] in &bound {
            for &a in written {
                for &b in read.iter().filter(|&&b| b != a) {
                    rivals[a].insert(b);
                    rivals[b].insert(a);
                }
            }
        }
        rivals
    }

    /// Where in a slot of these values, or at its end, there is room for a whole life.
    fn room(&self, inside: &[(u64, u64, usize)], life: usize) -> u64 {
        let life = &self.lives[life];
        let mut begin = 0;
        for &(start, end, other) in inside {
            let other = &self.lives[other];
            if other.first > life.last || life.first > other.last {
                continue;
            }
            if begin + life.bytes <= start {
                break;
            }
            begin = begin.max(end.next_multiple_of(ALIGNMENT as u64));
        }
        begin
    }
}
