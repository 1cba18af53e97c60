//! What the device can do at most: a loop of multiply-adds, and a copy.

use crate::graph::{Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::shader;
use crate::shape::TensorType;
use crate::tensor::View;

/// The most that a kernel can reach on a device, measured there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Multiply-adds count as two.
    pub gflops: f64,
    /// Read and written.
    pub gbytes_per_s: f64,
}

const MULTIPLY_ADD: Shader = shader!("peak_multiply_add");

/// Multiply-adds in each of the chains.
const ROUNDS: usize = 512;
const CHAINS: usize = 8;

/// `y[i] = Σ_j v_j`, where each of eight `v_j` begins as `x[i] + j` and becomes `0.75·v_j + x[i]` so many times.
#[derive(Debug)]
pub(super) struct MultiplyAdds;

impl Op for MultiplyAdds {
    fn name(&self) -> &'static str {
        "multiply_adds"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x] if x.shape.elements().is_multiple_of(4) => Ok((*x).clone()),
            _ => Err(format!("takes one input of a multiple of 4 elements, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        for (y, &x) in out.iter_mut().zip(inputs[0].f64()) {
            let chain = |j: usize| (0..ROUNDS).fold(x + j as f64, |v, _| 0.75 * v + x);
            *y = (0..CHAINS).map(chain).sum();
        }
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(MULTIPLY_ADD)
            .constant("ROUNDS", ROUNDS)
            .reads_inputs(1)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements() / 4, 64);
        vec![Kernel::single(dispatch)]
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        // The chains settle at 4·x.
        CHAINS as f64 * (4.0 * inputs[0].magnitude() + CHAINS as f64)
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let multiply_adds = (io.output.shape.elements() * CHAINS * ROUNDS) as u64;
        Traits { reduction: CHAINS, multiply_adds, ..Traits::default() }
    }
}
