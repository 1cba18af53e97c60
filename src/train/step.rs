//! One step as a graph: forward, backward and optimizer together.

use std::ops::Range;

use crate::compile::pull_back;
use crate::data::{Augment, Spec, order};
use crate::formats::weights::check_length;
use crate::graph::{Graph, NodeId, Precision};
use crate::infer::{Batches, Forward, Source};
use crate::nn::{Layout, Model, ParameterSpec, Part};
use crate::optim::{Flat, Group, Optimizer, Share};
use crate::shape::TensorType;
use crate::tensor::HostData;
use crate::{Error, Result, Tensor};

/// What the gradients of one picture's loss are multiplied by while they are stored as halves: those down to 2e-7 keep all
/// bits, those above 256 become infinite.
const HALF_SCALE: usize = 256;

/// How a training step is made.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOptions {
    /// Pictures a step.
    pub batch: usize,
    /// Steps of the longest epoch.
    pub steps: usize,
    /// Of what is drawn at random.
    pub seed: u64,
    /// How values between the operations are stored.
    pub precision: Precision,
    /// How pictures are varied.
    pub augment: Augment,
    /// What each class weighs in the mean of the losses, if not all the same.
    pub class_weights: Option<Vec<f32>>,
    /// Steps that share an update of the parameters, from an epoch's first on; the last of an epoch may be fewer.
    pub accumulate: usize,
}

impl StepOptions {
    /// Batches of `batch` for epochs of up to `steps` steps, under seed 1, in f32, of the pictures as they are, all classes alike;
    /// each step an update.
    pub fn new(batch: usize, steps: usize) -> Self {
        Self {
            batch,
            steps,
            seed: 1,
            precision: Precision::F32,
            augment: Augment::default(),
            class_weights: None,
            accumulate: 1,
        }
    }

    /// What the loss is multiplied by, a power of two: the more pictures it is the mean of, the more, so that the
    /// gradients of each do not depend on their number.
    fn loss_scale(&self) -> f32 {
        match self.precision {
            Precision::F32 => 1.0,
            Precision::F16 => (HALF_SCALE * self.batch.next_power_of_two()) as f32,
        }
    }
}

/// A training step.
#[derive(Clone, Debug)]
pub struct TrainingStep {
    /// The computation.
    pub graph: Graph,
    /// The data set.
    pub batches: Batches,
    /// The parameters that are trained, flat.
    pub parameters: NodeId,
    /// The parameters that are frozen, flat, if any are.
    pub frozen: Option<NodeId>,
    /// Running averages, with their ranges of the layout.
    pub statistics: Vec<Part>,
    /// What the optimizer keeps, each flat; then the gradients so far, if several steps share an update.
    pub states: Vec<NodeId>,
    /// The learning rate of each step of the epoch, below 0 in those that update nothing.
    pub rates: NodeId,
    /// Steps of the run before this epoch, `u32[1]`, if anything in the step asks.
    pub begun: Option<NodeId>,
    /// How steps share updates, if they do.
    pub accumulation: Option<Accumulation>,
}

/// Several steps that share an update.
#[derive(Clone, Copy, Debug)]
pub struct Accumulation {
    /// So many, from an epoch's first on.
    pub every: usize,
    /// What the gradients of each step of the epoch count for in the mean, `f32[steps]`.
    pub shares: NodeId,
    /// Updates of the run before this epoch, `u32[1]`, if the optimizer asks.
    pub begun: Option<NodeId>,
}

/// What the steps of an epoch are to read.
#[derive(Clone, Copy, Debug)]
pub struct EpochInputs<'a> {
    /// The picture of each row of each step, [`IGNORE`](crate::ops::IGNORE) for none.
    pub order: &'a [u32],
    /// The learning rate of each step.
    pub rates: &'a [f32],
    /// What each picture of the set weighs in the loss; none: all the same.
    pub weights: &'a [f32],
    /// Steps of the run before the epoch.
    pub begun: u64,
    /// Updates of the run before the epoch.
    pub updates: u64,
}

impl TrainingStep {
    /// The step of `model` over `data` with batches of `batch`, for epochs of up to `steps` steps; what it draws at
    /// random is drawn under seed 1. `layout` is [arranged](Self::arrange) for the optimizer if that has groups.
    ///
    /// Errors: those of the model's layers; pictures or classes that do not fit the model; nothing to train; a layout
    /// that is not arranged.
    pub fn new(
        model: &dyn Model,
        layout: &Layout,
        optimizer: &dyn Optimizer,
        data: Spec,
        batch: usize,
        steps: usize,
    ) -> Result<Self> {
        Self::with(model, layout, optimizer, data, StepOptions::new(batch, steps))
    }

