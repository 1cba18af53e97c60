//! 2-D max unpooling: scatters values to the argmax indices of max pooling.
//!
//! - **Formula**: `x[n,c,indices[n,c,p,q]] = v[n,c,p,q]`, 0 elsewhere. Of several values at one index the last in
//!   row-major order is kept; indices outside the plane are ignored.
//! - **Shapes**: v f32 and indices u32 `[N, C, P, Q]`, x f32 `[N, C, H, W]` with the given H and W.
//! - **Gradient**: to each value that was kept `dx` at its index, to the others 0. (Indices of overlapping windows
//!   repeat, but with equal values, and their gradient counts once.)
//! - **Errors**: shapes or types that do not match.
//! - **Cost**: three passes over memory. The last value is found by atomic integer maxima, whose result does not depend
//!   on their order.

use rayon::prelude::*;

use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::shader;
use crate::shape::{Pair, Shape, TensorType};
use crate::tensor::View;

const CLEAR: Shader = shader!("pooling/max_unpool2d_clear");
const MARK: Shader = shader!("pooling/max_unpool2d_mark");
const MAX_UNPOOL2D: Shader = shader!("pooling/max_unpool2d");
const MAX_UNPOOL2D_GRAD: Shader = shader!("pooling/max_unpool2d_grad");

impl Graph {
    /// 2-D max unpooling: the values `v` `[N, C, P, Q]` at the `indices` of [`Graph::max_pool2d_with_positions`], in
    /// planes of `size` rows and columns, zeros elsewhere. Of several values at one index the last in row-major order
    /// is kept; indices outside the plane are ignored.
    ///
    /// Errors: `v` is not f32 `[N, C, P, Q]`; `indices` that are not u32 of that shape.
    pub fn max_unpool2d(&mut self, v: NodeId, indices: NodeId, size: impl Into<Pair>) -> Result<NodeId> {
        self.append(MaxUnpool2d { size: size.into().0 }, &[v, indices])
    }
}

/// Calls `f(o, i)` for each value `o` of a plane that is kept, with its index `i`.
fn kept_values(indices: &[f64], plane: usize, mut f: impl FnMut(usize, usize)) {
    let mut last = vec![None; plane];
    for (o, &index) in indices.iter().enumerate() {
        if let Some(last) = last.get_mut(index as usize) {
            *last = Some(o);
        }
    }
    last.into_iter().enumerate().filter_map(|(i, o)| Some((o?, i))).for_each(|(o, i)| f(o, i));
}

/// The dispatches that write to scratch 0, for each element of the planes, which value of input 1 is the last at its
/// index.
fn mark(indices: &Shape, planes: usize, plane: usize) -> [Dispatch; 2] {
    let clear = Dispatch::new(CLEAR).writes(Operand::Scratch(0)).invocations(planes * plane, 64);
    let mark = Dispatch::new(MARK)
        .constants([("PQ", indices[2] * indices[3]), ("HW", plane)])
        .reads([Operand::Input(1)])
        .writes(Operand::Scratch(0))
        .invocations(indices.elements(), 64);
    [clear, mark]
}

/// Max unpooling. Inputs v, indices.
#[derive(Debug)]
struct MaxUnpool2d {
    size: [usize; 2],
}

