//! Concatenation along an axis.
//!
//! - **Formula**: y is the first part, then the second, and so on, along the axis.
//! - **Shapes**: the parts differ in that axis only; the extent of y is the sum of theirs. f32.
//! - **Gradient**: to each part its slice of dy.
//! - **Cost**: one pass over each part.

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::layout::slice::Cut;
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

const CONCAT: Shader = shader!("layout/concat");

impl Graph {
    /// Concatenation of `parts` along `axis`.
    ///
    /// Errors: no parts; an axis they do not have; parts that differ in another axis.
    pub fn concat(&mut self, parts: &[NodeId], axis: usize) -> Result<NodeId> {
        self.append(Concat { axis }, parts)
    }
}

#[derive(Debug)]
struct Concat {
    axis: usize,
}

impl Concat {
    /// Number of contiguous elements of each part.
    fn chunks<'a>(&self, parts: impl Iterator<Item = &'a [usize]>) -> Vec<usize> {
        parts.map(|shape| shape[self.axis..].iter().product()).collect()
    }
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let Some(first) = inputs.first() else { return Err("takes at least one tensor, found none".into()) };
        if self.axis >= first.shape.len() {
            let (axis, axes) = (self.axis, first.shape.len());
            return Err(format!("axis {axis} is not one of the {axes} axes of {}, counted from 0", first.shape));
        }
        let mut shape = first.shape.to_vec();
        shape[self.axis] = 0;
        for (number, part) in inputs.iter().enumerate() {
            let fits = |axis: usize| axis == self.axis || part.shape[axis] == first.shape[axis];
            if part.dtype != DType::F32 || part.shape.len() != shape.len() || !(0..shape.len()).all(fits) {
                let axis = self.axis;
                return Err(format!("part {number} must be f32 and as {first} but for axis {axis}, is {part}"));
            }
            shape[self.axis] += part.shape[self.axis];
        }
        Ok(TensorType::f32(shape))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let chunks = self.chunks(inputs.iter().map(|part| &part.shape[..]));
        let row: usize = chunks.iter().sum();
        let mut start = 0;
        for (part, &chunk) in inputs.iter().zip(&chunks) {
            for (to, from) in out.chunks_mut(row).zip(part.f64().chunks(chunk)) {
                to[start..start + chunk].copy_from_slice(from);
            }
            start += chunk;
        }
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let mut start = 0;
        let parts = graph.node(node).inputs().to_vec();
        let part = |part: NodeId| {
            let end = start + graph.shape(part)[self.axis];
            let cut = Cut::new(self.axis, start..end);
            start = end;
            graph.slice(dy, &[cut]).map(Some)
        };
        parts.into_iter().map(part).collect()
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let chunks = self.chunks(io.inputs.iter().map(|part| &part.shape[..]));
        let row: usize = chunks.iter().sum();
        let mut start = 0;
        let dispatch = |(number, &chunk): (usize, &usize)| {
            let dispatch = Dispatch::new(CONCAT)
                .constants([("CHUNK", chunk), ("ROW", row), ("START", start)])
                .reads([Operand::Input(number)])
                .writes(Operand::Output)
                .invocations(io.inputs[number].shape.elements(), 64);
            start += chunk;
            dispatch
        };
        let dispatches = chunks.iter().enumerate().map(dispatch).collect();
        vec![Kernel { name: CONCAT.name, dispatches, scratch: vec![] }]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { multilinear: true, ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_differ_in_one_axis_only() {
        let mut graph = Graph::new();
        let a = graph.input("a", TensorType::f32([2, 3, 4])).unwrap();
        let b = graph.input("b", TensorType::f32([2, 5, 4])).unwrap();
        let y = graph.concat(&[a, b, a], 1).unwrap();
        assert_eq!(**graph.shape(y), [2, 11, 4]);
        let error = graph.concat(&[a, b], 2).unwrap_err().to_string();
        assert!(error.contains("part 1 must be f32 and as f32[2, 3, 4] but for axis 2, is f32[2, 5, 4]"), "{error}");
        assert!(graph.concat(&[a], 3).unwrap_err().to_string().contains("axis 3 is not one of the 3 axes"));
        assert!(graph.concat(&[], 0).is_err());
    }
}
