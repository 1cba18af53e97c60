//! 2-D convolution (cross-correlation), optionally grouped.
//!
//! - **Formula**: `y[n,k,p,q] = b[k] + Σ_c,r,s x[n, c, p·stride + r·dilation − pad, q·stride + s·dilation − pad] ·
//!   w[k,c,r,s]` over the channels c of k's group; padding is zeros.
//! - **Shapes**: x `[N,C,H,W]`, w `[K,C/groups,R,S]`, b `[K]`, y `[N,K,P,Q]`, with P and Q by [`Window::place`].
//!   Depthwise convolution is groups = C with K/C filters per channel. All f32.
//! - **Gradient**: to x and w the two operations below; to b the sum of dy over N, P and Q.
//! - **Cost**: N·K·P·Q·C/groups·R·S multiply-adds.
//! - **Source**: Dumoulin & Visin 2016, arXiv:1603.07285.

use std::ops::Range;

use crate::graph::{Graph, NodeId, Op, Pooling, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, MOST_KEPT, MOST_ROUNDS, Operand, Shader, stages};
use crate::ops::convolution::extents::{
    Convolution, Extents, MAX_PARTIAL, TILE_COLUMNS, TILE_DEPTH, add_bias, bias_of, in_turn, sum_parts, tile,
};
use crate::ops::matrices::block::with_block;
use crate::ops::reductions::reduce::sum;
use crate::shape::{TensorType, Window};
use crate::tensor::View;
use crate::{Result, shader};

/// Maximum columns of a register tile of `conv2d_direct` if its output is pooled.
const POOLED_COLUMNS: usize = 8;

const DIRECT: Shader = shader!("convolution/conv2d_direct");
const GATHER: Shader = shader!("convolution/conv2d_gather");
const GRAD_WEIGHT_TAPS: Shader = shader!("convolution/conv2d_grad_weight_taps");
const GRAD_WEIGHT_ROWS: Shader = shader!("convolution/conv2d_grad_weight_rows");
const GRAD_WEIGHT_GATHER: Shader = shader!("convolution/conv2d_grad_weight_gather");

/// Maximum number of sums in a register tile of the weight gradient.
const TILE_SUMS: usize = 128;

impl Graph {
    /// 2-D convolution of x `[N,C,H,W]` with w `[K,C,R,S]` and an optional bias `[K]`; y is `[N,K,P,Q]`. See
    /// [`crate::ops::convolution::conv2d`].
    ///
    /// Errors: ranks, channel counts or a bias length that do not match; a window whose size differs from that of the
    /// filters; a window larger than the padded input; a stride or dilation of 0.
    pub fn conv2d(&mut self, x: NodeId, w: NodeId, b: Option<NodeId>, window: Window) -> Result<NodeId> {
        self.conv2d_grouped(x, w, b, window, 1)
    }

    /// Grouped 2-D convolution: as [`Graph::conv2d`] with w `[K,C/groups,R,S]`, where filters see only the channels of
    /// their own group. With `groups` = C it is the depthwise convolution.
    ///
    /// Errors: as [`Graph::conv2d`]; C or K that is not a multiple of `groups`; `groups` of 0.
    pub fn conv2d_grouped(
        &mut self,
        x: NodeId,
        w: NodeId,
        b: Option<NodeId>,
        window: Window,
        groups: usize,
    ) -> Result<NodeId> {
        let inputs: Vec<NodeId> = [x, w].into_iter().chain(b).collect();
        self.append(Conv2d(Convolution { window, groups, windows: None }), &inputs)
    }
}

