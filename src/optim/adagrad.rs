//! Adagrad: divides each step by the root of the accumulated squared gradients.
//!
//! - **Formula**: with t the step from 0, `d = g + weight_decay·p`, `s ← s + d²`,
//!   `p ← p − rate / (1 + t·rate_decay) · d / (√(initial + s) + ε)`.
//! - **State**: `s`, one per parameter.
//! - **Source**: Duchi, Hazan & Singer 2011, in PyTorch's form.

use serde::{Deserialize, Serialize};

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::optim::{Flat, Number, Optimizer, Ruled, check_rate, in_range, keep, kernels, magnitude, updated};
use crate::shape::TensorType;
use crate::tensor::View;
use crate::{Result, shader};

const ADAGRAD: Shader = shader!("training/adagrad");

/// Adagrad with optional learning rate decay and weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adagrad {
    learning_rate: f32,
    rate_decay: f32,
    initial: f32,
    epsilon: f32,
    weight_decay: f32,
}

impl Adagrad {
    /// Adagrad with PyTorch's defaults: ε 1e-10, an initial accumulator of 0 and no learning rate decay.
    pub fn new(learning_rate: f32) -> Self {
        Self { learning_rate, rate_decay: 0.0, initial: 0.0, epsilon: 1e-10, weight_decay: 0.0 }
    }

    /// Learning rate decay: the learning rate is `rate / (1 + t·decay)` at step t, counted from 0.
    pub fn rate_decay(mut self, decay: f32) -> Self {
        self.rate_decay = decay;
        self
    }

    /// Initial value of the accumulated squares, at least 0.
    pub fn initial(mut self, initial: f32) -> Self {
        self.initial = initial;
        self
    }

    /// Epsilon, added to the root; above 0.
    pub fn epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Weight decay, added to the gradient as `decay·p`.
    pub fn weight_decay(mut self, decay: f32) -> Self {
        self.weight_decay = decay;
        self
    }
}

impl Optimizer for Adagrad {
    fn name(&self) -> &'static str {
        "adagrad"
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn states(&self) -> &'static [&'static str] {
        &["square_sum"]
    }

    fn check(&self) -> Result<()> {
        check_rate(self.learning_rate)?;
        in_range("rate decay", self.rate_decay, 0.0..f32::MAX)?;
        in_range("initial sum of squares", self.initial, 0.0..f32::MAX)?;
        in_range("epsilon", self.epsilon, f32::MIN_POSITIVE..f32::MAX)?;
        in_range("weight decay", self.weight_decay, 0.0..f32::MAX)
    }

    fn update(&self, graph: &mut Graph, values: Flat<'_>) -> Result<NodeId> {
        let rules = values.rules(graph, *self, Self::weight_decay)?;
        graph.append(AdagradUpdate(rules), &values.inputs_and_clock())
    }
}

/// The update by each parameter group's rule in turn; rules differ in range, learning rate and weight decay.
#[derive(Debug)]
struct AdagradUpdate(Vec<Ruled<Adagrad>>);

impl AdagradUpdate {
    fn update<T: Number>(&self, [p, g, rates, s]: [&[T]; 4], inputs: &[View<'_>], out: &mut [T]) {
        let [step, clock] = [3, 5].map(|i| inputs[i].f64()[0]);
        keep(out, &[p, s]);
        for ruled in &self.0 {
            let Adagrad { rate_decay, initial, epsilon, weight_decay, .. } = ruled.rule;
            let [rate_decay, initial, epsilon, decay] = [rate_decay, initial, epsilon, weight_decay].map(f64::from);
            let Some(rate) = ruled.rate(rates, step) else { continue };
            let rate = rate / (1.0 + clock * rate_decay);
            ruled.each([p, g, s], out, |[p, g, s]| {
                let d = g + decay * p;
                let new_s = s + d * d;
                [p - rate * d / ((initial + new_s).sqrt() + epsilon), new_s]
            });
        }
    }
}

impl Op for AdagradUpdate {
    fn name(&self) -> &'static str {
        "adagrad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        updated(inputs, 1, true)
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        self.update([0, 1, 2, 4].map(|i| inputs[i].f64()), inputs, out);
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        self.update([0, 1, 2, 4].map(|i| inputs[i].f32()), inputs, out);
        true
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        kernels(ADAGRAD, Some("adagrad_fours"), &self.0, |rule| {
            Dispatch::new(ADAGRAD)
                .constant("RATE_DECAY", rule.rate_decay)
                .constant("INITIAL", rule.initial)
                .constant("EPSILON", rule.epsilon)
                .constant("WEIGHT_DECAY", rule.weight_decay)
                .writes(Operand::Input(0))
                .reads([1, 2, 3].map(Operand::Input))
                .writes(Operand::Input(4))
                .reads([Operand::Input(5)])
        })
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        magnitude(inputs)
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { updates: &[0, 4], ..Traits::default() }
    }
}
