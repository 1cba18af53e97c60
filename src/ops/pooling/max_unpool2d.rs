//! Max unpooling: values go back to where max pooling found them.
//!
//! **What**: `x[n,c,positions[n,c,p,q]] = v[n,c,p,q]`, 0 elsewhere; of several values at one position the last in
//! row-major order stays; a position outside the plane takes its value nowhere · **Shapes**: v, positions `[N, C, P, Q]`,
//! x `[N, C, H, W]` with the H and W asked for · **Gradient**: each value that stayed gets `dx` at its position, the
//! others 0. (Positions of overlapping windows repeat, but with the same value, and its gradient counts once.) ·
//! **Errors**: other shapes or types · **Cost**: three passes over memory. Which value is the last is found by integer
//! maxima, which come out the same in every order.

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
    /// The values `v` `[N, C, P, Q]` at the `positions` that [`Graph::max_pool2d_with_positions`] saved, in planes of
    /// `size` rows and columns, with zeros elsewhere. Where positions repeat the last value in row-major order stays;
    /// positions outside the plane are left out.
    ///
    /// Errors: `v` is no f32 `[N, C, P, Q]`; positions that are not u32 of that shape.
    pub fn max_unpool2d(&mut self, v: NodeId, positions: NodeId, size: impl Into<Pair>) -> Result<NodeId> {
        self.append(MaxUnpool2d { size: size.into().0 }, &[v, positions])
    }
}

/// Calls `f(o, i)` for each value `o` of a plane that stays, with its position `i`.
fn winners(positions: &[f64], plane: usize, mut f: impl FnMut(usize, usize)) {
    let mut last = vec![None; plane];
    for (o, &position) in positions.iter().enumerate() {
        if let Some(last) = last.get_mut(position as usize) {
            *last = Some(o);
        }
    }
    last.into_iter().enumerate().filter_map(|(i, o)| Some((o?, i))).for_each(|(o, i)| f(o, i));
}

/// The dispatches that leave in scratch 0, for each element of the planes, which of input 1's positions is the last.
fn mark(positions: &Shape, planes: usize, plane: usize) -> [Dispatch; 2] {
    let clear = Dispatch::new(CLEAR).writes(Operand::Scratch(0)).invocations(planes * plane, 64);
    let mark = Dispatch::new(MARK)
        .constants([("PQ", positions[2] * positions[3]), ("HW", plane)])
        .reads([Operand::Input(1)])
        .writes(Operand::Scratch(0))
        .invocations(positions.elements(), 64);
    [clear, mark]
}

/// Inputs: `v`, then positions.
#[derive(Debug)]
struct MaxUnpool2d {
    size: [usize; 2],
}

impl Op for MaxUnpool2d {
    fn name(&self) -> &'static str {
        "max_unpool2d"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [v, positions] = inputs else { return Err(format!("takes values and positions, found {inputs:?}")) };
        let [n, c, _, _] = v.shape.nchw("v")?;
        if **v != TensorType::f32(v.shape.clone()) {
            return Err(format!("v must be f32, is {v}"));
        }
        let expected = TensorType::u32(v.shape.clone());
        if **positions != expected {
            return Err(format!("the positions must be {expected}, one for each value, are {positions}"));
        }
        Ok(TensorType::f32([n, c, self.size[0], self.size[1]]))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (values, plane) = (inputs[0].shape[2] * inputs[0].shape[3], self.size[0] * self.size[1]);
        let planes = inputs[0].f64().par_chunks(values).zip(inputs[1].f64().par_chunks(values));
        out.par_chunks_mut(plane).zip(planes).for_each(|(x, (v, positions))| {
            winners(positions, plane, |o, i| x[i] = v[o]);
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let positions = graph.node(node).inputs()[1];
        Ok(vec![Some(graph.append(MaxUnpool2dGrad, &[dy, positions])?), None])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let (x, positions) = (&io.output.shape, &io.inputs[1].shape);
        let [clear, mark] = mark(positions, x[0] * x[1], x[2] * x[3]);
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

/// Inputs: `dx`, then positions. Its own gradient is the unpooling again.
#[derive(Debug)]
struct MaxUnpool2dGrad;

impl Op for MaxUnpool2dGrad {
    fn name(&self) -> &'static str {
        "max_unpool2d_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [dx, positions] = inputs else { return Err(format!("takes dx and positions, found {inputs:?}")) };
        let [[n, c, ..], [pn, pc, ..]] = [dx.shape.nchw("dx")?, positions.shape.nchw("positions")?];
        if [n, c] != [pn, pc] {
            return Err(format!("dx and the positions must have the same planes, are {dx} and {positions}"));
        }
        Ok(TensorType::f32(positions.shape.clone()))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (dx, positions) = (inputs[0].shape, inputs[1].shape);
        let (plane, values) = (dx[2] * dx[3], positions[2] * positions[3]);
        let planes = inputs[0].f64().par_chunks(plane).zip(inputs[1].f64().par_chunks(values));
        out.par_chunks_mut(values).zip(planes).for_each(|(dv, (dx, positions))| {
            winners(positions, plane, |o, i| dv[o] = dx[i]);
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, ddv: NodeId) -> Result<Vec<Option<NodeId>>> {
        let [dx, positions] = graph.node(node).inputs() else { unreachable!("infer has checked") };
        let (positions, size) = (*positions, [graph.shape(*dx)[2], graph.shape(*dx)[3]]);
        Ok(vec![Some(graph.max_unpool2d(ddv, positions, size)?), None])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let (dx, positions) = (&io.inputs[0].shape, &io.inputs[1].shape);
        let plane = dx[2] * dx[3];
        let [clear, mark] = mark(positions, dx[0] * dx[1], plane);
        let gather = Dispatch::new(MAX_UNPOOL2D_GRAD)
            .constants([("PQ", positions[2] * positions[3]), ("HW", plane)])
            .reads([Operand::Input(0), Operand::Input(1), Operand::Scratch(0)])
            .writes(Operand::Output)
            .invocations(positions.elements(), 64);
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
    fn positions_are_one_for_each_value() {
        let op = MaxUnpool2d { size: [5, 4] };
        let (v, positions) = (TensorType::f32([2, 3, 2, 2]), TensorType::u32([2, 3, 2, 2]));
        assert_eq!(op.infer(&[&v, &positions]).unwrap(), TensorType::f32([2, 3, 5, 4]));
        assert!(op.infer(&[&v, &v]).unwrap_err().contains("u32[2, 3, 2, 2]"));
        assert!(op.infer(&[&v, &TensorType::u32([2, 3, 4])]).unwrap_err().contains("u32[2, 3, 4]"));
    }

    #[test]
    fn the_last_value_stays_and_bad_positions_take_theirs_nowhere() {
        let mut x = [0.0; 6];
        let shape = [1, 1, 1, 4].into();
        let inputs = [View::new(&shape, &[1.0, 2.0, 3.0, 4.0]), View::new(&shape, &[5.0, 0.0, 5.0, 6.0])];
        MaxUnpool2d { size: [2, 3] }.eval(&inputs, &mut x);
        assert_eq!(x, [2.0, 0.0, 0.0, 0.0, 0.0, 3.0]);
    }
}