#[derive(Debug)]
pub(super) struct Conv2d(pub Convolution);

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let (2 | 3, [x, w, ..]) = (inputs.len(), inputs) else {
            return Err(format!("takes x, w and an optional bias, found {} inputs", inputs.len()));
        };
        let e = Extents::new(x, w, self.0)?;
        bias_of(e.k, inputs.get(2))?;
        Ok(TensorType::f32([e.n, e.k, e.placed.out[0], e.placed.out[1]]))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let e = Extents::of(inputs[0].shape, inputs[1].shape, self.0);
        e.forward(inputs[0].f64(), inputs[1].f64(), inputs.get(2).map(View::f64), out);
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let e = Extents::of(inputs[0].shape, inputs[1].shape, self.0);
        e.forward_f32(inputs[0].f32(), inputs[1].f32(), inputs.get(2).map(View::f32), out);
        true
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let inputs = graph.node(node).inputs().to_vec();
        let (x, w) = (inputs[0], inputs[1]);
        // The weight gradient comes first, so that the memory of x is free before the input gradient is allocated.
        let grad = Conv2dGradWeight { convolution: self.0, w: graph.ty(w).clone(), has_bias: inputs.len() == 3 };
        let (bias, w_shape) = (grad.bias(graph.shape(x)), grad.w.shape.clone());
        let mut dw = graph.append(grad, &[x, dy])?;
        let mut db = None;
        if !bias.is_empty() {
            db = Some(graph.slice_flat(dw, bias.start, [bias.len()])?);
            dw = graph.slice_flat(dw, 0, w_shape)?;
        }
        let dx = graph.append(Conv2dGradInput { convolution: self.0, x: graph.ty(x).clone() }, &[w, dy])?;
        Ok([Some(dx), Some(dw)].into_iter().chain(db.map(Some)).collect())
    }

    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        let e = Extents::of(&io.inputs[0].shape, &io.inputs[1].shape, self.0);
        let bias = bias_operand(io);
        let core = direct(&e, bias).unwrap_or_else(|| gather(&e, bias));
        let others = e.depthwise(bias).into_iter().chain(e.subgroup(limits, bias)).chain([core]).collect();
        e.with_winograd(limits, bias, with_block(e.block(bias), true, limits, others))
    }

    fn pooled_kernels(&self, io: &Io<'_>, limits: &Limits, pooling: Pooling) -> Vec<Kernel> {
        let e = Extents::of(&io.inputs[0].shape, &io.inputs[1].shape, self.0).pooled(pooling);
        let bias = bias_operand(io);
        // A kernel of several dispatches accumulates partial sums in y and cannot pool.
        let core = direct(&e, bias).filter(|kernel| kernel.dispatches.len() == 1);
        e.block(bias).into_iter().chain(e.subgroup(limits, bias)).chain(core).collect()
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let e = Extents::of(&io.inputs[0].shape, &io.inputs[1].shape, self.0);
        Traits {
            reduction: e.taps() + 1,
            multilinear: true,
            takes_epilogue: true,
            takes_pooling: true,
            multiply_adds: e.multiply_adds(),
            ..Traits::default()
        }
    }
}

fn bias_operand(io: &Io<'_>) -> Option<Operand> {
    (io.inputs.len() == 3).then_some(Operand::Input(2))
}

/// A dispatch for y in which each invocation computes `tile_q` adjacent columns of `tile_k` filters.
fn dispatch(e: &Extents, shader: Shader, tile_k: usize, tile_q: usize) -> Dispatch {
    let blocks = e.groups * e.group_k.div_ceil(tile_k);
    let rows = e.placed.out[0] / e.pooling.size[0];
    let dispatch = e.dispatch(shader).constant("TILE_K", tile_k).reads_inputs(2).writes(Operand::Output);
    dispatch.invocations(e.n * blocks * rows * e.placed.out[1].div_ceil(tile_q), 64)
}

/// The kernel with a register tile of filters by columns; `None` if the tile exceeds the limits of an invocation.
fn direct(e: &Extents, bias: Option<Operand>) -> Option<Kernel> {
    let across = e.pooling.size[1];
    // With pooling, an invocation covers several rows; fewer columns keep parallelism up and register use down.
    let columns = if e.pooling == Pooling::NONE { TILE_COLUMNS } else { POOLED_COLUMNS };
    let windows = tile(e.placed.out[1] / across, (columns / across).max(1));
    let (tile_k, tile_q) = (tile(e.group_k, TILE_DEPTH), windows * across);
    let stages = e.direct_stages(e.group_c, ["C_BEGIN", "C_END"], e.strip(tile_q), tile_k)?;
    let tiles = [("TILE_Q", tile_q), ("TILE_WINDOWS", windows)];
    let kernel = in_turn(DIRECT, dispatch(e, DIRECT, tile_k, tile_q).constants(tiles), stages);
    Some(e.pool_kernel(add_bias(kernel, bias.map(|bias| (bias, "b[k]")))))
}

/// The kernel in which each invocation computes one column of a tile of filters.
fn gather(e: &Extents, bias: Option<Operand>) -> Kernel {
    let dispatch = dispatch(e, GATHER, tile(e.group_k, TILE_DEPTH), 1);
    let kernel = in_turn(GATHER, dispatch, e.gather_stages(e.group_c, ["C_BEGIN", "C_END"]));
    add_bias(kernel, bias.map(|bias| (bias, "b[k]")))
}

/// Gradient to the input: `dx[n,c,h,w] = Σ_k,p,q,r,s dy[n,k,p,q] · w[k,c,r,s]` over the windows whose tap r, s reads
/// h, w. Inputs w, dy.
#[derive(Debug)]
struct Conv2dGradInput {
    convolution: Convolution,
    x: TensorType,
}

impl Conv2dGradInput {
    fn extents(&self, w: &[usize]) -> Extents {
        Extents::of(&self.x.shape, w, self.convolution)
    }
}

