//! Optimizers: each one operation over the flat parameter and gradient buffers, so that an update is one dispatch for
//! each group of parameters, whatever the number of layers.

mod adagrad;
mod adam;
mod clip;
mod group;
mod rmsprop;
mod sgd;

use std::fmt::Debug;
use std::ops::Range;

pub use adagrad::Adagrad;
pub use adam::{Adam, AdamRule, AdamW};
pub use clip::{Clip, Clipped};
pub use group::{Group, Grouped};
pub use rmsprop::RmsProp;
pub use sgd::Sgd;

use serde::{Deserialize, Serialize};

use crate::graph::{Graph, NodeId};
use crate::kernel::{Constant, Dispatch, Kernel, Shader};
use crate::ops::vectorised;
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Error, Result};

/// A rule that turns gradients into new parameters.
pub trait Optimizer: Debug + Send + Sync {
    /// The name of the rule, as `--optimizer` takes it.
    fn name(&self) -> &'static str;

    /// The rate of the first step, before any schedule.
    fn learning_rate(&self) -> f32;

    /// Names of the values it keeps for each parameter from step to step.
    fn states(&self) -> &'static [&'static str];

    /// Refuses settings outside their range.
    fn check(&self) -> Result<()>;

    /// Groups of parameters with settings of their own.
    fn groups(&self) -> &[Group] {
        &[]
    }

    /// Appends the update. `states` are variables of the parameters' shape, `rates` holds the learning rate of each
    /// step, `step` the number of this one.
    fn update(&self, graph: &mut Graph, values: Flat<'_>) -> Result<NodeId>;
}

/// Any optimizer of this crate, with its settings: what a configuration file holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum AnyOptimizer {
    /// See [`Sgd`].
    Sgd(Sgd),
    /// See [`RmsProp`].
    RmsProp(RmsProp),
    /// See [`Adam`].
    Adam(Adam),
    /// See [`AdamW`].
    AdamW(AdamW),
    /// See [`Adagrad`].
    Adagrad(Adagrad),
}

impl AnyOptimizer {
    /// The optimizer itself.
    pub fn boxed(self) -> Box<dyn Optimizer> {
        match self {
            AnyOptimizer::Sgd(sgd) => Box::new(sgd),
            AnyOptimizer::RmsProp(rmsprop) => Box::new(rmsprop),
            AnyOptimizer::Adam(adam) => Box::new(adam),
            AnyOptimizer::AdamW(adamw) => Box::new(adamw),
            AnyOptimizer::Adagrad(adagrad) => Box::new(adagrad),
        }
    }
}

/// The operands of an update.
#[derive(Clone, Copy, Debug)]
pub struct Flat<'a> {
    /// All parameters, a variable `f32[T]`.
    pub parameters: NodeId,
    /// Their gradients, `f32[T]`.
    pub gradients: NodeId,
    /// Where each parameter lies in them.
    pub ranges: &'a [Range<usize>],
    /// Settings per range (parameter groups); empty if the optimizer's own apply everywhere.
    pub groups: &'a [ParameterGroup],
    /// What the optimizer keeps, variables `f32[T]`, in the order of [`Optimizer::states`].
    pub states: &'a [NodeId],
    /// The learning rate of each step, `f32[L]`; in a step whose rate is below 0 nothing changes.
    pub rates: NodeId,
    /// The number of this step among those that `rates` has, `u32[1]`.
    pub step: NodeId,
    /// The number of this update over the whole run, from 0, `u32[1]`.
    pub clock: NodeId,
}

/// Settings of a range of the flat parameters that differ from the optimizer's: a parameter group.
#[derive(Clone, PartialEq, Debug)]
pub struct ParameterGroup {
    /// Range of the flat parameters.
    pub range: Range<usize>,
    /// What the learning rate is multiplied by.
    pub rate_factor: f32,
    /// The weight decay, if it is another.
    pub weight_decay: Option<f32>,
}

/// A rule for a range of the flat parameters.
#[derive(Clone, Debug)]
struct Ruled<R> {
    range: Range<usize>,
    rate_factor: f32,
    rule: R,
}

impl<R> Ruled<R> {
    /// The rate of a step, if it updates anything.
    fn rate<T: Number>(&self, rates: &[T], step: f64) -> Option<f64> {
        let rate = rate(rates, step);
        // NaN is a mistake to be seen.
        if rate < 0.0 { None } else { Some(f64::from(self.rate_factor) * rate) }
    }

    /// Sets the elements of this range in each part of `out` to what `rule` makes of the same elements of the inputs.
    fn each<T: Number, const I: usize, const O: usize>(
        &self,
        inputs: [&[T]; I],
        out: &mut [T],
        rule: impl Fn([f64; I]) -> [f64; O],
    ) {
        let (start, length) = (self.range.start, self.range.len());
        let mut parts = out.chunks_mut(inputs[0].len());
        let mut parts: [&mut [T]; O] =
            std::array::from_fn(|_| &mut parts.next().expect("a part for each result")[start..][..length]);
        let inputs = inputs.map(|values| &values[start..][..length]);
        vectorised(|| {
            for i in 0..length {
                let new = rule(inputs.map(|values| values[i].into()));
                (0..O).for_each(|part| parts[part][i] = T::rounded(new[part]));
            }
        });
    }

    /// `dispatch` over this range, each invocation so many elements.
    fn dispatch(&self, dispatch: Dispatch, each: usize) -> Dispatch {
        let count = self.range.len() / each;
        dispatch
            .constants([("FIRST", self.range.start / each), ("COUNT", count)])
            .constant("RATE_FACTOR", self.rate_factor)
            .invocations(count, 64)
    }
}

