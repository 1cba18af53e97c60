//! Standardization by constants: subtracts a mean and divides by a standard deviation.
//!
//! - **Formula**: `y = (x − mean[c]) / std[c]`.
//! - **Shapes**: x any; one mean and standard deviation for all elements, or one per channel of x `[N, C, …]`. f32.
//! - **Gradient**: `dx = dy / std[c]`.
//! - **Cost**: one pass over memory, or none where a convolution computes it as it reads.

use std::ops::RangeInclusive;

use rayon::prelude::*;

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::loops::simd::vectorized;
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Error, Result, Tensor, shader};

const NORMALIZE: Shader = shader!("normalization/normalize");

/// Valid standard deviations: neither they nor their reciprocals are denormal.
const STD_RANGE: RangeInclusive<f32> = 1e-37..=1e37;

impl Graph {
    /// Standardization `(x − mean) / deviation` with one mean and standard deviation for all of `x`, or one per channel
    /// of `[N, C, …]`, as Keras' `Normalization` and torchvision's `Normalize`.
    ///
    /// Errors: lengths other than 1 and C; a mean that is not finite; a standard deviation outside 1e-37 to 1e37.
    pub fn normalize(&mut self, x: NodeId, mean: &[f32], deviation: &[f32]) -> Result<NodeId> {
        let channels = self.shape(x).get(1).copied().unwrap_or(1);
        for (name, numbers) in [("mean", mean), ("deviation", deviation)] {
            if ![1, channels].contains(&numbers.len()) {
                let each = if channels > 1 { format!(", or {channels}, one for each channel") } else { String::new() };
                return Err(Error::option(name, format!("1 number for all channels{each}"), numbers.len()));
            }
        }
        if let Some(number) = mean.iter().find(|number| !number.is_finite()) {
            return Err(Error::option("mean", "finite numbers", number));
        }
        if let Some(number) = deviation.iter().find(|number| !STD_RANGE.contains(number)) {
            return Err(Error::option("deviation", "numbers above 0, from 1e-37 to 1e37", number));
        }
        let length = mean.len().max(deviation.len());
        let of = |numbers: &[f32], c: usize| numbers[c % numbers.len()];
        let moments =
            Tensor::from_fn([2, length], |i| if i < length { of(mean, i) } else { of(deviation, i - length) });
        let op = Normalize { mean: mean.into(), deviation: deviation.into() };
        let moments = self.constant("moments", moments)?;
        self.append(op, &[x, moments])
    }
}

/// Standardization. Inputs x, and for the kernels the moments `[2, channels]`: means, then standard deviations.
#[derive(Debug)]
struct Normalize {
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

impl Normalize {
    /// Elements per image, and per range of it that has its own mean and standard deviation.
    fn runs(&self, x: &[usize], moments: &[usize]) -> [usize; 2] {
        let image = x.iter().skip(1).product();
        [image, image / moments[1]]
    }
}

impl Op for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x, moments]
                if x.dtype == DType::F32
                    && (**moments == TensorType::f32([2, 1])
                        || x.shape.get(1).is_some_and(|&channels| **moments == TensorType::f32([2, channels]))) =>
            {
                Ok((*x).clone())
            }
            _ => Err(format!("takes x f32 and moments f32[2, 1] or f32[2, channels], found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let [_, run] = self.runs(inputs[0].shape, inputs[1].shape);
        let (means, deviations) = inputs[1].f64().split_at(inputs[1].shape[1]);
        for (i, (y, x)) in out.iter_mut().zip(inputs[0].f64()).enumerate() {
            let c = i / run % means.len();
            *y = (x - means[c]) / deviations[c];
        }
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let [image, run] = self.runs(inputs[0].shape, inputs[1].shape);
        let (means, deviations) = inputs[1].f32().split_at(inputs[1].shape[1]);
        out.par_chunks_mut(image).zip(inputs[0].f32().par_chunks(image)).for_each(|(y, x)| {
            let runs = y.chunks_mut(run).zip(x.chunks(run)).zip(means.iter().zip(deviations));
            runs.for_each(|((y, x), (mean, deviation))| {
                vectorized(|| y.iter_mut().zip(x).for_each(|(y, x)| *y = (x - mean) / deviation));
            });
        });
        true
    }

    fn grad(&self, graph: &mut Graph, _: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(graph.normalize(dy, &[0.0], &self.deviation)?), None])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let moments = &io.inputs[1].shape;
        let [_, run] = self.runs(&io.output.shape, moments);
        let dispatch = Dispatch::new(NORMALIZE)
            .constants([("CHANNELS", moments[1]), ("RUN", run)])
            .reads_inputs(2)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }

    // The subtraction of the mean may cancel.
    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        let largest = |numbers: &[f32]| numbers.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        let least = self.deviation.iter().copied().fold(f32::INFINITY, f32::min);
        (inputs[0].magnitude() + f64::from(largest(&self.mean))) / f64::from(least)
    }

    // Multiply-adds of a product with the reciprocal, so that its input may be inlined as into other products.
    fn traits(&self, io: &Io<'_>) -> Traits {
        Traits { reduction: 2, overwrites: &[0], multiply_adds: io.output.shape.elements() as u64, ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_or_one_per_channel() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 3, 4])).unwrap();
        let v = graph.input("v", TensorType::f32([])).unwrap();
        for (mean, deviation) in [(1, 1), (1, 3), (3, 1), (3, 3)] {
            let y = graph.normalize(x, &vec![0.5; mean], &vec![2.0; deviation]).unwrap();
            assert_eq!(graph.shape(y), graph.shape(x));
        }
        assert!(graph.normalize(v, &[0.5], &[2.0]).is_ok());
        for (x, mean, deviation, says) in [
            (
                x,
                &[0.0, 1.0][..],
                &[1.0][..],
                "mean: expected 1 number for all channels, or 3, one for each channel, found 2",
            ),
            (x, &[0.0], &[], "deviation: expected 1 number for all channels, or 3, one for each channel, found 0"),
            (v, &[0.0, 1.0], &[1.0], "mean: expected 1 number for all channels, found 2"),
            (x, &[f32::NAN], &[1.0], "mean: expected finite numbers, found NaN"),
            (x, &[0.0], &[1.0, 0.0, 1.0], "deviation: expected numbers above 0, from 1e-37 to 1e37, found 0"),
            (x, &[0.0], &[-1.0], "found -1"),
            (x, &[0.0], &[f32::NAN], "found NaN"),
            (x, &[0.0], &[f32::INFINITY], "found inf"),
        ] {
            let error = graph.normalize(x, mean, deviation).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
