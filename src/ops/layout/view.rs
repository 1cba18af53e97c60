//! Views: reshaping, ranges of a flat buffer, and packing of ranges into one flat buffer.
//!
//! These operations have no kernels: the memory pass gives their outputs a [`Placement`] in existing memory. Ranges to
//! which no kernel could be bound are copied instead, by a slice or a concatenation.

use crate::graph::{Graph, NodeId, Op, Placement, Traits};
use crate::kernel::{ALIGNMENT, Io, Kernel, Limits};
use crate::ops::layout::slice::Cut;
use crate::shape::{DType, Shape, TensorType};
use crate::tensor::{Tensor, View};
use crate::{Error, Result};

impl Graph {
    /// `x` with another shape and the same elements in row-major order. Nothing is appended if `x` has that shape. The
    /// gradient is `dy` with the shape of `x`.
    ///
    /// Errors: another number of elements; u8.
    pub fn reshape(&mut self, x: NodeId, shape: impl Into<Shape>) -> Result<NodeId> {
        let shape = shape.into();
        if shape == *self.shape(x) {
            return Ok(x);
        }
        self.append(Reshape { shape }, &[x])
    }

    /// `x` `[N, …]` as a matrix `[N, rest]`.
    ///
    /// Errors: a scalar; u8.
    pub fn flatten(&mut self, x: NodeId) -> Result<NodeId> {
        let shape = self.shape(x);
        let Some((&n, rest)) = shape.split_first() else {
            return Err(Error::option("flatten", "a tensor [N, …]", format!("the scalar {}", self.ty(x))));
        };
        let matrix = [n, rest.iter().product()];
        self.reshape(x, matrix)
    }

    /// A range of the flat `x` `[T]` from element `offset`, with this shape. No data moves if `offset` is a multiple of
    /// 64. It has no gradient of its own: the caller that splits `x` collects it.
    ///
    /// Errors: an `x` that is not flat f32; a range that exceeds it.
    pub fn slice_flat(&mut self, x: NodeId, offset: usize, shape: impl Into<Shape>) -> Result<NodeId> {
        let op = SliceFlat { offset, shape: shape.into() };
        if is_bindable(offset) || op.infer(&[self.ty(x)]).is_err() {
            return self.append(op, &[x]);
        }
        let part = self.slice(x, &[Cut::new(0, offset..offset + op.shape.elements())])?;
        self.reshape(part, op.shape)
    }

    /// A flat buffer `[total]` that holds the parts, in row-major order, at these offsets, and zeros elsewhere. Parts
    /// that no other operation reads are computed in place if all offsets are multiples of 64. Has no gradient.
    ///
    /// Errors: no parts; a number of offsets that differs from that of the parts; ranges that overlap or exceed
    /// `total`; parts that are not f32.
    pub fn pack(&mut self, parts: &[NodeId], offsets: &[usize], total: usize) -> Result<NodeId> {
        let op = Pack { offsets: offsets.to_vec(), total };
        let types: Vec<&TensorType> = parts.iter().map(|&part| self.ty(part)).collect();
        if offsets.iter().all(|&offset| is_bindable(offset)) || op.infer(&types).is_err() {
            return self.append(op, parts);
        }
        self.join(parts, offsets, total)
    }

    /// [`Graph::pack`] by a concatenation of the parts and the zeros between them.
    fn join(&mut self, parts: &[NodeId], offsets: &[usize], total: usize) -> Result<NodeId> {
        let mut sorted: Vec<(usize, NodeId)> = offsets.iter().copied().zip(parts.iter().copied()).collect();
        sorted.sort_by_key(|(offset, _)| *offset);
        let (mut pieces, mut end) = (vec![], 0);
        for (offset, part) in sorted {
            pieces.extend(self.zeros(offset - end)?);
            let elements = self.shape(part).elements();
            pieces.push(self.reshape(part, [elements])?);
            end = offset + elements;
        }
        pieces.extend(self.zeros(total - end)?);
        self.concat(&pieces, 0)
    }

    /// A constant of `count` zeros; `None` for 0.
    fn zeros(&mut self, count: usize) -> Result<Option<NodeId>> {
        let zeros = || self.constant("gap", Tensor::from_fn([count], |_| 0.0));
        (count > 0).then(zeros).transpose()
    }
}

/// Whether a kernel can be bound to a range that starts at this element.
fn is_bindable(offset: usize) -> bool {
    offset.is_multiple_of(ALIGNMENT / 4)
}

/// The product of the extents; `None` on overflow.
fn elements(shape: &Shape) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent))
}

#[derive(Debug)]
struct Reshape {
    shape: Shape,
}

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let x = match inputs {
            [x] if x.dtype != DType::U8 => x,
            _ => return Err(format!("takes one tensor of f32 or u32, found {inputs:?}")),
        };
        if elements(&self.shape) != Some(x.shape.elements()) {
            let found = elements(&self.shape).map_or("more than 64 bits can count".into(), |n| n.to_string());
            return Err(format!("x {} has {} elements, {} has {found}", x.shape, x.shape.elements(), self.shape));
        }
        Ok(TensorType { dtype: x.dtype, shape: self.shape.clone() })
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        out.copy_from_slice(inputs[0].f64());
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let shape = graph.shape(graph.node(node).inputs()[0]).clone();
        Ok(vec![Some(graph.reshape(dy, shape)?)])
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        vec![]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { multilinear: true, placement: Placement::ViewOf(0), ..Traits::default() }
    }
}

#[derive(Debug)]
struct SliceFlat {
    offset: usize,
    shape: Shape,
}