impl Op for Conv2dGradInput {
    fn name(&self) -> &'static str {
        "conv2d_grad_input"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [w, dy] = inputs else { return Err(format!("takes w and dy, found {} inputs", inputs.len())) };
        let y = Conv2d(self.convolution).infer(&[&self.x, w])?;
        if y != **dy { Err(format!("dy must be {y}, is {dy}")) } else { Ok(self.x.clone()) }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        self.extents(inputs[0].shape).grad_input(inputs[0].f64(), inputs[1].f64(), None, out);
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        self.extents(inputs[0].shape).grad_input_f32(inputs[0].f32(), inputs[1].f32(), None, out);
        true
    }

    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        self.extents(&io.inputs[0].shape).grad_input_kernels(limits, Operand::Input(0), Operand::Input(1), None)
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let e = self.extents(&io.inputs[0].shape);
        Traits {
            reduction: e.grad_input_terms(),
            multilinear: true,
            takes_epilogue: true,
            multiply_adds: e.multiply_adds(),
            ..Traits::default()
        }
    }
}

/// Gradient to the weights: `dw[k,c,r,s] = Σ_n,p,q dy[n,k,p,q] · x[n, c, p·stride + r·dilation − pad, …]`. Inputs x,
/// dy. With a bias the output is flat: dw, then from the next multiple of 64 elements `db[k] = Σ_n,p,q dy[n,k,p,q]`.
#[derive(Debug)]
pub(super) struct Conv2dGradWeight {
    pub convolution: Convolution,
    pub w: TensorType,
    pub has_bias: bool,
}

impl Conv2dGradWeight {
    fn extents(&self, x: &[usize]) -> Extents {
        Extents::of(x, &self.w.shape, self.convolution)
    }

    /// The range of the bias gradient in the output; empty without a bias.
    fn bias(&self, x: &[usize]) -> Range<usize> {
        self.extents(x).bias_range(self.has_bias)
    }

    /// A two-stage reduction: partial sums over parts of the output rows, then the sum of the parts. Each invocation
    /// keeps the sums of `window_rows` kernel rows for each filter of its tile; `tasks` invocations share a filter and
    /// a part. `None` if the tile exceeds the limits of an invocation.
    fn tiled(&self, e: &Extents, shader: Shader, window_rows: usize, tasks: usize) -> Option<Kernel> {
        let bias = e.bias_range(self.has_bias);
        let tile_q = tile(e.placed.out[1], TILE_DEPTH);
        let (sums, strip) = (window_rows * e.window.size[1], e.strip(tile_q));
        let most_sums = if window_rows > 1 { TILE_SUMS } else { MOST_KEPT };
        if sums > most_sums || window_rows * strip > MOST_KEPT {
            return None;
        }
        let tile_k = tile(e.group_k, (TILE_SUMS / sums).clamp(1, TILE_DEPTH));
        // Limit on loop iterations per invocation: `a_block` for each block of columns, the rest for the sums
        // themselves.
        let a_block = 1 + window_rows * (1 + strip) + tile_k * (1 + window_rows + sums);
        let most = MOST_ROUNDS - 2 * tile_k * (1 + sums);
        let blocks = e.placed.out[1].div_ceil(tile_q);
        let most_blocks = blocks.min((most - 1) / a_block);
        let most_rows = most / (1 + most_blocks * a_block);
        // Enough parts to fill a GPU and to keep loops short, few enough that summing them is cheap.
        let rows = e.n * e.placed.out[0];
        let a_part = e.groups * e.group_k.div_ceil(tile_k) * tasks;
        let shortest = rows.div_ceil((MAX_PARTIAL / bias.end).max(1));
        let rows_a_part = rows.div_ceil((8192 / a_part).clamp(1, 256)).max(4).min(most_rows).max(shortest).min(rows);
        let parts = rows.div_ceil(rows_a_part);
        let partial = e
            .grad_weight_dispatch(shader, &bias)
            .constants([("TILE_K", tile_k), ("TILE_Q", tile_q), ("ROWS", rows_a_part), ("PARTS", parts)])
            .reads_inputs(2)
            .writes(if parts == 1 { Operand::Output } else { Operand::Scratch(0) })
            .invocations(a_part * parts, 64);
        let turn = |[begin, end]: [usize; 2]| {
            let rows = [("ROW_BEGIN", begin), ("ROW_END", end)];
            let turn = move |[begin, end]: [usize; 2]| {
                rows.into_iter().chain([("BLOCK_BEGIN", begin), ("BLOCK_END", end)]).collect()
            };
            stages(blocks, most_blocks).map(turn)
        };
        let kernel = in_turn(shader, partial, stages(rows_a_part, most_rows).flat_map(turn).collect());
        Some(sum_parts(kernel, parts, bias.end))
    }