    /// As [`TrainingStep::new`], with a choice of seed, precision and augmentation.
    ///
    /// In f16 the gradients are those of the loss times a power of two, the same in every step, until they are f32 again
    /// in the flat buffer that the optimizer sees a copy of, divided by it. No step is left out: a device needs no word
    /// from the host in between, and [`Trainer`](crate::train::Trainer) refuses weights that overflowed.
    pub fn with(
        model: &dyn Model,
        layout: &Layout,
        optimizer: &dyn Optimizer,
        data: Spec,
        options: StepOptions,
    ) -> Result<Self> {
        if layout.trainable() == 0 {
            let option = format!("parameters of {} to train", model.name());
            return Err(Error::option(option, "at least one that is not frozen", "none"));
        }
        let groups = optimizer.groups().len() + 1;
        if layout.groups().len() != groups {
            let expected =
                format!("{groups} groups of parameters, as TrainingStep::arrange makes for {}", optimizer.name());
            return Err(Error::option("layout", expected, layout.groups().len()));
        }
        let scale = options.loss_scale();
        let StepOptions { batch, steps, seed, precision, augment, class_weights, accumulate: every } = options;
        let mut graph = Graph::new();
        graph.set_precision(precision);
        let source = Source { data, batch, steps, class_weights };
        let batches = source.batches(&mut graph, model, layout.has_statistics())?;
        let begun = graph.input("begun", TensorType::u32([1]))?;
        graph.set_scope("batch");
        let clock = graph.clock(begun, batches.step)?;
        // The optimizer reads a copy, so that the counter can advance beside it.
        let number = graph.copy(batches.step)?;
        let leaves = layout.leaves(&mut graph, clock, seed)?;
        let (mut trained, mut statistics) = (vec![], vec![]);
        let Forward { loss, .. } = source.forward(&mut graph, model, batches, |graph, x| {
            let x = if augment.is_nothing() { x } else { graph.augment(x, clock, augment, seed)? };
            let forward = layout.forward_training(model, graph, leaves, x)?;
            (trained, statistics) = (forward.trained, forward.statistics);
            Ok(forward.y)
        })?;
        let (views, ranges): (Vec<NodeId>, Vec<Range<usize>>) = trained.into_iter().unzip();
        graph.set_scope("loss");
        let seeds = Tensor::from_fn(graph.shape(loss).clone(), |_| scale);
        let seeds = graph.constant("loss gradient", seeds)?;
        let parts = pull_back(&mut graph, loss, seeds, &views)?;
        graph.set_scope("optimizer");
        let offsets: Vec<usize> = ranges.iter().map(|range| range.start).collect();
        let packed = graph.pack(&parts, &offsets, layout.trained())?;
        let gradients = if scale == 1.0 { packed } else { graph.scale(packed, scale.recip())? };
        let rates = graph.input("rates", TensorType::f32([steps]))?;
        let state = |name: &&str| graph.variable(name, TensorType::f32([layout.trained()]));
        let mut states = optimizer.states().iter().map(state).collect::<Result<Vec<_>>>()?;
        let (mut gradients, mut updates, mut accumulation) = (gradients, clock, None);
        if every != 1 {
            let shares = graph.input("shares", TensorType::f32([steps]))?;
            let sum = graph.variable("accumulated", TensorType::f32([layout.trained()]))?;
            gradients = graph.accumulate(sum, gradients, shares, number, every)?;
            graph.store(sum, gradients)?;
            let begun = graph.input("begun updates", TensorType::u32([1]))?;
            updates = graph.update_clock(begun, number, every)?;
            accumulation = Some(Accumulation { every, shares, begun: Some(begun) });
            states.push(sum);
        }
        let parameters = leaves.parameters;
        let (shares, step) = (shares(optimizer, layout), number);
        let (ranges, shares) = (ranges.as_slice(), shares.as_slice());
        let kept = &states[..optimizer.states().len()];
        optimizer.update(
            &mut graph,
            Flat { parameters, gradients, ranges, shares, states: kept, rates, step, clock: updates },
        )?;
        let is_read = |clock: NodeId| !graph.readers()[clock.index()].is_empty();
        let begun = is_read(clock).then_some(begun);
        for accumulation in accumulation.iter_mut().filter(|_| !is_read(updates)) {
            accumulation.begun = None;
        }
        let frozen = leaves.frozen;
        Ok(Self { graph, batches, parameters, frozen, statistics, states, rates, begun, accumulation })
    }

