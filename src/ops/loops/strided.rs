//! Strided walks over operands, shared by broadcasting and transposing.

use crate::kernel::{Dispatch, Io, Kernel, Operand, Shader};
use crate::shader;
use crate::shape::Shape;

const STRIDED: Shader = shader!("loops/strided");

/// The strides of `N` operands for a walk over `shape` in row-major order.
///
/// Axes of extent 1 are dropped and axes that are contiguous in every operand are merged, so that walks are short.
pub(in crate::ops) struct Strided<const N: usize> {
    /// Extents, at least one axis.
    pub shape: Vec<usize>,
    /// For each operand, its stride along each axis in elements; 0 along a broadcast axis.
    pub strides: [Vec<usize>; N],
}

impl<const N: usize> Strided<N> {
    pub fn new(shape: &[usize], strides: [Vec<usize>; N]) -> Self {
        let mut walk = Self { shape: vec![], strides: [const { vec![] }; N] };
        for (axis, &extent) in shape.iter().enumerate().filter(|(_, extent)| **extent > 1) {
            let merges = |n: usize| walk.strides[n].last().is_some_and(|&outer| outer == strides[n][axis] * extent);
            if !walk.shape.is_empty() && (0..N).all(merges) {
                *walk.shape.last_mut().expect("not empty") *= extent;
                (0..N).for_each(|n| *walk.strides[n].last_mut().expect("not empty") = strides[n][axis]);
            } else {
                walk.shape.push(extent);
                (0..N).for_each(|n| walk.strides[n].push(strides[n][axis]));
            }
        }
        if walk.shape.is_empty() {
            walk.shape.push(1);
            walk.strides.iter_mut().for_each(|s| s.push(0));
        }
        walk
    }

    /// The walk over operands that broadcast to `shape`.
    pub fn broadcast(operands: [&Shape; N], shape: &Shape) -> Self {
        Self::new(shape, operands.map(|operand| operand.broadcast_strides(shape)))
    }

    /// Calls `f` for each run along the last axis, with its range of the walk and each operand's first element.
    pub fn runs(&self, mut f: impl FnMut(std::ops::Range<usize>, [usize; N])) {
        let (&run, outer) = self.shape.split_last().expect("at least one axis");
        let mut at = vec![0; outer.len()];
        let mut first = [0; N];
        for number in 0..outer.iter().product() {
            f(number * run..(number + 1) * run, first);
            for axis in (0..outer.len()).rev() {
                at[axis] += 1;
                (0..N).for_each(|n| first[n] += self.strides[n][axis]);
                if at[axis] < outer[axis] {
                    break;
                }
                at[axis] = 0;
                (0..N).for_each(|n| first[n] -= self.strides[n][axis] * outer[axis]);
            }
        }
    }

    /// Stride within a run, for each operand.
    pub fn steps(&self) -> [usize; N] {
        std::array::from_fn(|n| *self.strides[n].last().expect("at least one axis"))
    }

    /// A dispatch with the extents set; the caller sets the strides.
    pub fn dispatch(&self, shader: Shader) -> Dispatch {
        Dispatch::new(shader).constant("RANK", self.shape.len()).constant("SHAPE", self.shape.as_slice())
    }
}

impl Strided<1> {
    /// f64 reference: copies the operand's elements in the order of the walk.
    pub fn gather(&self, x: &[f64], out: &mut [f64]) {
        let [step] = self.steps();
        self.runs(|range, [first]| match step {
            1 => out[range.clone()].copy_from_slice(&x[first..][..range.len()]),
            _ => out[range].iter_mut().enumerate().for_each(|(i, y)| *y = x[first + i * step]),
        });
    }

    /// [`Self::gather`] on the GPU.
    pub fn gather_kernel(&self, io: &Io<'_>) -> Kernel {
        self.gather_kernel_from(0, io)
    }

    /// [`Self::gather_kernel`] from element `offset` of the operand.
    pub fn gather_kernel_from(&self, offset: usize, io: &Io<'_>) -> Kernel {
        let dispatch = self
            .dispatch(STRIDED)
            .constant("STRIDES", self.strides[0].as_slice())
            .constant("OFFSET", offset)
            .reads_inputs(1)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        Kernel::single(dispatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contiguous_axes_are_merged() {
        let (a, b) = (Shape::from([2, 3, 1, 4, 5]), Shape::from([3, 1, 1, 1]));
        let walk = Strided::broadcast([&a, &b], &a);
        assert_eq!(walk.shape, [2, 3, 20]);
        assert_eq!(walk.strides, [vec![60, 20, 1], vec![0, 1, 0]]);
        assert_eq!(Strided::broadcast([&a, &a], &a).shape, [120]);
        assert_eq!(Strided::broadcast([&Shape::from([])], &Shape::from([])).shape, [1]);
    }

    #[test]
    fn runs_visit_every_element_once_in_order() {
        let walk = Strided::new(&[2, 3, 2], [vec![1, 2, 6]]);
        let x: Vec<f64> = (0..12).map(f64::from).collect();
        let mut y = vec![0.0; 12];
        walk.gather(&x, &mut y);
        assert_eq!(y, [0.0, 6.0, 2.0, 8.0, 4.0, 10.0, 1.0, 7.0, 3.0, 9.0, 5.0, 11.0]);
    }
}
