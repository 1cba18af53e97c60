//! Strided slicing, and its inverse: placing a tensor inside a larger one, of which padding is a case.
//!
//! - **Formula**: slice `y[i] = x[start + i · step]` along each axis; place `y[begin + i · step] = x[i]` and a constant
//!   elsewhere; pad is place with a step of 1.
//! - **Shapes**: along a sliced axis `ceil((end − start) / step)`; along a padded axis `begin + extent + end`. f32.
//! - **Gradient**: each is the other's, with the constant 0.
//! - **Cost**: one pass over y.

use std::ops::Range;

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::loops::strided::Strided;
use crate::shape::{DType, Shape, TensorType};
use crate::tensor::View;
use crate::{Error, Result, shader};

const PLACE: Shader = shader!("layout/place");

/// The slice of one axis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The axis.
    pub axis: usize,
    /// The index range, without its end.
    pub range: Range<usize>,
    /// The distance between kept indices.
    pub step: usize,
}

impl Cut {
    /// A contiguous range of an axis.
    pub fn new(axis: usize, range: Range<usize>) -> Self {
        Self { axis, range, step: 1 }
    }

    /// Keeps only every `step`th index.
    pub fn step(mut self, step: usize) -> Self {
        self.step = step;
        self
    }
}

impl Graph {
    /// Strided slice of `x`; axes without a cut are kept whole.
    ///
    /// Errors: an axis that `x` does not have or that is cut twice; a range that is empty or exceeds the axis; a step
    /// of 0.
    pub fn slice(&mut self, x: NodeId, cuts: &[Cut]) -> Result<NodeId> {
        let shape = self.shape(x).clone();
        let refuse = |found: &Cut, expected: String| {
            Err(Error::option(format!("slice of {shape}"), expected, {
                let Cut { axis, range, step } = found;
                format!("{range:?} by {step} of axis {axis}")
            }))
        };
        let mut op = Slice { start: vec![0; shape.len()], step: vec![1; shape.len()], shape: shape.to_vec() };
        for (number, cut) in cuts.iter().enumerate() {
            let Some(&extent) = shape.get(cut.axis) else {
                return refuse(cut, format!("axes below {}", shape.len()));
            };
            if cuts[..number].iter().any(|earlier| earlier.axis == cut.axis) {
                return refuse(cut, "each axis once".into());
            }
            if cut.range.is_empty() || cut.range.end > extent || cut.step == 0 {
                return refuse(cut, format!("a range inside 0..{extent} that is not empty, and a step from 1"));
            }
            op.start[cut.axis] = cut.range.start;
            op.step[cut.axis] = cut.step.min(extent);
            op.shape[cut.axis] = cut.range.len().div_ceil(cut.step);
        }
        self.append(op, &[x])
    }

    /// Padding of `x` with the constant `value`: `sides` has the number of elements before and after, for each axis.
    ///
    /// Errors: a number of sides that differs from the number of axes.
    pub fn pad(&mut self, x: NodeId, sides: &[[usize; 2]], value: f32) -> Result<NodeId> {
        let shape = self.shape(x);
        if sides.len() != shape.len() {
            let expected = format!("two for each of the {} axes of {shape}", shape.len());
            return Err(Error::option("sides of pad", expected, format!("{sides:?}")));
        }
        let larger =
            |(&extent, [begin, end]): (&usize, &[usize; 2])| extent.saturating_add(*begin).saturating_add(*end);
        let to = Shape::from(shape.iter().zip(sides).map(larger).collect::<Vec<_>>());
        let start = sides.iter().map(|[begin, _]| *begin).collect();
        self.append(Place { start, step: vec![1; sides.len()], shape: to, value }, &[x])
    }
}

#[derive(Debug)]
struct Slice {
    start: Vec<usize>,
    step: Vec<usize>,
    shape: Vec<usize>,
}

impl Slice {
    /// The walk over x, and its first element.
    fn walk(&self, x: &Shape) -> (Strided<1>, usize) {
        let strides = x.strides();
        let offset = strides.iter().zip(&self.start).map(|(stride, start)| stride * start).sum();
        let steps = strides.iter().zip(&self.step).map(|(stride, step)| stride * step).collect();
        (Strided::new(&self.shape, [steps]), offset)
    }
}

