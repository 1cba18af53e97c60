//! The graph of one training step: forward and backward pass, then the update.

use std::ops::Range;
use std::sync::Arc;

use crate::compile::pull_back;
use crate::data::{Augment, Spec, order};
use crate::formats::weights::check_length;
use crate::graph::{Graph, NodeId, Precision};
use crate::infer::{Batches, Forward, Source};
use crate::nn::{Layout, Model, ParameterSpec, Part};
use crate::optim::{Flat, Group, Optimizer, ParameterGroup};
use crate::shape::TensorType;
use crate::tensor::HostData;
use crate::{Error, Result, Tensor};

/// Loss scale per image while gradients are stored as f16: gradients down to 2e-7 keep all bits, those above 256
/// overflow.
const HALF_SCALE: usize = 256;

/// Options of a training step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOptions {
    /// Images per step.
    pub batch: usize,
    /// Steps of the longest epoch.
    pub steps: usize,
    /// Random seed.
    pub seed: u64,
    /// Storage precision of the values between operations.
    pub precision: Precision,
    /// Augmentation of the images.
    pub augment: Augment,
    /// Class weights of the loss, if any.
    pub class_weights: Option<Vec<f32>>,
    /// Micro-batches per update of the parameters, counted from the first step of an epoch; the last update of an epoch
    /// may have fewer.
    pub accumulate: usize,
}

impl StepOptions {
    /// Batches of `batch` images, epochs of up to `steps` steps, seed 1, f32, no augmentation, no class weights, an update
    /// in each step.
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

    /// The loss scale, a power of two. It grows with the batch, so that the gradient of each image does not depend on the
    /// number of images.
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
    /// Trained parameters, a flat variable.
    pub parameters: NodeId,
    /// Frozen parameters, a flat input, if there are any.
    pub frozen: Option<NodeId>,
    /// Running averages, with their ranges of the layout.
    pub statistics: Vec<Part>,
    /// Optimizer states, each flat, then the accumulated gradients if several micro-batches make an update.
    pub states: Vec<NodeId>,
    /// Learning rate of each step of the epoch, below 0 in steps without an update.
    pub rates: NodeId,
    /// Steps of the run before this epoch, `u32[1]`, if an operation of the step reads it.
    pub begun: Option<NodeId>,
    /// Gradient accumulation, if several micro-batches make an update.
    pub accumulation: Option<Accumulation>,
}

/// Gradient accumulation over several micro-batches per update.
#[derive(Clone, Copy, Debug)]
pub struct Accumulation {
    /// Micro-batches per update.
    pub every: usize,
    /// Weight of each step's gradient in the mean over its update, `f32[steps]`.
    pub weights: NodeId,
    /// Updates of the run before this epoch, `u32[1]`, if the optimizer reads it.
    pub begun: Option<NodeId>,
}

/// Inputs of a step's graph over one epoch.
#[derive(Clone, Copy, Debug)]
pub struct EpochInputs<'a> {
    /// Index of the image in each row of each step, [`IGNORE`](crate::ops::IGNORE) for padding.
    pub order: &'a [u32],
    /// Learning rate of each step.
    pub rates: &'a [f32],
    /// Weight of each image of the set in the loss; empty if all weigh the same.
    pub weights: &'a [f32],
    /// Steps of the run before the epoch.
    pub begun: u64,
    /// Updates of the run before the epoch.
    pub updates: u64,
}

/// The gradient of one micro-batch, packed: **the cut of a training step**.
///
/// Above the cut [`gradients`] computes the mean gradient of a micro-batch from the images and the parameters. Below it
/// [`update`] changes parameters and optimizer state by a gradient, wherever that comes from. All ways to form the
/// gradient of a larger batch meet here: gradient accumulation adds up micro-batches one after the other; several devices
/// or processes would add up theirs.
struct Gradients {
    /// Mean gradient of the micro-batch, `f32[T]` in the order of the trained parameters, without loss scale.
    packed: NodeId,
    /// Range of each parameter in it.
    ranges: Vec<Range<usize>>,
    batches: Batches,
    /// Trained parameters, a flat variable.
    parameters: NodeId,
    frozen: Option<NodeId>,
    statistics: Vec<Part>,
    /// Number of the step in the epoch, `u32[1]`: a copy, so that the counter can advance beside the update.
    step: NodeId,
    /// Number of the step in the run, `u32[1]`.
    clock: NodeId,
    /// Steps of the run before this epoch, from which `clock` counts.
    begun: NodeId,
}

