//! Local response normalization across channels (AlexNet).
//!
//! - **Formula**: `y[c] = x[c] / s[c]^β` with `s[c] = k + α/size · Σ x[c']²` over the `size` channels from
//!   `c − ⌊size/2⌋`, clipped to the existing ones.
//! - **Shapes**: x `[N, C, ..]`, kept. f32.
//! - **Gradient**: `dx[c] = dy[c]·s[c]^−β − 2αβ/size · x[c] · Σ dy[c']·x[c']·s[c']^(−β−1)` over the channels c' whose
//!   windows contain c.
//! - **Range**: a NaN or an infinity makes every output whose window contains it NaN (finite values beside an infinity
//!   become 0); squares beyond the largest f32 are infinite, so y = 0.
//! - **Errors**: a size of 0 or above 32,767; k not above 0.
//! - **Cost**: size loads per element, three times as many backward.
//! - **Source**: Krizhevsky et al. 2012, section 3.3, in PyTorch's form (α divided by the size).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::shader;
use crate::shape::LARGEST;
use crate::shape::{DType, Shape, TensorType};
use crate::tensor::View;

const LRN: Shader = shader!("normalization/local_response_norm");
const TERMS: Shader = shader!("normalization/local_response_norm_terms");
const GRAD: Shader = shader!("normalization/local_response_norm_grad");

/// Options of [`Graph::local_response_norm`].
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct LocalResponse {
    /// Window size, in channels.
    pub size: usize,
    /// Weight α of the sum of squares; it is divided by the size.
    pub alpha: f32,
    /// Exponent β.
    pub beta: f32,
    /// Constant k added to the weighted sum of squares.
    pub k: f32,
}

impl From<usize> for LocalResponse {
    /// [`LocalResponse::new`].
    fn from(size: usize) -> Self {
        Self::new(size)
    }
}

impl LocalResponse {
    /// Options with PyTorch's defaults: α 1e-4, β 0.75, k 1. AlexNet has size 5, k 2 and in this form α 5e-4 (1e-4 per
    /// channel).
    pub fn new(size: usize) -> Self {
        Self { size, alpha: 1e-4, beta: 0.75, k: 1.0 }
    }

    fn check(&self, x: &TensorType) -> Result<(), String> {
        let Self { size, alpha, beta, k } = *self;
        let finite = alpha.is_finite() && beta.is_finite() && k.is_finite();
        match x {
            _ if !(1..=LARGEST).contains(&size) => Err(format!("size must be from 1 to {LARGEST} channels, is {size}")),
            _ if !(finite && k > 0.0 && alpha >= 0.0 && beta >= 0.0) => {
                Err(format!("k must be above 0, alpha and beta at least 0, all finite, are {k}, {alpha}, {beta}"))
            }
            x if x.dtype == DType::F32 && x.shape.len() >= 2 => Ok(()),
            x => Err(format!("x must be f32 [N, C, ..], is {x}")),
        }
    }

    /// Number of channels of a window before and after its center.
    fn reach(&self) -> [usize; 2] {
        [self.size / 2, (self.size - 1) / 2]
    }

    /// α divided by the size.
    fn scaled_alpha(&self) -> f64 {
        f64::from(self.alpha) / self.size as f64
    }

    /// `s` of each element of one image `[c, inner]`.
    fn sums(&self, x: &[f64], inner: usize) -> Vec<f64> {
        let [before, after] = self.reach();
        let squares: Vec<f64> = x.iter().map(|x| x * x).collect();
        let mut sums = vec![0.0; x.len()];
        window_sums(&squares, inner, before, after, &mut sums);
        sums.iter().map(|sum| f64::from(self.k) + self.scaled_alpha() * sum).collect()
    }

    fn dispatch(&self, shader: Shader, shape: &Shape) -> Dispatch {
        let [before, after] = self.reach().map(|reach| reach.min(shape[1]));
        Dispatch::new(shader)
            .constants([("C", shape[1]), ("INNER", inner(shape)), ("BEFORE", before), ("AFTER", after)])
            .constant("SHARE", self.scaled_alpha() as f32)
            .constant("BETA", self.beta)
            .constant("K", self.k)
            .invocations(shape.elements(), 64)
    }
}

/// Elements per channel and image.
fn inner(shape: &Shape) -> usize {
    shape[2..].iter().product()
}

/// Computes `sums[c] = Σ x[c − before ..= c + after]` over the existing channels of one image `[c, inner]`.
fn window_sums(x: &[f64], inner: usize, before: usize, after: usize, sums: &mut [f64]) {
    let channels = x.len() / inner;
    for (c, sums) in sums.chunks_mut(inner).enumerate() {
        for x in x.chunks(inner).take(channels.min(c + after + 1)).skip(c.saturating_sub(before)) {
            sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
        }
    }
}

