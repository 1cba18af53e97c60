//! Parametric ReLU: leaky ReLU with learned slopes, one per channel.
//!
//! - **Formula**: `y = x` where x > 0, else `slope[c] · x`.
//! - **Shapes**: x `[N, C, …]`, slope `[C]` or `[1]`. f32.
//! - **Gradient**: `dx = dy` or `slope · dy`; `dslope[c]` is the sum of `x · dy` where x is not positive.
//! - **Cost**: one pass over memory; four backward, and a sum.
//! - **Source**: He et al. 2015 (arXiv:1502.01852).

use crate::graph::{Graph, NodeId};
use crate::ops::elementwise::binary::{Arithmetic, Binary};
use crate::{Error, Result};

static PRELU: Arithmetic = Arithmetic {
    name: "prelu",
    f: |x, a| if x > 0.0 { x } else { a * x },
    wgsl: "select(b * a, a, a > 0.0)",
    multilinear: false,
    grad: |graph, t| {
        let slope = graph.append(Binary(&SLOPE), &[t.a, t.b])?;
        let negative = graph.append(Binary(&WHERE_NEGATIVE), &[t.a, t.dy])?;
        Ok([graph.mul(t.dy, slope)?, graph.mul(negative, t.a)?])
    },
};

/// The derivative at x.
static SLOPE: Arithmetic = Arithmetic {
    name: "prelu_slope",
    f: |x, a| if x > 0.0 { 1.0 } else { a },
    wgsl: "select(b, 1.0, a > 0.0)",
    multilinear: false,
    grad: |graph, t| Ok([graph.scale(t.dy, 0.0)?, graph.append(Binary(&WHERE_NEGATIVE), &[t.a, t.dy])?]),
};

/// `dy` where x is not positive, else 0.
static WHERE_NEGATIVE: Arithmetic = Arithmetic {
    name: "prelu_where_negative",
    f: |x, dy| if x > 0.0 { 0.0 } else { dy },
    wgsl: "select(b, 0.0, a > 0.0)",
    multilinear: false,
    grad: |graph, t| Ok([graph.scale(t.dy, 0.0)?, graph.append(Binary(&WHERE_NEGATIVE), &[t.a, t.dy])?]),
};

impl Graph {
    /// Parametric ReLU: `x` `[N, C, …]` where it is positive, else `slope · x`, with one slope per channel, `[C]`, or
    /// for all, `[1]`.
    ///
    /// Errors: slopes of another shape; an `x` of fewer than two axes with more than one slope.
    pub fn prelu(&mut self, x: NodeId, slope: NodeId) -> Result<NodeId> {
        let (shape, slopes) = (self.shape(x).clone(), self.shape(slope).clone());
        let channels = shape.get(1).copied().unwrap_or(1);
        if *slopes != [1] && *slopes != [channels] {
            return Err(Error::option("slopes of prelu", format!("[1], or [{channels}] for x {shape}"), slopes));
        }
        let mut along = vec![1; shape.len()];
        if slopes[0] > 1 {
            along[1] = channels;
        }
        let slope = self.reshape(slope, along)?;
        self.append(Binary(&PRELU), &[x, slope])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::TensorType;

    #[test]
    fn one_slope_or_one_per_channel() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 3, 4, 4])).unwrap();
        for slopes in [1, 3] {
            let slope = graph.input("slope", TensorType::f32([slopes])).unwrap();
            let y = graph.prelu(x, slope).unwrap();
            assert_eq!(graph.shape(y), graph.shape(x));
        }
        let four = graph.input("slope", TensorType::f32([4])).unwrap();
        let error = graph.prelu(x, four).unwrap_err().to_string();
        assert!(error.contains("[1], or [3] for x [2, 3, 4, 4], found [4]"), "{error}");
    }
}
