//! The tolerance of a kernel's result against the reference.

use crate::graph::{Op, eval_absolute};
use crate::kernel::Io;
use crate::tensor::View;

/// The error allowed at each element of `want`, the reference's output for `inputs`: `4 · ε₃₂ · √L · scale`.
///
/// L is the operation's declared reduction length: rounding errors of a sum of L terms add up like a random walk. For
/// an operation that is linear in each input the scale is its output for absolute inputs, element by element: what the
/// sum would be if nothing cancelled. For others it is the largest finite output, or what the operation
/// [says](Op::error_scale).
pub fn budget(op: &dyn Op, io: &Io<'_>, inputs: &[View<'_>], want: &[f64]) -> Vec<f64> {
    let traits = op.traits(io);
    let unit = 4.0 * f64::from(f32::EPSILON) * (traits.reduction as f64).sqrt();
    // Results below the smallest normal float may be flushed to zero.
    let least = f64::from(f32::MIN_POSITIVE);
    if traits.multilinear {
        let scale = eval_absolute(op, inputs, want.len());
        return scale.iter().map(|s| unit * s.abs() + least).collect();
    }
    let largest = want.iter().map(|v| v.abs()).filter(|v| v.is_finite()).fold(0.0, f64::max);
    vec![unit * largest.max(op.error_scale(inputs)) + least; want.len()]
}