    /// The layout in which the optimizer's groups have their parameters side by side.
    ///
    /// Errors: a group that has no parameter.
    pub fn arrange(layout: &Layout, optimizer: &dyn Optimizer) -> Result<Layout> {
        let groups = optimizer.groups();
        let first = |name: &str| groups.iter().position(|group| group.matches(name));
        let names = || layout.specs().iter().map(|spec| spec.name.as_str());
        if let Some((_, group)) = groups.iter().enumerate().find(|(i, _)| names().all(|name| first(name) != Some(*i))) {
            let expected = "a pattern that matches a parameter which no earlier group has; there are ".to_string();
            let found = format!("\"{}\"", group.pattern());
            return Err(Error::option("group", expected + &names().collect::<Vec<_>>().join(", "), found));
        }
        let number = |spec: &ParameterSpec| match first(&spec.name) {
            Some(i) if groups[i].is_frozen() => None,
            found => Some(found.map_or(0, |i| i + 1)),
        };
        Ok(layout.arranged(groups.len() + 1, number))
    }

    /// The leaves that hold the parameters, with their ranges of the flat buffer.
    pub fn parts(&self, layout: &Layout) -> Vec<Part> {
        let frozen = self.frozen.map(|node| (node, layout.frozen()));
        let trained = (self.parameters, 0..layout.trained());
        [trained].into_iter().chain(frozen).chain(self.statistics.iter().cloned()).collect()
    }

    /// The parts that a step changes.
    pub fn changing_parts(&self, layout: &Layout) -> Vec<Part> {
        self.parts(layout).into_iter().filter(|(node, _)| Some(*node) != self.frozen).collect()
    }

    /// What puts the network on a device: all parameters, flat, and what the optimizer keeps, leaf by leaf.
    ///
    /// Errors: values of another layout; those of `write`.
    pub fn write(
        &self,
        layout: &Layout,
        flat: &[f32],
        states: &[Vec<f32>],
        mut write: impl FnMut(NodeId, HostData<'_>) -> Result<()>,
    ) -> Result<()> {
        check_length(layout, flat)?;
        self.parts(layout).into_iter().try_for_each(|(node, range)| write(node, flat[range].into()))?;
        self.states.iter().zip(states).try_for_each(|(node, values)| write(*node, values.as_slice().into()))
    }

    /// What the steps of an epoch read, leaf by leaf, and which of them comes next.
    pub fn write_epoch(
        &self,
        epoch: EpochInputs<'_>,
        next: usize,
        mut write: impl FnMut(NodeId, HostData<'_>) -> Result<()>,
    ) -> Result<()> {
        let EpochInputs { order, rates, weights, begun, updates } = epoch;
        let batches = &self.batches;
        write(batches.order, order.into())?;
        if let Some(node) = batches.shown {
            write(node, order::shown(order).as_slice().into())?;
        }
        write(batches.step, [next as u32].as_slice().into())?;
        if let Some(node) = self.begun {
            write(node, [begun as u32].as_slice().into())?;
        }
        let Some(Accumulation { every, shares, begun }) = self.accumulation else {
            return write(self.rates, rates.into());
        };
        write(self.rates, order::rates_of_updates(rates, every).as_slice().into())?;
        write(shares, order::shares(order, rates.len(), every, weights).as_slice().into())?;
        begun.map_or(Ok(()), |node| write(node, [updates as u32].as_slice().into()))
    }

    /// All parameters, flat, and what the optimizer keeps, as `read` has them; `flat` is what was written.
    ///
    /// Errors: values of another layout; those of `read`.
    pub(in crate::train) async fn read<F: Future<Output = Result<Vec<f32>>>>(
        &self,
        layout: &Layout,
        mut flat: Vec<f32>,
        read: impl Fn(NodeId) -> F,
    ) -> Result<(Vec<f32>, Vec<Vec<f32>>)> {
        check_length(layout, &flat)?;
        for (node, range) in self.changing_parts(layout) {
            // A buffer may end in some bytes more than its value.
            flat[range.clone()].copy_from_slice(&read(node).await?[..range.len()]);
        }
        let mut states = vec![];
        for node in &self.states {
            states.push(read(*node).await?);
        }
        Ok((flat, states))
    }
}

/// What differs where, if the optimizer has groups.
fn shares(optimizer: &dyn Optimizer, layout: &Layout) -> Vec<Share> {
    let groups = optimizer.groups();
    let own = groups.iter().map(Group::settings);
    let settings = std::iter::once((1.0, None)).chain(own);
    let share = |(range, (rate_factor, weight_decay)): (&Range<usize>, _)| {
        (!range.is_empty()).then(|| Share { range: range.clone(), rate_factor, weight_decay })
    };
    match groups {
        [] => vec![],
        _ => layout.groups().iter().zip(settings).filter_map(share).collect(),
    }
}
