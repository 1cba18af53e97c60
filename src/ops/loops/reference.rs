//! The inner loops of the f64 reference, written so that compilers vectorize them.

use std::ops::Range;

/// `y[i] += a · x[first + i·stride]`.
pub(in crate::ops) fn axpy(y: &mut [f64], a: f64, x: &[f64], first: usize, stride: usize) {
    if stride == 1 {
        let x = &x[first..][..y.len()];
        for (y, x) in y.iter_mut().zip(x) {
            *y += a * x;
        }
    } else {
        for (i, y) in y.iter_mut().enumerate() {
            *y += a * x[first + i * stride];
        }
    }
}

/// `Σ_i a[i] · x[first + i·stride]`, in four interleaved sums.
pub(in crate::ops) fn dot(a: &[f64], x: &[f64], first: usize, stride: usize) -> f64 {
    if stride != 1 {
        return a.iter().enumerate().map(|(i, a)| a * x[first + i * stride]).sum();
    }
    let x = &x[first..][..a.len()];
    let mut sums = [0.0; 4];
    let (a_fours, x_fours) = (a.chunks_exact(4), x.chunks_exact(4));
    let rest: f64 = a_fours.remainder().iter().zip(x_fours.remainder()).map(|(a, x)| a * x).sum();
    for (a, x) in a_fours.zip(x_fours) {
        for lane in 0..4 {
            sums[lane] += a[lane] * x[lane];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

/// The outputs (below `outputs`) along one axis whose tap at `offset` is inside the input of `input` elements, and the
/// input index of the first one (0 if there is none).
pub(in crate::ops) fn span(
    outputs: usize,
    input: usize,
    stride: usize,
    pad: usize,
    offset: usize,
) -> (Range<usize>, usize) {
    let first = pad.saturating_sub(offset).div_ceil(stride);
    let last = (input + pad).saturating_sub(offset).div_ceil(stride).min(outputs);
    if first >= last { (0..0, 0) } else { (first..last, first * stride + offset - pad) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_agrees_with_exhaustive_search() {
        for (outputs, input, stride, pad, offset) in quintuples(6) {
            let inside = |q: &usize| (q * stride + offset).checked_sub(pad).is_some_and(|w| w < input);
            let expected: Vec<usize> = (0..outputs).filter(inside).collect();
            let (range, first) = span(outputs, input, stride, pad, offset);
            assert_eq!(range.clone().collect::<Vec<_>>(), expected, "{outputs} {input} {stride} {pad} {offset}");
            if let Some(q) = expected.first() {
                assert_eq!(first, q * stride + offset - pad);
            }
        }
    }

    fn quintuples(n: usize) -> impl Iterator<Item = (usize, usize, usize, usize, usize)> {
        (0..n.pow(5)).map(move |i| (i % n + 1, i / n % n + 1, i / n.pow(2) % n + 1, i / n.pow(3) % n, i / n.pow(4)))
    }

    #[test]
    fn dot_covers_every_element_once() {
        let a: Vec<f64> = (0..11).map(f64::from).collect();
        assert_eq!(dot(&a, &a, 0, 1), 385.0);
        assert_eq!(dot(&a[..3], &a, 2, 4), 0.0 * 2.0 + 6.0 + 2.0 * 10.0);
    }
}
