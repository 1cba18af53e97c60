//! Gradient accumulation over micro-batches, on the GPU.
//!
//! - **Formula**: `y[i] = sum[i] + shares[step]·x[i]`, without `sum` in the first of every `every` steps; beyond the
//!   end of `shares` its last element is used.
//! - **Shapes**: sum, x and y f32 of one shape; shares `f32[L]`, step `u32[1]`.
//! - **Gradient**: none.
//! - **Cost**: one pass over memory, and one more to store y: [`Graph::store`] replaces a variable by a value.

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::layout::copy::copy_dispatch;
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

const ACCUMULATE: Shader = shader!("training/accumulate");

impl Graph {
    /// Adds this step's weighted `x` to `sum`; starts a new sum in steps 0, `every`, 2·`every`, and so on. See
    /// [`crate::ops::training::accumulate`].
    ///
    /// Errors: `sum` and `x` that are not f32 of one shape; `every` of 0 or above 32 bits.
    pub fn accumulate(&mut self, sum: NodeId, x: NodeId, shares: NodeId, step: NodeId, every: usize) -> Result<NodeId> {
        self.append(Accumulate { every }, &[sum, x, shares, step])
    }

    /// Replaces a variable by a value of its type, after every reader of the variable.
    ///
    /// Errors: a value of another type; u8.
    pub fn store(&mut self, variable: NodeId, value: NodeId) -> Result<NodeId> {
        self.append(Store, &[variable, value])
    }
}

#[derive(Debug)]
struct Accumulate {
    every: usize,
}

impl Op for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            _ if self.every == 0 || u32::try_from(self.every).is_err() => {
                Err(format!("every must be 1 to {} steps, is {}", u32::MAX, self.every))
            }
            [sum, x, shares, step]
                if sum.dtype == DType::F32
                    && sum == x
                    && shares.dtype == DType::F32
                    && shares.shape.len() == 1
                    && **step == TensorType::u32([1]) =>
            {
                Ok((*sum).clone())
            }
            _ => Err(format!("takes a sum and x, f32 of one shape, shares f32[L] and step u32[1], found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let [sum, x, shares, step] = [0, 1, 2, 3].map(|i| inputs[i].f64());
        let step = step[0] as usize;
        let share = shares[step.min(shares.len() - 1)];
        let begins = step.is_multiple_of(self.every);
        for ((y, sum), x) in out.iter_mut().zip(sum).zip(x) {
            *y = share * x + if begins { 0.0 } else { *sum };
        }
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(ACCUMULATE)
            .constant("EVERY", self.every)
            .reads_inputs(4)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        inputs[0].magnitude().max(inputs[1].magnitude() * inputs[2].magnitude())
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { reduction: 2, ..Traits::default() }
    }
}

#[derive(Debug)]
struct Store;

impl Op for Store {
    fn name(&self) -> &'static str {
        "store"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [variable, value] if variable == value && value.dtype != DType::U8 => Ok((*value).clone()),
            _ => Err(format!("takes a variable and a value of its type, f32 or u32, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        out.copy_from_slice(inputs[1].f64());
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let copy = copy_dispatch(io.output.shape.elements());
        let operand = |operand| if operand == Operand::Output { Operand::Input(0) } else { Operand::Input(1) };
        vec![Kernel::single(copy.with_operands(operand))]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { updates: &[0], ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_and_types_are_checked() {
        let mut graph = Graph::new();
        let [sum, x] = ["sum", "x"].map(|name| graph.variable(name, TensorType::f32([3])).unwrap());
        let shares = graph.input("shares", TensorType::f32([4])).unwrap();
        let step = graph.input("step", TensorType::u32([1])).unwrap();
        assert!(graph.accumulate(sum, x, shares, step, 2).is_ok());
        let error = graph.accumulate(sum, x, shares, step, 0).unwrap_err().to_string();
        assert!(error.contains("every must be 1 to 4294967295 steps, is 0"), "{error}");
        let error = graph.store(sum, shares).unwrap_err().to_string();
        assert!(error.contains("a value of its type"), "{error}");
    }

    #[test]
    fn the_first_step_of_a_group_starts_a_new_sum() {
        let (row, shares, counter) = ([2].into(), [3].into(), [1].into());
        let (sum, x) = (View::new(&row, &[f64::NAN, 8.0]), View::new(&row, &[2.0, 4.0]));
        let at = |step: f64| {
            let mut out = [0.0; 2];
            let shares = View::new(&shares, &[0.5, 0.25, 1.0]);
            Accumulate { every: 2 }.eval(&[sum, x, shares, View::new(&counter, &[step])], &mut out);
            out
        };
        assert_eq!(at(0.0), [1.0, 2.0]);
        assert!(at(1.0)[0].is_nan() && at(1.0)[1] == 9.0);
        assert_eq!(at(4.0), [2.0, 4.0]);
    }
}