/// The update by each rule in turn: if it has a name for that and all ranges allow, by fours first.
fn kernels<R>(
    shader: Shader,
    by_fours: Option<&'static str>,
    rules: &[Ruled<R>],
    dispatch: impl Fn(&R) -> Dispatch,
) -> Vec<Kernel> {
    let kernel = |name, each, value: Option<&'static str>| {
        let dispatch = |ruled: &Ruled<R>| {
            let mut dispatch = ruled.dispatch(dispatch(&ruled.rule), each);
            dispatch.constants.extend(value.map(|ty| ("Value", Constant::Type(ty))));
            dispatch
        };
        Kernel { name, dispatches: rules.iter().map(dispatch).collect(), scratch: vec![] }
    };
    let are_fours =
        rules.iter().all(|Ruled { range, .. }| range.start.is_multiple_of(4) && range.len().is_multiple_of(4));
    let by_fours = by_fours.filter(|_| are_fours).map(|name| kernel(name, 4, Some("vec4<f32>")));
    by_fours.into_iter().chain([kernel(shader.name, 1, None)]).collect()
}

impl Flat<'_> {
    /// `rule` for each parameter group, `decayed` where the group has its own weight decay.
    fn rules<R: Copy>(&self, graph: &Graph, rule: R, decayed: impl Fn(R, f32) -> R) -> Result<Vec<Ruled<R>>> {
        let length = graph.shape(self.parameters).elements();
        if let Some(group) = self.groups.iter().find(|group| group.range.end > length || group.range.is_empty()) {
            return Err(Error::option("group", format!("a range inside 0..{length}"), format!("{:?}", group.range)));
        }
        let ruled = |group: &ParameterGroup| Ruled {
            range: group.range.clone(),
            rate_factor: group.rate_factor,
            rule: group.weight_decay.map_or(rule, |decay| decayed(rule, decay)),
        };
        Ok(match self.groups {
            [] => vec![Ruled { range: 0..length, rate_factor: 1.0, rule }],
            groups => groups.iter().map(ruled).collect(),
        })
    }

    /// In the order that [`updated`] checks.
    fn inputs(&self) -> Vec<NodeId> {
        let mut inputs = vec![self.parameters, self.gradients, self.rates, self.step];
        inputs.extend(self.states);
        inputs
    }

    /// As [`Flat::inputs`], with the clock at the end, for rules that change over the run.
    fn inputs_and_clock(&self) -> Vec<NodeId> {
        let mut inputs = self.inputs();
        inputs.push(self.clock);
        inputs
    }
}

/// The shape rule of an update with so many states: inputs parameters, gradients, rates, step, states, and the clock
/// if `clocked`; the output is the new parameters and states, end to end.
fn updated(inputs: &[&TensorType], states: usize, clocked: bool) -> Result<TensorType, String> {
    let [parameters, gradients, rates, step, kept @ ..] = inputs else {
        return Err(format!("takes parameters, gradients, rates, step and {states} states, found {inputs:?}"));
    };
    let kept = match kept.split_last() {
        Some((clock, kept)) if clocked && **clock == TensorType::u32([1]) => kept,
        _ if clocked => return Err(format!("takes a clock u32[1] at the end, found {inputs:?}")),
        _ => kept,
    };
    let flat = parameters.dtype == DType::F32 && parameters.shape.len() == 1;
    if !flat || gradients != parameters || kept.len() != states || kept.iter().any(|k| k != parameters) {
        return Err(format!(
            "parameters, gradients and {states} states must be flat f32 of one length, found {inputs:?}"
        ));
    }
    if rates.dtype != DType::F32 || rates.shape.len() != 1 || **step != TensorType::u32([1]) {
        return Err(format!("rates must be f32[L] and step u32[1], are {rates} and {step}"));
    }
    Ok(TensorType::f32([parameters.shape[0] * (1 + states)]))
}

/// Fills the output of an update with the values from before it, for what no rule reaches.
fn keep<T: Copy>(out: &mut [T], values: &[&[T]]) {
    out.chunks_mut(values[0].len()).zip(values).for_each(|(new, old)| new.copy_from_slice(old));
}

/// The rate of a step: the last one goes on past the end.
fn rate<T: Number>(rates: &[T], step: f64) -> f64 {
    rates[(step as usize).min(rates.len() - 1)].into()
}

/// How values are held, by the reference or by the CPU as a device. Rules are written, and computed, in f64.
trait Number: Copy + Into<f64> {
    fn rounded(v: f64) -> Self;
}

impl Number for f64 {
    fn rounded(v: f64) -> Self {
        v
    }
}

impl Number for f32 {
    fn rounded(v: f64) -> Self {
        v as f32
    }
}

fn in_range(option: &str, value: f32, range: Range<f32>) -> Result<()> {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(Error::option(option, format!("at least {} and below {}", range.start, range.end), value)),
    }
}

/// The largest magnitude among parameters, gradients and states: see [`crate::graph::Op::error_scale`].
fn magnitude(inputs: &[View<'_>]) -> f64 {
    inputs.iter().take(2).chain(&inputs[4..]).map(View::magnitude).fold(0.0, f64::max)
}

/// A learning rate is finite and above 0.
fn check_rate(value: f32) -> Result<()> {
    match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(Error::option("learning rate", "a finite number above 0", value)),
    }
}