impl Graph {
    /// Local response normalization, `x / (k + α/size · Σ x²)^β` with the sum over `size` adjacent channels of `x`
    /// `[N, C, ..]`.
    ///
    /// Errors: a size of 0 or above 32,767; k not above 0; negative or infinite options; fewer than two axes.
    pub fn local_response_norm(&mut self, x: NodeId, by: LocalResponse) -> Result<NodeId> {
        self.append(LocalResponseNorm(by), &[x])
    }
}

#[derive(Debug)]
struct LocalResponseNorm(LocalResponse);

impl Op for LocalResponseNorm {
    fn name(&self) -> &'static str {
        "local_response_norm"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x] => self.0.check(x).map(|()| (*x).clone()),
            _ => Err(format!("takes one tensor, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (shape, beta) = (inputs[0].shape, f64::from(self.0.beta));
        let image = shape[1] * inner(shape);
        out.par_chunks_mut(image).zip(inputs[0].f64().par_chunks(image)).for_each(|(y, x)| {
            let sums = self.0.sums(x, inner(shape));
            y.iter_mut().zip(x.iter().zip(&sums)).for_each(|(y, (x, s))| *y = x * s.powf(-beta));
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let x = graph.node(node).inputs()[0];
        Ok(vec![Some(graph.append(LocalResponseNormGrad(self.0), &[x, dy])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        vec![Kernel::single(self.0.dispatch(LRN, &io.output.shape).reads_inputs(1).writes(Operand::Output))]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { reduction: self.0.size, ..Traits::default() }
    }
}

/// Gradient to x. Inputs x, dy.
#[derive(Debug)]
struct LocalResponseNormGrad(LocalResponse);

impl Op for LocalResponseNormGrad {
    fn name(&self) -> &'static str {
        "local_response_norm_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x, dy] if x == dy => self.0.check(x).map(|()| (*x).clone()),
            _ => Err(format!("takes two tensors of one shape, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (shape, beta) = (inputs[0].shape, f64::from(self.0.beta));
        let inner = inner(shape);
        let image = shape[1] * inner;
        let operands = inputs[0].f64().par_chunks(image).zip(inputs[1].f64().par_chunks(image));
        out.par_chunks_mut(image).zip(operands).for_each(|(dx, (x, dy))| {
            let sums = self.0.sums(x, inner);
            let terms = dy.iter().zip(x).zip(&sums).map(|((dy, x), s)| dy * x * s.powf(-beta - 1.0));
            let [before, after] = self.0.reach();
            window_sums(&terms.collect::<Vec<_>>(), inner, after, before, dx);
            for (i, dx) in dx.iter_mut().enumerate() {
                *dx = dy[i] * sums[i].powf(-beta) - 2.0 * self.0.scaled_alpha() * beta * x[i] * *dx;
            }
        });
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let shape = &io.output.shape;
        let scratch = [0, 1].map(Operand::Scratch);
        let shares = self.0.dispatch(TERMS, shape).reads_inputs(2).writes(scratch[0]).writes(scratch[1]);
        let [before, after] = self.0.reach().map(|reach| reach.min(shape[1]));
        let grad = Dispatch::new(GRAD)
            .constants([("C", shape[1]), ("INNER", inner(shape)), ("BEFORE", after), ("AFTER", before)])
            .constant("FACTOR", (2.0 * self.0.scaled_alpha() * f64::from(self.0.beta)) as f32)
            .reads_inputs(1)
            .reads(scratch)
            .writes(Operand::Output)
            .invocations(shape.elements(), 64);
        let scratch = vec![TensorType::f32(shape.clone()); 2];
        vec![Kernel { name: GRAD.name, dispatches: vec![shares, grad], scratch }]
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        // Each term is at most dy·k^−β, because α/size · |x[c]·x[c']| is at most s.
        let (beta, size) = (f64::from(self.0.beta), self.0.size as f64);
        inputs[1].magnitude() * f64::from(self.0.k).powf(-beta) * (1.0 + 2.0 * beta * size)
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { reduction: self.0.size, ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_match_pytorch() {
        // With an even size the additional channel is before the center.
        let (shape, x) = (Shape::from([1, 4]), [1.0, 2.0, 3.0, 4.0]);
        let op = LocalResponseNorm(LocalResponse { size: 2, alpha: 2.0, beta: 1.0, k: 1.0 });
        let mut y = [0.0; 4];
        op.eval(&[View::new(&shape, &x)], &mut y);
        assert_eq!(y, [1.0 / 2.0, 2.0 / 6.0, 3.0 / 14.0, 4.0 / 26.0]);
    }

    #[test]
    fn options_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 3, 4, 4])).unwrap();
        assert!(graph.local_response_norm(x, LocalResponse::new(5)).is_ok());
        let error = graph.local_response_norm(x, LocalResponse::new(0)).unwrap_err().to_string();
        assert!(error.contains("size must be from 1 to 32767 channels, is 0"), "{error}");
        let by = LocalResponse { k: 0.0, ..LocalResponse::new(5) };
        assert!(graph.local_response_norm(x, by).unwrap_err().to_string().contains("k must be above 0"));
    }
}
