//! Adam and AdamW: divide a running mean of the gradients by the root of a running mean of their squares.
//!
//! - **Formula**: with t the step from 1, `d = g + weight_decay·p` (AdamW: `d = g`, `p ← p − rate·weight_decay·p`),
//!   `m ← β₁·m + (1 − β₁)·d`, `v ← β₂·v + (1 − β₂)·d²`, `p ← p − rate / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)`.
//! - **State**: `m` and `v`, one each per parameter.
//! - **Source**: Kingma & Ba 2015 (arXiv:1412.6980), Loshchilov & Hutter 2019 (arXiv:1711.05101), in PyTorch's form.

use serde::{Deserialize, Serialize};

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::optim::{Flat, Number, Optimizer, Ruled, check_rate, in_range, keep, kernels, magnitude, updated};
use crate::shape::TensorType;
use crate::tensor::View;
use crate::{Result, shader};

const ADAM: Shader = shader!("training/adam");

/// Adam, with weight decay as a part of the gradient.
pub type Adam = AdamRule<false>;

/// AdamW, with decoupled weight decay, 0.01 by default.
pub type AdamW = AdamRule<true>;

/// The common implementation of [`Adam`] and [`AdamW`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamRule<const DECOUPLED: bool> {
    learning_rate: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    weight_decay: f32,
}

impl<const DECOUPLED: bool> AdamRule<DECOUPLED> {
    /// The rule with PyTorch's defaults: β₁ 0.9, β₂ 0.999 and ε 1e-8.
    pub fn new(learning_rate: f32) -> Self {
        let weight_decay = if DECOUPLED { 0.01 } else { 0.0 };
        Self { learning_rate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay }
    }

    /// Decay rates of the running means of gradients and of squared gradients, `[0, 1)`.
    pub fn betas(mut self, beta1: f32, beta2: f32) -> Self {
        (self.beta1, self.beta2) = (beta1, beta2);
        self
    }

    /// Epsilon, added to the root; above 0.
    pub fn epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Weight decay: added to the gradient (Adam), or applied to the parameters at the learning rate (AdamW).
    pub fn weight_decay(mut self, decay: f32) -> Self {
        self.weight_decay = decay;
        self
    }
}

impl<const DECOUPLED: bool> Optimizer for AdamRule<DECOUPLED> {
    fn name(&self) -> &'static str {
        if DECOUPLED { "adamw" } else { "adam" }
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn states(&self) -> &'static [&'static str] {
        &["mean", "square_mean"]
    }

    fn check(&self) -> Result<()> {
        check_rate(self.learning_rate)?;
        in_range("beta1", self.beta1, 0.0..1.0)?;
        in_range("beta2", self.beta2, 0.0..1.0)?;
        in_range("epsilon", self.epsilon, f32::MIN_POSITIVE..f32::MAX)?;
        in_range("weight decay", self.weight_decay, 0.0..f32::MAX)
    }

    fn update(&self, graph: &mut Graph, values: Flat<'_>) -> Result<NodeId> {
        let rules = values.rules(graph, *self, Self::weight_decay)?;
        graph.append(AdamUpdate(rules), &values.inputs_and_clock())
    }
}

/// The update by each parameter group's rule in turn; rules differ in range, learning rate and weight decay.
#[derive(Debug)]
struct AdamUpdate<const DECOUPLED: bool>(Vec<Ruled<AdamRule<DECOUPLED>>>);

impl<const DECOUPLED: bool> AdamUpdate<DECOUPLED> {
    fn update<T: Number>(&self, [p, g, rates, m, v]: [&[T]; 5], inputs: &[View<'_>], out: &mut [T]) {
        let [step, clock] = [3, 6].map(|i| inputs[i].f64()[0]);
        keep(out, &[p, m, v]);
        for ruled in &self.0 {
            let AdamRule { beta1, beta2, epsilon, weight_decay, .. } = ruled.rule;
            let [beta1, beta2, epsilon, decay] = [beta1, beta2, epsilon, weight_decay].map(f64::from);
            let Some(rate) = ruled.rate(rates, step) else { continue };
            let [share1, share2] = [beta1, beta2].map(|beta| 1.0 - beta.powf(clock + 1.0));
            let (in_gradient, shrink) = if DECOUPLED { (0.0, rate * decay) } else { (decay, 0.0) };
            ruled.each([p, g, m, v], out, |[p, g, m, v]| {
                let d = g + in_gradient * p;
                let new_m = beta1 * m + (1.0 - beta1) * d;
                let new_v = beta2 * v + (1.0 - beta2) * d * d;
                let root = new_v.sqrt() / share2.sqrt() + epsilon;
                [p - shrink * p - rate / share1 * new_m / root, new_m, new_v]
            });
        }
    }
}

impl<const DECOUPLED: bool> Op for AdamUpdate<DECOUPLED> {
    fn name(&self) -> &'static str {
        if DECOUPLED { "adamw" } else { "adam" }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        updated(inputs, 2, true)
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        self.update([0, 1, 2, 4, 5].map(|i| inputs[i].f64()), inputs, out);
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        self.update([0, 1, 2, 4, 5].map(|i| inputs[i].f32()), inputs, out);
        true
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        // Computed in f64 and rounded once: 1 − β and ln β lose most of their digits in f32.
        let rest = |beta: f32| (1.0 - f64::from(beta)) as f32;
        let ln = |beta: f32| f64::from(beta).ln().max(-1e3) as f32;
        kernels(ADAM, Some("adam_fours"), &self.0, |rule| {
            Dispatch::new(ADAM)
                .constant("BETA1", rule.beta1)
                .constant("BETA2", rule.beta2)
                .constant("REST1", rest(rule.beta1))
                .constant("REST2", rest(rule.beta2))
                .constant("LN_BETA1", ln(rule.beta1))
                .constant("LN_BETA2", ln(rule.beta2))
                .constant("EPSILON", rule.epsilon)
                .constant("WEIGHT_DECAY", rule.weight_decay)
                .constant("DECOUPLED", DECOUPLED)
                .writes(Operand::Input(0))
                .reads([1, 2, 3].map(Operand::Input))
                .writes(Operand::Input(4))
                .writes(Operand::Input(5))
                .reads([Operand::Input(6)])
        })
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        magnitude(inputs)
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { updates: &[0, 4, 5], ..Traits::default() }
    }
}