/// Parameters, optimizer state and the inputs that an update adds to a step.
struct Update {
    states: Vec<NodeId>,
    rates: NodeId,
    accumulation: Option<Accumulation>,
}

/// Appends the forward and the backward pass of one micro-batch.
fn gradients(
    graph: &mut Graph,
    model: &dyn Model,
    layout: &Layout,
    data: Spec,
    options: StepOptions,
) -> Result<Gradients> {
    let scale = options.loss_scale();
    let StepOptions { batch, steps, seed, augment, class_weights, .. } = options;
    let source = Source { data, batch, steps, class_weights };
    let batches = source.batches(graph, model, layout.has_statistics())?;
    let begun = graph.input("begun", TensorType::u32([1]))?;
    graph.set_scope("batch");
    let clock = graph.clock(begun, batches.step)?;
    let step = graph.copy(batches.step)?;
    let leaves = layout.leaves(graph, clock, seed)?;
    let (mut trained, mut statistics) = (vec![], vec![]);
    let Forward { loss, .. } = source.forward(graph, model, batches, |graph, x| {
        let x = if augment.is_nothing() { x } else { graph.augment(x, clock, augment, seed)? };
        let forward = layout.forward_training(model, graph, leaves, x)?;
        (trained, statistics) = (forward.trained, forward.statistics);
        Ok(forward.y)
    })?;
    let (views, ranges): (Vec<NodeId>, Vec<Range<usize>>) = trained.into_iter().unzip();
    graph.set_scope("loss");
    let seeds = Tensor::from_fn(graph.shape(loss).clone(), |_| scale);
    let seeds = graph.constant("loss gradient", seeds)?;
    let parts = pull_back(graph, loss, seeds, &views)?;
    graph.set_scope("optimizer");
    let offsets: Vec<usize> = ranges.iter().map(|range| range.start).collect();
    let packed = graph.pack(&parts, &offsets, layout.trained())?;
    let packed = if scale == 1.0 { packed } else { graph.scale(packed, scale.recip())? };
    let (parameters, frozen) = (leaves.parameters, leaves.frozen);
    Ok(Gradients { packed, ranges, batches, parameters, frozen, statistics, step, clock, begun })
}

/// Appends the update of the parameters by the gradients of `micro_batches` steps.
fn update(
    graph: &mut Graph,
    layout: &Layout,
    optimizer: &dyn Optimizer,
    cut: &Gradients,
    [steps, micro_batches]: [usize; 2],
) -> Result<Update> {
    let &Gradients { packed, parameters, step, clock, .. } = cut;
    let rates = graph.input("rates", TensorType::f32([steps]))?;
    let state = |name: &&str| graph.variable(name, TensorType::f32([layout.trained()]));
    let mut states = optimizer.states().iter().map(state).collect::<Result<Vec<_>>>()?;
    let (mut gradients, mut updates, mut accumulation) = (packed, clock, None);
    if micro_batches != 1 {
        let weights = graph.input("shares", TensorType::f32([steps]))?;
        let sum = graph.variable("accumulated", TensorType::f32([layout.trained()]))?;
        gradients = graph.accumulate(sum, packed, weights, step, micro_batches)?;
        graph.store(sum, gradients)?;
        let begun = graph.input("begun updates", TensorType::u32([1]))?;
        updates = graph.update_clock(begun, step, micro_batches)?;
        accumulation = Some(Accumulation { every: micro_batches, weights, begun: Some(begun) });
        states.push(sum);
    }
    let (ranges, groups) = (cut.ranges.as_slice(), parameter_groups(optimizer, layout));
    let (groups, of_optimizer) = (groups.as_slice(), &states[..optimizer.states().len()]);
    let flat = Flat { parameters, gradients, ranges, groups, states: of_optimizer, rates, step, clock: updates };
    optimizer.update(graph, flat)?;
    for accumulation in accumulation.iter_mut().filter(|_| !is_read(graph, updates)) {
        accumulation.begun = None;
    }
    Ok(Update { states, rates, accumulation })
}

fn is_read(graph: &Graph, node: NodeId) -> bool {
    !graph.readers()[node.index()].is_empty()
}