impl Op for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x] if x.dtype == DType::F32 => Ok(TensorType::f32(self.shape.clone())),
            _ => Err(format!("takes one f32 tensor, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (walk, offset) = self.walk(inputs[0].shape);
        walk.gather(&inputs[0].f64()[offset..], out);
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let shape = graph.shape(graph.node(node).inputs()[0]).clone();
        let place = Place { start: self.start.clone(), step: self.step.clone(), shape, value: 0.0 };
        Ok(vec![Some(graph.append(place, &[dy])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let (walk, offset) = self.walk(&io.inputs[0].shape);
        vec![walk.gather_kernel_from(offset, io)]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { multilinear: true, ..Traits::default() }
    }
}

#[derive(Debug)]
struct Place {
    start: Vec<usize>,
    step: Vec<usize>,
    shape: Shape,
    value: f32,
}

impl Place {
    /// The walk over the elements of y that x is placed at, and its first element.
    fn walk(&self, x: &Shape) -> (Strided<1>, usize) {
        let strides = self.shape.strides();
        let offset = strides.iter().zip(&self.start).map(|(stride, start)| stride * start).sum();
        let steps = strides.iter().zip(&self.step).map(|(stride, step)| stride * step).collect();
        (Strided::new(x, [steps]), offset)
    }
}

impl Op for Place {
    fn name(&self) -> &'static str {
        "place"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let x = match inputs {
            [x] if x.dtype == DType::F32 && x.shape.len() == self.shape.len() => &x.shape,
            _ => return Err(format!("takes one f32 tensor of {} axes, found {inputs:?}", self.shape.len())),
        };
        let last = |axis: usize| ((x[axis] - 1) * self.step[axis]).checked_add(self.start[axis]);
        let inside = |axis: usize| last(axis).is_some_and(|last| last < self.shape[axis]);
        match (0..x.len()).find(|&axis| !inside(axis)) {
            Some(axis) => Err(format!("x {x} does not fit into {} along axis {axis}", self.shape)),
            None => Ok(TensorType::f32(self.shape.clone())),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        out.fill(f64::from(self.value));
        let (walk, offset) = self.walk(inputs[0].shape);
        let (x, [step]) = (inputs[0].f64(), walk.steps());
        walk.runs(|range, [first]| {
            for (k, i) in range.enumerate() {
                out[offset + first + k * step] = x[i];
            }
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let shape = graph.shape(graph.node(node).inputs()[0]).to_vec();
        let slice = Slice { start: self.start.clone(), step: self.step.clone(), shape };
        Ok(vec![Some(graph.append(slice, &[dy])?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let x = &io.inputs[0].shape;
        // A scalar has no axes, but WGSL has no empty arrays.
        let list = |values: &[usize], default: usize| if values.is_empty() { vec![default] } else { values.to_vec() };
        let dispatch = Dispatch::new(PLACE)
            .constant("RANK", x.len().max(1))
            .constant("SHAPE", list(&self.shape, 1).as_slice())
            .constant("START", list(&self.start, 0).as_slice())
            .constant("STEP", list(&self.step, 1).as_slice())
            .constant("EXTENTS", list(x, 1).as_slice())
            .constant("STRIDES", list(&x.strides(), 0).as_slice())
            .constant("VALUE", self.value.to_bits())
            .reads_inputs(1)
            .writes(Operand::Output)
            .invocations(io.output.shape.elements(), 64);
        vec![Kernel::single(dispatch)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([5, 7])).unwrap();
        let y = graph.slice(x, &[Cut::new(1, 1..7).step(4)]).unwrap();
        assert_eq!(**graph.shape(y), [5, 2]);
        let mut error = |cuts: &[Cut]| graph.slice(x, cuts).unwrap_err().to_string();
        assert!(
            error(&[Cut::new(2, 0..1)]).contains("slice of [5, 7]: expected axes below 2, found 0..1 by 1 of axis 2")
        );
        assert!(error(&[Cut::new(0, 3..6)]).contains("inside 0..5"));
        assert!(error(&[Cut::new(0, 3..3)]).contains("not empty"));
        assert!(error(&[Cut::new(0, 0..3).step(0)]).contains("a step from 1"));
        assert!(error(&[Cut::new(0, 0..3), Cut::new(0, 0..3)]).contains("each axis once"));
    }

    #[test]
    fn padding_has_two_sides_per_axis() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([5, 7])).unwrap();
        let y = graph.pad(x, &[[0, 1], [2, 3]], 0.0).unwrap();
        assert_eq!(**graph.shape(y), [6, 12]);
        let error = graph.pad(x, &[[0, 1]], 0.0).unwrap_err().to_string();
        assert!(error.contains("two for each of the 2 axes of [5, 7]"), "{error}");
        assert!(graph.pad(x, &[[0, usize::MAX], [0, 0]], 0.0).is_err());
    }
}