impl Op for SliceFlat {
    fn name(&self) -> &'static str {
        "slice_flat"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let t = match inputs {
            [x] if x.dtype == DType::F32 && x.shape.len() == 1 => x.shape[0],
            _ => return Err(format!("takes one flat f32 tensor, found {inputs:?}")),
        };
        let end = elements(&self.shape).and_then(|n| n.checked_add(self.offset));
        if end.is_none_or(|end| end > t) {
            return Err(format!("{} from element {} on ends behind x [{t}]", self.shape, self.offset));
        }
        Ok(TensorType::f32(self.shape.clone()))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        out.copy_from_slice(&inputs[0].f64()[self.offset..][..out.len()]);
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        vec![]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { multilinear: true, placement: Placement::ViewOf(self.offset), ..Traits::default() }
    }
}

#[derive(Debug)]
struct Pack {
    offsets: Vec<usize>,
    total: usize,
}

impl Op for Pack {
    fn name(&self) -> &'static str {
        "pack"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if inputs.is_empty() || inputs.len() != self.offsets.len() {
            let (parts, offsets) = (inputs.len(), self.offsets.len());
            return Err(format!("takes at least one part and an offset for each, found {parts} and {offsets}"));
        }
        let mut ranges = vec![];
        for (part, (&ty, &start)) in inputs.iter().zip(&self.offsets).enumerate() {
            if ty.dtype != DType::F32 {
                return Err(format!("part {part} must be f32, is {ty}"));
            }
            match start.checked_add(ty.shape.elements()) {
                Some(end) if end <= self.total => ranges.push((start, end, part)),
                _ => {
                    return Err(format!("part {part} {} from element {start} on ends behind {}", ty.shape, self.total));
                }
            }
        }
        ranges.sort_unstable();
        match ranges.windows(2).find(|pair| pair[0].1 > pair[1].0) {
            Some([(_, end, a), (start, _, b)]) => {
                Err(format!("part {a} ends at element {end}, behind element {start} where part {b} begins"))
            }
            _ => Ok(TensorType::f32([self.total])),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        for (part, &offset) in inputs.iter().zip(&self.offsets) {
            out[offset..][..part.f64().len()].copy_from_slice(part.f64());
        }
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        out.fill(0.0);
        for (part, &offset) in inputs.iter().zip(&self.offsets) {
            out[offset..][..part.f32().len()].copy_from_slice(part.f32());
        }
        true
    }

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        vec![]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { multilinear: true, placement: Placement::Holds(self.offsets.clone()), ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(shape: &[usize]) -> (Graph, NodeId) {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32(shape)).unwrap();
        (graph, x)
    }

    #[test]
    fn reshape_keeps_the_elements() {
        let (mut graph, x) = graph(&[4, 3, 2]);
        let y = graph.flatten(x).unwrap();
        assert_eq!(**graph.shape(y), [4, 6]);
        assert_eq!(graph.flatten(y).unwrap(), y);
        let error = graph.reshape(x, [5, 5]).unwrap_err().to_string();
        assert!(error.contains("x [4, 3, 2] has 24 elements, [5, 5] has 25"), "{error}");
        assert!(graph.reshape(x, [usize::MAX, 24]).is_err());
        let scalar = graph.reshape(y, [24]).and_then(|flat| graph.slice_flat(flat, 0, [])).unwrap();
        assert!(graph.flatten(scalar).unwrap_err().to_string().contains("scalar"));
    }

    #[test]
    fn slices_are_checked() {
        let (mut graph, x) = graph(&[70]);
        let y = graph.slice_flat(x, 64, [2, 3]).unwrap();
        assert_eq!(graph.traits(y).placement, Placement::ViewOf(64));
        let copied = graph.slice_flat(x, 4, [2, 3]).unwrap();
        assert_eq!(**graph.shape(copied), [2, 3]);
        assert_eq!(graph.node(graph.node(copied).inputs()[0]).op().unwrap().name(), "slice");
        let error = graph.slice_flat(x, 65, [2, 3]).unwrap_err().to_string();
        assert!(error.contains("[2, 3] from element 65 on ends behind x [70]"), "{error}");
        assert!(graph.slice_flat(x, usize::MAX, [2]).is_err());
        assert!(graph.slice_flat(y, 0, [2]).unwrap_err().to_string().contains("takes one flat f32 tensor"));
    }

    #[test]
    fn parts_must_be_inside_and_disjoint() {
        let (mut graph, x) = graph(&[2, 3]);
        let y = graph.pack(&[x, x], &[64, 0], 70).unwrap();
        assert_eq!(**graph.shape(y), [70]);
        assert_eq!(graph.traits(y).placement, Placement::Holds(vec![64, 0]));
        let copied = graph.pack(&[x, x], &[8, 0], 15).unwrap();
        assert_eq!(**graph.shape(copied), [15]);
        assert_eq!(graph.node(copied).op().unwrap().name(), "concat");
        let error = graph.pack(&[x, x], &[0, 5], 14).unwrap_err().to_string();
        assert!(error.contains("part 0 ends at element 6, behind element 5 where part 1 begins"), "{error}");
        let error = graph.pack(&[x, x], &[0, 9], 14).unwrap_err().to_string();
        assert!(error.contains("part 1 [2, 3] from element 9 on ends behind 14"), "{error}");
        assert!(graph.pack(&[x], &[0, 9], 14).unwrap_err().to_string().contains("found 1 and 2"));
        assert!(graph.pack(&[], &[], 14).is_err());
    }
}
