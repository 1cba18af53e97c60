//! Counter of steps, or of optimizer updates that several micro-batches share, over the whole run.
//!
//! - **Formula**: `y = begun + step / every`, rounded down: the count before this epoch, which the host writes, plus
//!   the steps of this epoch, which the step counts.
//! - **Shapes**: all `u32[1]`.
//! - **Gradient**: none.
//! - **Use**: state that must not restart with each epoch, such as bias correction and dropout masks.

use std::fmt;

use crate::Result;
use crate::graph::{Graph, NodeId, Op};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::shader;
use crate::shape::TensorType;
use crate::tensor::View;

const CLOCK: Shader = shader!("training/clock");

impl Graph {
    /// The number of this step over the whole run, `begun + step`, counted from 0; wraps at 2³².
    ///
    /// Errors: operands that are not `u32[1]`.
    pub fn clock(&mut self, begun: NodeId, step: NodeId) -> Result<NodeId> {
        self.append(Clock { every: 1 }, &[begun, step])
    }

    /// The number of this update over the whole run, where `every` steps share one: `begun + step / every`.
    ///
    /// Errors: operands that are not `u32[1]`; `every` of 0 or above 32 bits.
    pub fn update_clock(&mut self, begun: NodeId, step: NodeId, every: usize) -> Result<NodeId> {
        self.append(Clock { every }, &[begun, step])
    }
}

struct Clock {
    every: usize,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.every {
            1 => f.write_str("Clock"),
            every => f.debug_struct("Clock").field("every", &every).finish(),
        }
    }
}

impl Op for Clock {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let counter = TensorType::u32([1]);
        match inputs {
            _ if self.every == 0 || u32::try_from(self.every).is_err() => {
                Err(format!("every must be 1 to {} steps, is {}", u32::MAX, self.every))
            }
            [begun, step] if **begun == counter && **step == counter => Ok(counter),
            _ => Err(format!("takes the counters begun and step, both u32[1], found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        out[0] = (inputs[0].f64()[0] + (inputs[1].f64()[0] / self.every as f64).floor()) % 2f64.powi(32);
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        vec![Kernel::single(Dispatch::new(CLOCK).constant("EVERY", self.every).reads_inputs(2).writes(Operand::Output))]
    }
}
