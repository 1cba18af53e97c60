//! The number of a step over the whole run.
//!
//! **What**: `y = begun + step`: the steps before this epoch, which the host writes, and those of it, which the step
//! counts · **Shapes**: all `u32[1]` · **Gradient**: none · **For**: what must not begin anew with each epoch, such as
//! bias correction and dropout masks.

use crate::Result;
use crate::graph::{Graph, NodeId, Op};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::shader;
use crate::shape::TensorType;
use crate::tensor::View;

const CLOCK: Shader = shader!("clock");

impl Graph {
    /// The number of this step over the whole run, `begun + step`, counted from 0; it wraps at 2³².
    ///
    /// Errors: operands other than `u32[1]`.
    pub fn clock(&mut self, begun: NodeId, step: NodeId) -> Result<NodeId> {
        self.append(Clock, &[begun, step])
    }
}

#[derive(Debug)]
struct Clock;

impl Op for Clock {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let counter = TensorType::u32([1]);
        match inputs {
            [begun, step] if **begun == counter && **step == counter => Ok(counter),
            _ => Err(format!("takes the counters begun and step, both u32[1], found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        out[0] = (inputs[0].f64()[0] + inputs[1].f64()[0]) % 2f64.powi(32);
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        vec![Kernel::single(Dispatch::new(CLOCK).reads_inputs(2).writes(Operand::Output))]
    }
}
