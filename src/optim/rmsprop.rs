//! RMSprop: divides each step by the root of a running mean of the squared gradients.
//!
//! - **Formula**: `d = g + weight_decay·p`, `s ← α·s + (1 − α)·d²`, `v ← momentum·v + d / (√s + ε)`, `p ← p − rate·v`.
//!   Centered: also `m ← α·m + (1 − α)·d`, and the root is that of the variance `s − m²`. With ε inside the root:
//!   `√(s + ε)`.
//! - **State**: `s` and `v`, centered also `m`, one each per parameter.
//! - **Source**: Tieleman & Hinton 2012, lecture 6.5, in PyTorch's form; Graves 2013 (arXiv:1308.0850), section 4.2,
//!   centered; ε inside the root as in Keras.

use serde::{Deserialize, Serialize};

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::optim::{Flat, Number, Optimizer, Ruled, check_rate, in_range, keep, kernels, magnitude, updated};
use crate::shape::TensorType;
use crate::tensor::View;
use crate::{Result, shader};

const RMSPROP: Shader = shader!("training/rmsprop");
const CENTERED: Shader = shader!("training/rmsprop_centered");

/// RMSprop with momentum and weight decay, plain or centered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RmsProp {
    learning_rate: f32,
    alpha: f32,
    epsilon: f32,
    momentum: f32,
    weight_decay: f32,
    #[serde(default)]
    centered: bool,
    #[serde(default)]
    epsilon_inside: bool,
}

impl RmsProp {
    /// RMSprop with Keras' defaults, α 0.9 and ε 1e-7; PyTorch's are 0.99 and 1e-8.
    pub fn new(learning_rate: f32) -> Self {
        Self {
            learning_rate,
            alpha: 0.9,
            epsilon: 1e-7,
            momentum: 0.0,
            weight_decay: 0.0,
            centered: false,
            epsilon_inside: false,
        }
    }

    /// Decay rate α of the running means, `[0, 1)`.
    pub fn alpha(mut self, alpha: f32) -> Self {
        self.alpha = alpha;
        self
    }

    /// Epsilon, added to the root; above 0.
    pub fn epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Momentum coefficient, `[0, 1)`.
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }

    /// Weight decay, added to the gradient as `decay·p`.
    pub fn weight_decay(mut self, decay: f32) -> Self {
        self.weight_decay = decay;
        self
    }

    /// Whether to divide by the standard deviation of the gradients instead of their root mean square.
    pub fn centered(mut self, centered: bool) -> Self {
        self.centered = centered;
        self
    }

    /// Whether to add ε inside the root, as Keras, instead of to the root, as PyTorch.
    pub fn epsilon_inside(mut self, inside: bool) -> Self {
        self.epsilon_inside = inside;
        self
    }
}

impl Optimizer for RmsProp {
    fn name(&self) -> &'static str {
        "rmsprop"
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn states(&self) -> &'static [&'static str] {
        if self.centered { &["square_mean", "velocity", "mean"] } else { &["square_mean", "velocity"] }
    }

    fn check(&self) -> Result<()> {
        check_rate(self.learning_rate)?;
        in_range("alpha", self.alpha, 0.0..1.0)?;
        in_range("epsilon", self.epsilon, f32::MIN_POSITIVE..f32::MAX)?;
        in_range("momentum", self.momentum, 0.0..1.0)?;
        in_range("weight decay", self.weight_decay, 0.0..f32::MAX)
    }

    fn update(&self, graph: &mut Graph, values: Flat<'_>) -> Result<NodeId> {
        let rules = values.rules(graph, *self, Self::weight_decay)?;
        graph.append(RmsPropUpdate(rules, *self), &values.inputs())
    }
}

/// The update by each parameter group's rule in turn; rules differ in range, learning rate and weight decay. The second
/// field has the common settings.
#[derive(Debug)]
struct RmsPropUpdate(Vec<Ruled<RmsProp>>, RmsProp);

impl RmsPropUpdate {
    /// `mean` is the running mean of the gradients, if the rule is centered.
    fn update<T: Number>(&self, [p, g, rates, s, v]: [&[T]; 5], mean: Option<&[T]>, step: f64, out: &mut [T]) {
        match mean {
            Some(m) => keep(out, &[p, s, v, m]),
            None => keep(out, &[p, s, v]),
        }
        for ruled in &self.0 {
            let RmsProp { alpha, epsilon, momentum, weight_decay, epsilon_inside, .. } = ruled.rule;
            let [alpha, epsilon, momentum, decay] = [alpha, epsilon, momentum, weight_decay].map(f64::from);
            let Some(rate) = ruled.rate(rates, step) else { continue };
            let (inside, outside) = if epsilon_inside { (epsilon, 0.0) } else { (0.0, epsilon) };
            let root = |square: f64| (square + inside).sqrt() + outside;
            match mean {
                Some(m) => ruled.each([p, g, s, v, m], out, |[p, g, s, v, m]| {
                    let d = g + decay * p;
                    let new_s = alpha * s + (1.0 - alpha) * d * d;
                    let new_m = alpha * m + (1.0 - alpha) * d;
                    let variance = new_s - new_m * new_m;
                    let new_v = momentum * v + d / root(if variance < 0.0 { 0.0 } else { variance });
                    [p - rate * new_v, new_s, new_v, new_m]
                }),
                None => ruled.each([p, g, s, v], out, |[p, g, s, v]| {
                    let d = g + decay * p;
                    let new_s = alpha * s + (1.0 - alpha) * d * d;
                    let new_v = momentum * v + d / root(new_s);
                    [p - rate * new_v, new_s, new_v]
                }),
            }
        }
    }
}

impl Op for RmsPropUpdate {
    fn name(&self) -> &'static str {
        "rmsprop"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        updated(inputs, self.1.states().len(), false)
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let mean = inputs.get(6).map(View::f64);
        self.update([0, 1, 2, 4, 5].map(|i| inputs[i].f64()), mean, inputs[3].f64()[0], out);
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let mean = inputs.get(6).map(View::f32);
        self.update([0, 1, 2, 4, 5].map(|i| inputs[i].f32()), mean, inputs[3].f64()[0], out);
        true
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let RmsProp { centered, epsilon_inside, .. } = self.1;
        let (shader, by_fours) = if centered { (CENTERED, None) } else { (RMSPROP, Some("rmsprop_fours")) };
        kernels(shader, by_fours, &self.0, |rule| {
            let mut dispatch = Dispatch::new(shader)
                .constant("ALPHA", rule.alpha)
                .constant("EPSILON", rule.epsilon)
                .constant("MOMENTUM", rule.momentum)
                .constant("WEIGHT_DECAY", rule.weight_decay)
                .writes(Operand::Input(0))
                .reads([1, 2, 3].map(Operand::Input))
                .writes(Operand::Input(4))
                .writes(Operand::Input(5));
            if centered {
                dispatch = dispatch.writes(Operand::Input(6));
            }
            if epsilon_inside {
                dispatch = dispatch.function("denominator", "sqrt(variance + EPSILON)");
            }
            dispatch
        })
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        magnitude(inputs)
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        let updates: &[usize] = if self.1.centered { &[0, 4, 5, 6] } else { &[0, 4, 5] };
        Traits { updates, ..Traits::default() }
    }
}
