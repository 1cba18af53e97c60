//! Ten steps of an optimizer.

use std::ops::Range;

use lenslet::optim::{Adagrad, AdamRule, Clip, Clipped, Flat, Optimizer, RmsProp, Sgd};
use lenslet::{Device, Graph, NodeId, Result, Session, TensorType};
use serde_json::Value;

use crate::cases::{Case, Golden};
use crate::{compare, in_words};

/// The optimizer of a case with its options, or `None` if it is an operation.
pub fn optimizer(case: &Case) -> Option<Box<dyn Optimizer>> {
    let settings = || case.options.0.as_object().expect("options").iter().filter(|(key, _)| is_setting(key));
    let rate = || case.options.float("lr");
    let rule: Box<dyn Optimizer> = match case.op.as_str() {
        "sgd" => Box::new(settings().fold(Sgd::new(rate()), |rule, (key, value)| match key.as_str() {
            "momentum" => rule.momentum(number(value)),
            "dampening" => rule.dampening(number(value)),
            "nesterov" => rule.nesterov(flag(value)),
            "weight_decay" => rule.weight_decay(number(value)),
            _ => unknown(case, key),
        })),
        "rmsprop" => Box::new(settings().fold(RmsProp::new(rate()), |rule, (key, value)| match key.as_str() {
            "alpha" => rule.alpha(number(value)),
            "eps" => rule.epsilon(number(value)),
            "momentum" => rule.momentum(number(value)),
            "weight_decay" => rule.weight_decay(number(value)),
            "centered" => rule.centered(flag(value)),
            "epsilon_inside" => rule.epsilon_inside(flag(value)),
            _ => unknown(case, key),
        })),
        "adam" => Box::new(adam::<false>(case)),
        "adamw" => Box::new(adam::<true>(case)),
        "adagrad" => Box::new(settings().fold(Adagrad::new(rate()), |rule, (key, value)| match key.as_str() {
            "lr_decay" => rule.rate_decay(number(value)),
            "initial_accumulator_value" => rule.initial(number(value)),
            "eps" => rule.epsilon(number(value)),
            "weight_decay" => rule.weight_decay(number(value)),
            _ => unknown(case, key),
        })),
        _ => return None,
    };
    let clip = || case.options.text("clip").parse::<Clip>().expect("a rule of clipping");
    Some(if case.options.has("clip") { Box::new(Clipped::boxed(rule, clip())) } else { rule })
}

fn adam<const DECOUPLED: bool>(case: &Case) -> AdamRule<DECOUPLED> {
    let settings = case.options.0.as_object().expect("options").iter().filter(|(key, _)| is_setting(key));
    settings.fold(AdamRule::new(case.options.float("lr")), |rule, (key, value)| match key.as_str() {
        "betas" => rule.betas(number(&value[0]), number(&value[1])),
        "eps" => rule.epsilon(number(value)),
        "weight_decay" => rule.weight_decay(number(value)),
        _ => unknown(case, key),
    })
}

/// Whether an option is the rule's: not the rate, which all have, nor what happens before the rule.
fn is_setting(key: &str) -> bool {
    !["lr", "clip", "ranges"].contains(&key)
}

fn number(value: &Value) -> f32 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number")) as f32
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| panic!("{value} is no flag"))
}

fn unknown(case: &Case, key: &str) -> ! {
    panic!("case {}: {} has no option {key}: name it in tests/golden/trajectory.rs", case.number, case.op)
}

/// One update as a graph.
pub struct Update {
    pub graph: Graph,
    parameters: NodeId,
    gradients: NodeId,
    rates: NodeId,
    step: NodeId,
    clock: NodeId,
}

impl Update {
    pub fn of(case: &Case, rule: &dyn Optimizer) -> Result<Self> {
        rule.check()?;
        let flat = TensorType::f32(case.inputs[0].shape.clone());
        let mut graph = Graph::new();
        let parameters = graph.variable("parameters", flat.clone())?;
        let gradients = graph.input("gradients", flat.clone())?;
        let rates = graph.input("rates", TensorType::f32([1]))?;
        let step = graph.variable("step", TensorType::u32([1]))?;
        let state = |name: &&str| graph.variable(name, flat.clone());
        let states = rule.states().iter().map(state).collect::<Result<Vec<_>>>()?;
        let clock = graph.variable("clock", TensorType::u32([1]))?;
        let ranges = ranges(&case.options.sizes("ranges"));
        let values = Flat { parameters, gradients, ranges: &ranges, groups: &[], states: &states, rates, step, clock };
        rule.update(&mut graph, values)?;
        Ok(Self { graph, parameters, gradients, rates, step, clock })
    }

    /// The parameters after each of ten steps.
    fn run(&self, case: &Case, rate: f32, device: &Device) -> Result<Vec<Vec<f32>>> {
        let uses_clock = self.graph.ids().any(|id| self.graph.node(id).inputs().contains(&self.clock));
        let mut session = Session::new(device, &self.graph)?;
        session.write(self.parameters, case.of_step(0).as_slice())?;
        session.write(self.rates, [rate].as_slice())?;
        let mut step = |number: u32| {
            session.write(self.step, [number].as_slice())?;
            if uses_clock {
                session.write(self.clock, [number].as_slice())?;
            }
            session.write(self.gradients, case.of_step(1 + number as usize).as_slice())?;
            session.run(1);
            session.read(self.parameters)
        };
        (0..10).map(&mut step).collect()
    }
}

/// Where parameters of these lengths lie one behind the other.
fn ranges(lengths: &[usize]) -> Vec<Range<usize>> {
    let mut end = 0;
    let mut next = |length: &usize| {
        end += length;
        end - length..end
    };
    lengths.iter().map(&mut next).collect()
}

/// The steps of the case on a device; each may err by 1e-6 of the largest parameter.
pub fn check(case: &Case, rule: &dyn Optimizer, golden: &Golden, device: &Device) -> Result<(), String> {
    let update = Update::of(case, rule).map_err(in_words)?;
    let steps = update.run(case, rule.learning_rate(), device).map_err(in_words)?;
    let want = golden.of(case, "y").chunks(case.inputs[0].shape[0]);
    for (number, (got, want)) in steps.iter().zip(want).enumerate() {
        let got: Vec<f64> = got.iter().map(|&v| f64::from(v)).collect();
        let largest = want.iter().fold(0.0, |m: f64, v| m.max(f64::from(v.abs())));
        compare(&got, want, 1e-6 * largest).map_err(|e| format!("step {} on {}: {e}", number + 1, device.name()))?;
    }
    Ok(())
}