impl TrainingStep {
    /// The training step of `model` over `data` with batches of `batch` images, for epochs of up to `steps` steps, with
    /// random seed 1. `layout` is [arranged](Self::arrange) for the optimizer if that has parameter groups.
    ///
    /// Errors: those of the model's layers; images or classes that do not fit the model; no parameter to train; a layout
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

    /// As [`TrainingStep::new`], with all [options](StepOptions).
    ///
    /// In f16 the loss is scaled by a power of two, the same in every step; the packed gradients, f32 again, are divided
    /// by it before the update. No step is skipped, so the device needs no decision of the host between steps;
    /// [`Trainer`](crate::train::Trainer) refuses weights that overflowed.
    ///
    /// Errors: as [`TrainingStep::new`].
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
        let counts = [options.steps, options.accumulate];
        let mut graph = Graph::new();
        graph.set_precision(options.precision);
        let cut = gradients(&mut graph, model, layout, data, options)?;
        let Update { states, rates, accumulation } = update(&mut graph, layout, optimizer, &cut, counts)?;
        let begun = is_read(&graph, cut.clock).then_some(cut.begun);
        let Gradients { batches, parameters, frozen, statistics, .. } = cut;
        Ok(Self { graph, batches, parameters, frozen, statistics, states, rates, begun, accumulation })
    }

    /// The layout with the parameters of each of the optimizer's groups in one range.
    ///
    /// Errors: a group without parameters.
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

    /// Leaves of the parameters, with their ranges of the flat buffer.
    pub fn parts(&self, layout: &Layout) -> Vec<Part> {
        let frozen = self.frozen.map(|node| (node, layout.frozen()));
        let trained = (self.parameters, 0..layout.trained());
        [trained].into_iter().chain(frozen).chain(self.statistics.iter().cloned()).collect()
    }

    /// Those of [`TrainingStep::parts`] that a step changes.
    pub fn changing_parts(&self, layout: &Layout) -> Vec<Part> {
        self.parts(layout).into_iter().filter(|(node, _)| Some(*node) != self.frozen).collect()
    }

    /// Writes all parameters, flat, and the optimizer states to a device, leaf by leaf.
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

    /// Writes the inputs of an epoch to a device, leaf by leaf, and the number of its next step.
    ///
    /// Errors: those of `write`.
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
        let Some(Accumulation { every, weights: node, begun }) = self.accumulation else {
            return write(self.rates, rates.into());
        };
        write(self.rates, order::rates_of_updates(rates, every).as_slice().into())?;
        write(node, order::shares(order, rates.len(), every, weights).as_slice().into())?;
        begun.map_or(Ok(()), |node| write(node, [updates as u32].as_slice().into()))
    }

    /// All parameters, flat, and the optimizer states, as `read` returns them; frozen parameters are those of `written`.
    ///
    /// Errors: values of another layout; those of `read`.
    pub(in crate::train) async fn read<F: Future<Output = Result<Vec<f32>>>>(
        &self,
        layout: &Layout,
        written: &[f32],
        read: impl Fn(NodeId) -> F,
    ) -> Result<(Arc<[f32]>, Vec<Vec<f32>>)> {
        check_length(layout, written)?;
        let mut parameters: Arc<[f32]> = Arc::from(written);
        let flat = Arc::make_mut(&mut parameters);
        for (node, range) in self.changing_parts(layout) {
            // A buffer may be some bytes longer than its value.
            flat[range.clone()].copy_from_slice(&read(node).await?[..range.len()]);
        }
        let mut states = vec![];
        for node in &self.states {
            states.push(read(*node).await?);
        }
        Ok((parameters, states))
    }
}

/// Settings of each range of the parameters, if the optimizer has parameter groups.
fn parameter_groups(optimizer: &dyn Optimizer, layout: &Layout) -> Vec<ParameterGroup> {
    let groups = optimizer.groups();
    let own = groups.iter().map(Group::settings);
    let settings = std::iter::once((1.0, None)).chain(own);
    let group = |(range, (rate_factor, weight_decay)): (&Range<usize>, _)| {
        (!range.is_empty()).then(|| ParameterGroup { range: range.clone(), rate_factor, weight_decay })
    };
    match groups {
        [] => vec![],
        _ => layout.groups().iter().zip(settings).filter_map(group).collect(),
    }
}
