//! Peak performance of a device: a loop of multiply-adds, and a copy.

use crate::check::cases::{Case, case};
use crate::graph::{Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::shader;
use crate::shape::TensorType;
use crate::tensor::View;

/// The measured peak performance of a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Arithmetic throughput in GFLOP/s; a multiply-add counts as two.
    pub gflops: f64,
    /// Memory bandwidth in GB/s, reads plus writes.
    pub gbytes_per_s: f64,
}

const MULTIPLY_ADD: Shader = shader!("bench/peak_multiply_add");
const COPY: Shader = shader!("bench/peak_copy");

/// Multiply-adds per chain.
const ROUNDS: usize = 512;
const CHAINS: usize = 8;

/// The cases timed by [`crate::bench::Bench::peak`]: a loop of multiply-adds, and a copy. Both are several times larger
/// than the number of concurrent invocations of the largest GPU. On a software device the loop takes a tenth of a
/// second.
pub fn peak_cases(software: bool) -> [Case; 2] {
    let numbers = if software { 1 << 20 } else { 1 << 23 };
    [
        case("multiply-adds", &[&[numbers]], |g, i| g.append(MultiplyAdds, i)).forward_only(),
        case("copy", &[&[1 << 24]], |g, i| g.append(Copy, i)).forward_only(),
    ]
}

/// `y[i] = Σ_j v_j`, where each of eight `v_j` starts as `x[i] + j` and is updated by `v_j = 0.75·v_j + x[i]`
/// `ROUNDS` times.
#[derive(Debug)]
struct MultiplyAdds;

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
        // In closed form, each round reduces the distance from 4·x to three quarters.
        let left = 0.75f64.powi(ROUNDS as i32);
        for (y, &x) in out.iter_mut().zip(inputs[0].f64()) {
            *y = (0..CHAINS).map(|j| 4.0 * x + (x + j as f64 - 4.0 * x) * left).sum();
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
        // The chains converge to 4·x.
        CHAINS as f64 * (4.0 * inputs[0].magnitude() + CHAINS as f64)
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let multiply_adds = (io.output.shape.elements() * CHAINS * ROUNDS) as u64;
        Traits { reduction: CHAINS, multiply_adds, ..Traits::default() }
    }
}

/// `y = x`, four elements at a time.
#[derive(Debug)]
struct Copy;

impl Op for Copy {
    fn name(&self) -> &'static str {
        "copy_peak"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        MultiplyAdds.infer(inputs)
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        out.copy_from_slice(inputs[0].f64());
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let dispatch = Dispatch::new(COPY).reads_inputs(1).writes(Operand::Output);
        vec![Kernel::single(dispatch.invocations(io.output.shape.elements() / 4, 64))]
    }
}
