//! Stochastic gradient descent.
//!
//! - **Formula**: `d = g + weight_decay·p`, `v ← momentum·v + (1 − dampening)·d`, but `v ← d` in the first step,
//!   `p ← p − rate·v`. With Nesterov momentum, which excludes dampening, `p ← p − rate·(d + momentum·v)`.
//! - **State**: `v`, one per parameter.
//! - **Source**: Sutskever et al. 2013, in PyTorch's form (the learning rate outside the velocity).

use serde::{Deserialize, Serialize};

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::optim::{Flat, Number, Optimizer, Ruled, check_rate, in_range, keep, kernels, magnitude, updated};
use crate::shape::TensorType;
use crate::tensor::View;
use crate::{Result, shader};

const SGD: Shader = shader!("training/sgd");
const DAMPENING: Shader = shader!("training/sgd_dampening");

/// Stochastic gradient descent with optional momentum, Nesterov momentum, dampening and weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sgd {
    learning_rate: f32,
    momentum: f32,
    nesterov: bool,
    #[serde(default)]
    dampening: f32,
    weight_decay: f32,
}

impl Sgd {
    /// Gradient descent without momentum.
    pub fn new(learning_rate: f32) -> Self {
        Self { learning_rate, momentum: 0.0, nesterov: false, dampening: 0.0, weight_decay: 0.0 }
    }

    /// Momentum coefficient, `[0, 1)`.
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }

    /// Whether to use Nesterov momentum.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }

    /// Dampening: the part of each gradient but the first that is left out of the velocity, `[0, 1]`.
    pub fn dampening(mut self, dampening: f32) -> Self {
        self.dampening = dampening;
        self
    }

    /// Weight decay, added to the gradient as `decay·p`.
    pub fn weight_decay(mut self, decay: f32) -> Self {
        self.weight_decay = decay;
        self
    }
}

impl Optimizer for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn states(&self) -> &'static [&'static str] {
        &["velocity"]
    }

    fn check(&self) -> Result<()> {
        check_rate(self.learning_rate)?;
        in_range("momentum", self.momentum, 0.0..1.0)?;
        in_range("weight decay", self.weight_decay, 0.0..f32::MAX)?;
        in_range("dampening", self.dampening, 0.0..1.0f32.next_up())?;
        match self.nesterov {
            true if self.momentum == 0.0 => {
                Err(crate::Error::option("momentum", "more than 0 with Nesterov", self.momentum))
            }
            true if self.dampening != 0.0 => Err(crate::Error::option("dampening", "0 with Nesterov", self.dampening)),
            _ => Ok(()),
        }
    }

    fn update(&self, graph: &mut Graph, values: Flat<'_>) -> Result<NodeId> {
        let inputs = if self.dampening == 0.0 { values.inputs() } else { values.inputs_and_clock() };
        let rules = values.rules(graph, *self, Self::weight_decay)?;
        graph.append(SgdUpdate(rules), &inputs)
    }
}

/// The update by each parameter group's rule in turn; rules differ in range, learning rate and weight decay.
#[derive(Debug)]
struct SgdUpdate(Vec<Ruled<Sgd>>);

impl SgdUpdate {
    fn dampened(&self) -> bool {
        self.0.iter().any(|ruled| ruled.rule.dampening != 0.0)
    }

    fn update<T: Number>(&self, [p, g, rates, v]: [&[T]; 4], inputs: &[View<'_>], out: &mut [T]) {
        let first = inputs.get(5).is_some_and(|clock| clock.f64()[0] == 0.0);
        keep(out, &[p, v]);
        for ruled in &self.0 {
            let Sgd { momentum, dampening, weight_decay, nesterov, .. } = ruled.rule;
            let [momentum, dampening, decay] = [momentum, dampening, weight_decay].map(f64::from);
            let (kept, entering) = if first { (0.0, 1.0) } else { (momentum, 1.0 - dampening) };
            let Some(rate) = ruled.rate(rates, inputs[3].f64()[0]) else { continue };
            ruled.each([p, g, v], out, |[p, g, v]| {
                let d = g + decay * p;
                let new_v = kept * v + entering * d;
                let direction = if nesterov { d + momentum * new_v } else { new_v };
                [p - rate * direction, new_v]
            });
        }
    }
}

impl Op for SgdUpdate {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        updated(inputs, 1, self.dampened())
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        self.update([0, 1, 2, 4].map(|i| inputs[i].f64()), inputs, out);
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        self.update([0, 1, 2, 4].map(|i| inputs[i].f32()), inputs, out);
        true
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dampened = self.dampened();
        let (shader, by_fours) = if dampened { (DAMPENING, "sgd_dampening_fours") } else { (SGD, "sgd_fours") };
        kernels(shader, Some(by_fours), &self.0, |rule| {
            let dispatch = Dispatch::new(shader)
                .constant("MOMENTUM", rule.momentum)
                .constant("WEIGHT_DECAY", rule.weight_decay)
                .writes(Operand::Input(0))
                .reads([1, 2, 3].map(Operand::Input))
                .writes(Operand::Input(4));
            match dampened {
                true => dispatch.constant("REST", 1.0 - rule.dampening).reads([Operand::Input(5)]),
                false => dispatch.constant("NESTEROV", rule.nesterov),
            }
        })
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        magnitude(inputs)
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { updates: &[0, 4], ..Traits::default() }
    }
}