impl Op for MaxUnpool2d {
    fn name(&self) -> &'static str {
        "max_unpool2d"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [v, indices] = inputs else { return Err(format!("takes v and indices, found {inputs:?}")) };
        let [n, c, _, _] = v.shape.nchw("v")?;
        if **v != TensorType::f32(v.shape.clone()) {
            return Err(format!("v must be f32, is {v}"));
        }
        let expected = TensorType::u32(v.shape.clone());
        if **indices != expected {
            return Err(format!("indices must be {expected}, one per value, are {indices}"));
        }
        Ok(TensorType::f32([n, c, self.size[0], self.size[1]]))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (values, plane) = (inputs[0].shape[2] * inputs[0].shape[3], self.size[0] * self.size[1]);
        let planes = inputs[0].f64().par_chunks(values).zip(inputs[1].f64().par_chunks(values));
        out.par_chunks_mut(plane).zip(planes).for_each(|(x, (v, indices))| {
            kept_values(indices, plane, |o, i| x[i] = v[o]);
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let indices = graph.node(node).inputs()[1];
        Ok(vec![Some(graph.append(MaxUnpool2dGrad, &[dy, indices])?), None])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let (x, indices) = (&io.output.shape, &io.inputs[1].shape);
        let [clear, mark] = mark(indices, x[0] * x[1], x[2] * x[3]);
        let spread = Dispatch::new(MAX_UNPOOL2D)
            .reads([Operand::Input(0), Operand::Scratch(0)])
            .writes(Operand::Output)
            .invocations(x.elements(), 64);
        let scratch = vec![TensorType::u32(x.clone())];
        vec![Kernel { name: MAX_UNPOOL2D.name, dispatches: vec![clear, mark, spread], scratch }]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { multilinear: true, ..Traits::default() }
    }
}

/// Gradient of max unpooling. Inputs dx, indices. Its own gradient is the unpooling.
#[derive(Debug)]
struct MaxUnpool2dGrad;

impl Op for MaxUnpool2dGrad {
    fn name(&self) -> &'static str {
        "max_unpool2d_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [dx, indices] = inputs else { return Err(format!("takes dx and indices, found {inputs:?}")) };
        let [[n, c, ..], [pn, pc, ..]] = [dx.shape.nchw("dx")?, indices.shape.nchw("indices")?];
        if [n, c] != [pn, pc] {
            return Err(format!("dx and indices must have the same planes, are {dx} and {indices}"));
        }
        Ok(TensorType::f32(indices.shape.clone()))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (dx, indices) = (inputs[0].shape, inputs[1].shape);
        let (plane, values) = (dx[2] * dx[3], indices[2] * indices[3]);
        let planes = inputs[0].f64().par_chunks(plane).zip(inputs[1].f64().par_chunks(values));
        out.par_chunks_mut(values).zip(planes).for_each(|(dv, (dx, indices))| {
            kept_values(indices, plane, |o, i| dv[o] = dx[i]);
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, ddv: NodeId) -> Result<Vec<Option<NodeId>>> {
        let [dx, indices] = graph.node(node).inputs() else { unreachable!("infer has checked") };
        let (indices, size) = (*indices, [graph.shape(*dx)[2], graph.shape(*dx)[3]]);
        Ok(vec![Some(graph.max_unpool2d(ddv, indices, size)?), None])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let (dx, indices) = (&io.inputs[0].shape, &io.inputs[1].shape);
        let plane = dx[2] * dx[3];
        let [clear, mark] = mark(indices, dx[0] * dx[1], plane);
        let gather = Dispatch::new(MAX_UNPOOL2D_GRAD)
            .constants([("PQ", indices[2] * indices[3]), ("HW", plane)])
            .reads([Operand::Input(0), Operand::Input(1), Operand::Scratch(0)])
            .writes(Operand::Output)
            .invocations(indices.elements(), 64);
        let scratch = vec![TensorType::u32(dx.clone())];
        vec![Kernel { name: MAX_UNPOOL2D_GRAD.name, dispatches: vec![clear, mark, gather], scratch }]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { multilinear: true, ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_have_the_shape_of_the_values() {
        let op = MaxUnpool2d { size: [5, 4] };
        let (v, indices) = (TensorType::f32([2, 3, 2, 2]), TensorType::u32([2, 3, 2, 2]));
        assert_eq!(op.infer(&[&v, &indices]).unwrap(), TensorType::f32([2, 3, 5, 4]));
        assert!(op.infer(&[&v, &v]).unwrap_err().contains("u32[2, 3, 2, 2]"));
        assert!(op.infer(&[&v, &TensorType::u32([2, 3, 4])]).unwrap_err().contains("u32[2, 3, 4]"));
    }

    #[test]
    fn the_last_value_is_kept_and_bad_indices_are_ignored() {
        let mut x = [0.0; 6];
        let shape = [1, 1, 1, 4].into();
        let inputs = [View::new(&shape, &[1.0, 2.0, 3.0, 4.0]), View::new(&shape, &[5.0, 0.0, 5.0, 6.0])];
        MaxUnpool2d { size: [2, 3] }.eval(&inputs, &mut x);
        assert_eq!(x, [2.0, 0.0, 0.0, 0.0, 0.0, 3.0]);
    }
}
