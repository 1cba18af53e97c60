//! Optimizers: each is one operation over the flat parameter and gradient buffers, so an update is one dispatch per
//! parameter group, for any number of layers.

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
use crate::ops::vectorized;
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Error, Result};

/// An update rule: computes new parameters from gradients.
pub trait Optimizer: Debug + Send + Sync {
    /// Name of the rule, as for `--optimizer`.
    fn name(&self) -> &'static str;

    /// Learning rate of the first step, before any schedule.
    fn learning_rate(&self) -> f32;

    /// Names of the states it keeps per parameter.
    fn states(&self) -> &'static [&'static str];

    /// Checks the ranges of all settings.
    ///
    /// Errors: a setting out of range.
    fn check(&self) -> Result<()>;

    /// Parameter groups.
    fn groups(&self) -> &[Group] {
        &[]
    }

    /// Appends the update, which replaces the parameters and states.
    ///
    /// Errors: operands whose shapes do not match, see [`Flat`]; invalid ranges.
    fn update(&self, graph: &mut Graph, values: Flat<'_>) -> Result<NodeId>;
}

/// Any optimizer of this crate, with its settings, as in a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum AnyOptimizer {
    /// [`Sgd`].
    Sgd(Sgd),
    /// [`RmsProp`].
    RmsProp(RmsProp),
    /// [`Adam`].
    Adam(Adam),
    /// [`AdamW`].
    AdamW(AdamW),
    /// [`Adagrad`].
    Adagrad(Adagrad),
}

impl AnyOptimizer {
    /// The optimizer as a trait object.
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

/// Operands of an update.
#[derive(Clone, Copy, Debug)]
pub struct Flat<'a> {
    /// All parameters, a variable `f32[T]`.
    pub parameters: NodeId,
    /// Their gradients, `f32[T]`.
    pub gradients: NodeId,
    /// Range of each parameter in the flat buffers.
    pub ranges: &'a [Range<usize>],
    /// Per-range overrides (parameter groups); empty if there are none.
    pub groups: &'a [ParameterGroup],
    /// Optimizer states, variables `f32[T]`, in the order of [`Optimizer::states`].
    pub states: &'a [NodeId],
    /// Learning rate of each step, `f32[L]`; steps with a negative rate change nothing.
    pub rates: NodeId,
    /// Index of this step in `rates`, `u32[1]`.
    pub step: NodeId,
    /// Number of this update over the whole run, from 0, `u32[1]`.
    pub clock: NodeId,
}

/// Settings of a range of the flat parameters that differ from the optimizer's: a parameter group.
#[derive(Clone, PartialEq, Debug)]
pub struct ParameterGroup {
    /// Range of the flat parameters.
    pub range: Range<usize>,
    /// Factor of the learning rate.
    pub rate_factor: f32,
    /// Weight decay, if it differs from the optimizer's.
    pub weight_decay: Option<f32>,
}

/// An update rule for a range of the flat parameters.
#[derive(Clone, Debug)]
struct Ruled<R> {
    range: Range<usize>,
    rate_factor: f32,
    rule: R,
}

impl<R> Ruled<R> {
    /// The learning rate of a step; `None` if the step does not update.
    fn rate<T: Number>(&self, rates: &[T], step: f64) -> Option<f64> {
        let rate = rate(rates, step);
        // A NaN is kept, so that the fault is visible.
        if rate < 0.0 { None } else { Some(f64::from(self.rate_factor) * rate) }
    }

    /// Applies `rule` to each element of this range: from the inputs to the parts of `out`.
    fn each<T: Number, const I: usize, const O: usize>(
        &self,
        inputs: [&[T]; I],
        out: &mut [T],
        rule: impl Fn([f64; I]) -> [f64; O],
    ) {
        let (start, length) = (self.range.start, self.range.len());
        let mut parts = out.chunks_mut(inputs[0].len());
        let mut parts: [&mut [T]; O] =
            std::array::from_fn(|_| &mut parts.next().expect("one part per result")[start..][..length]);
        let inputs = inputs.map(|values| &values[start..][..length]);
        vectorized(|| {
            for i in 0..length {
                let new = rule(inputs.map(|values| values[i].into()));
                (0..O).for_each(|part| parts[part][i] = T::rounded(new[part]));
            }
        });
    }

    /// `dispatch` over this range, with `each` elements per invocation.
    fn dispatch(&self, dispatch: Dispatch, elements: usize) -> Dispatch {
        let count = self.range.len() / elements;
        dispatch
            .constants([("FIRST", self.range.start / elements), ("COUNT", count)])
            .constant("RATE_FACTOR", self.rate_factor)
            .invocations(count, 64)
    }
}

/// The candidates for the update by each rule in turn; a variant vectorized by four comes first if it exists and all
/// ranges are aligned.
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
    let aligned =
        rules.iter().all(|Ruled { range, .. }| range.start.is_multiple_of(4) && range.len().is_multiple_of(4));
    let by_fours = by_fours.filter(|_| aligned).map(|name| kernel(name, 4, Some("vec4<f32>")));
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

    /// The inputs in the order that [`updated`] checks.
    fn inputs(&self) -> Vec<NodeId> {
        let mut inputs = vec![self.parameters, self.gradients, self.rates, self.step];
        inputs.extend(self.states);
        inputs
    }

    /// [`Flat::inputs`] with the clock at the end, for rules that depend on the number of updates.
    fn inputs_and_clock(&self) -> Vec<NodeId> {
        let mut inputs = self.inputs();
        inputs.push(self.clock);
        inputs
    }
}

/// Shape rule of an update. Inputs: parameters, gradients, rates, step, `states` states, and the clock if `clocked`.
/// Output: the new parameters and states, concatenated.
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

/// Initializes the output of an update with the old values, for parameters without a rule.
fn keep<T: Copy>(out: &mut [T], values: &[&[T]]) {
    out.chunks_mut(values[0].len()).zip(values).for_each(|(new, old)| new.copy_from_slice(old));
}

/// The learning rate of a step; beyond the end of `rates` the last one.
fn rate<T: Number>(rates: &[T], step: f64) -> f64 {
    rates[(step as usize).min(rates.len() - 1)].into()
}

/// A float type: f64 of the reference, f32 of the CPU device. Rules are computed in f64.
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

/// The largest magnitude among parameters, gradients and states; see [`crate::graph::Op::error_scale`].
fn magnitude(inputs: &[View<'_>]) -> f64 {
    inputs.iter().take(2).chain(&inputs[4..]).map(View::magnitude).fold(0.0, f64::max)
}

/// Checks that a learning rate is finite and above 0.
fn check_rate(value: f32) -> Result<()> {
    match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(Error::option("learning rate", "a finite number above 0", value)),
    }
}