    /// The kernel with one invocation per weight or bias, which loops over all output positions.
    fn gather(&self, e: &Extents) -> Kernel {
        let bias = e.bias_range(self.has_bias);
        let dispatch = e.grad_weight_dispatch(GRAD_WEIGHT_GATHER, &bias).reads_inputs(2).writes(Operand::Output);
        let positions = stages(e.n * e.placed.out[0] * e.placed.out[1], MOST_ROUNDS);
        let turn = |[begin, end]: [usize; 2]| vec![("BEGIN", begin), ("END", end)];
        let dispatch = dispatch.invocations(bias.end, 64);
        in_turn(GRAD_WEIGHT_GATHER, dispatch, positions.map(turn).collect())
    }
}

impl Op for Conv2dGradWeight {
    fn name(&self) -> &'static str {
        "conv2d_grad_weight"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x, dy] = inputs else { return Err(format!("takes x and dy, found {} inputs", inputs.len())) };
        let y = Conv2d(self.convolution).infer(&[x, &self.w])?;
        if y != **dy {
            return Err(format!("dy must be {y}, is {dy}"));
        }
        let bias = self.bias(&x.shape);
        Ok(if bias.is_empty() { self.w.clone() } else { TensorType::f32([bias.end]) })
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (e, dy) = (self.extents(inputs[0].shape), inputs[1].f64());
        let (dw, behind) = out.split_at_mut(self.w.shape.elements());
        e.grad_weight(inputs[0].f64(), dy, dw);
        if self.has_bias {
            e.grad_bias(dy, behind, |plane| plane.iter().sum(), |sum| sum);
        }
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let (e, dy) = (self.extents(inputs[0].shape), inputs[1].f32());
        let (dw, behind) = out.split_at_mut(self.w.shape.elements());
        e.grad_weight_f32(inputs[0].f32(), dy, dw);
        if self.has_bias {
            e.grad_bias(dy, behind, sum, |sum| sum as f32);
        }
        true
    }

    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        let e = self.extents(&io.inputs[0].shape);
        let (r, bias) = (e.window.size[0], e.bias_range(self.has_bias));
        let taps = self.tiled(&e, GRAD_WEIGHT_TAPS, r, e.group_c);
        let rows = self.tiled(&e, GRAD_WEIGHT_ROWS, 1, e.group_c * r);
        let tiled: Vec<Kernel> = taps.into_iter().chain(rows).collect();
        let core = if tiled.is_empty() { vec![self.gather(&e)] } else { tiled };
        let shared = e.grad_weight_subgroup(limits, &bias);
        let others = e.grad_weight_depthwise(&bias).into_iter().chain(shared).chain(core).collect();
        with_block(e.grad_weight_block(&bias), true, limits, others)
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let e = self.extents(&io.inputs[0].shape);
        let reduction = e.n * e.placed.out[0] * e.placed.out[1];
        Traits { reduction, multilinear: true, multiply_adds: e.multiply_adds(), ..Traits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn shape(x: &[usize], w: &[usize], window: Window, groups: usize) -> Result<Vec<usize>, Error> {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32(x))?;
        let w = graph.input("w", TensorType::f32(w))?;
        let y = graph.conv2d_grouped(x, w, None, window, groups)?;
        Ok(graph.shape(y).to_vec())
    }

    #[test]
    fn output_shape_follows_the_window_rule() {
        assert_eq!(shape(&[2, 1, 28, 28], &[6, 1, 5, 5], Window::new(5).padding(2), 1).unwrap(), [2, 6, 28, 28]);
        let window = Window::new([3, 2]).stride([2, 3]).dilation([2, 1]);
        assert_eq!(shape(&[1, 3, 9, 8], &[4, 3, 3, 2], window, 1).unwrap(), [1, 4, 3, 3]);
        assert_eq!(shape(&[1, 6, 9, 8], &[4, 3, 3, 2], window, 2).unwrap(), [1, 4, 3, 3]);
    }

    #[test]
    fn mismatched_operands_are_rejected_with_a_reason() {
        for (x, w, groups, parts) in [
            ([64, 16, 12, 12], [16, 6, 5, 5], 1, "w has 6 input channels, x has 16 (x"),
            ([1, 1, 4, 4], [1, 1, 5, 5], 1, "does not fit"),
            ([1, 6, 9, 9], [4, 6, 5, 5], 2, "w has 6 input channels, x has 6 / 2 groups = 3"),
            ([1, 6, 9, 9], [8, 6, 5, 5], 4, "the 6 channels of x do not fall into 4 groups"),
            ([1, 6, 9, 9], [8, 2, 5, 5], 3, "the 8 filters of w do not fall into 3 groups"),
            ([1, 6, 9, 9], [8, 2, 5, 5], 0, "groups must be at least 1"),
        ] {
            let error = shape(&x, &w, Window::new(5), groups).unwrap_err().to_string();
            assert!(error.contains(parts), "{error:?} lacks {parts:?}");
        }
    }
}
