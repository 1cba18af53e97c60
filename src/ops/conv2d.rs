//! Convolution (cross-correlation) over feature maps.
//!
//! **What**: `y[n,k,p,q] = b[k] + Σ_c,r,s x[n, c, p·stride + r·dilation − pad, q·stride + s·dilation − pad] · w[k,c,r,s]`,
//! taps in the padding count as 0 · **Shapes**: x `[N,C,H,W]`, w `[K,C,R,S]`, b `[K]`, y `[N,K,P,Q]`, with P and Q by
//! [`Window::place`] · **Gradient**: to x and w the two operations below, to b the sum of dy over N, P and Q ·
//! **Cost**: N·K·P·Q·C·R·S multiply-adds · **Source**: Dumoulin & Visin 2016, arXiv:1603.07285.

use rayon::prelude::*;

use super::reduce::sum_stages;
use super::reference::{axpy, dot, span};
use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::shader;
use crate::shape::{DType, Placed, TensorType, Window};
use crate::tensor::View;

const DIRECT: Shader = shader!("conv2d_direct");
const GRAD_INPUT_DIRECT: Shader = shader!("conv2d_grad_input_direct");
const GRAD_INPUT_GATHER: Shader = shader!("conv2d_grad_input_gather");
const GRAD_WEIGHT_TAPS: Shader = shader!("conv2d_grad_weight_taps");
const GRAD_WEIGHT_ROWS: Shader = shader!("conv2d_grad_weight_rows");

/// Most filters or channels of a register tile.
const TILE_DEPTH: usize = 8;
/// Most columns of a register tile: a row of weights is loaded once for all of them.
const TILE_COLUMNS: usize = 14;
/// Most sums of a register tile of the gradient to the weights.
const TILE_SUMS: usize = 128;

impl Graph {
    /// Convolution of x `[N,C,H,W]` with K filters w `[K,C,R,S]` and an optional bias `[K]`. See [`crate::ops::conv2d`].
    ///
    /// Errors: ranks, channel counts or bias length that do not fit; a window of another size than the filters; a
    /// window larger than its padded input; a stride or dilation of 0.
    pub fn conv2d(&mut self, x: NodeId, w: NodeId, b: Option<NodeId>, window: Window) -> Result<NodeId> {
        let inputs: Vec<NodeId> = [x, w].into_iter().chain(b).collect();
        self.append(Conv2d { window }, &inputs)
    }
}

/// All extents of one convolution, and where its windows lie.
struct Extents {
    n: usize,
    c: usize,
    h: usize,
    w: usize,
    k: usize,
    placed: Placed,
    window: Window,
}

impl Extents {
    fn new(x: &TensorType, w: &TensorType, window: Window) -> Result<Self, String> {
        if x.dtype != DType::F32 || w.dtype != DType::F32 {
            return Err(format!("takes f32 tensors, found x {x} and w {w}"));
        }
        let [n, c, h, width] = x.shape.nchw("x")?;
        let [k, wc, r, s] =
            <[usize; 4]>::try_from(&*w.shape).map_err(|_| format!("w must be [K, C, R, S], is {}", w.shape))?;
        if wc != c {
            return Err(format!("w has {wc} input channels, x has {c} (x {}, w {})", x.shape, w.shape));
        }
        if [r, s] != window.size {
            return Err(format!("w has {r}x{s} filters, the window is {}x{}", window.size[0], window.size[1]));
        }
        Ok(Self { n, c, h, w: width, k, placed: window.place([h, width])?, window })
    }

    fn of(x: &[usize], w: &[usize], window: Window) -> Self {
        Self::new(&TensorType::f32(x), &TensorType::f32(w), window).expect("inferred when built")
    }

    fn taps(&self) -> usize {
        self.c * self.window.size[0] * self.window.size[1]
    }

    fn multiply_adds(&self) -> u64 {
        (self.n * self.k * self.placed.out[0] * self.placed.out[1] * self.taps()) as u64
    }

    /// The constants every kernel here shares.
    fn dispatch(&self, shader: Shader) -> Dispatch {
        let Window { size, stride, dilation, .. } = self.window;
        let (out, begin) = (self.placed.out, self.placed.begin);
        Dispatch::new(shader)
            .constants([("N", self.n), ("C", self.c), ("H", self.h), ("W", self.w), ("K", self.k)])
            .constants([("R", size[0]), ("S", size[1]), ("P", out[0]), ("Q", out[1])])
            .constants([("STRIDE_H", stride[0]), ("STRIDE_W", stride[1])])
            .constants([("DILATION_H", dilation[0]), ("DILATION_W", dilation[1])])
            .constants([("PAD_TOP", begin[0]), ("PAD_LEFT", begin[1])])
    }

    /// For each row of windows that meets the image: `f(p, h, r)`.
    fn rows(&self, mut f: impl FnMut(usize, usize, usize)) {
        for p in 0..self.placed.out[0] {
            for (r, h) in self.window.taps(&self.placed, 0, p, self.h) {
                f(p, h, r);
            }
        }
    }

    /// The outputs `q` whose tap `s` lies inside the image, and the first one's column.
    fn columns(&self, s: usize) -> (std::ops::Range<usize>, usize) {
        span(self.placed.out[1], self.w, self.window.stride[1], self.placed.begin[1], s * self.window.dilation[1])
    }
}

/// The register tile of a kernel: the size up to `most` that wastes least of `extent`, the largest of those.
fn tile(extent: usize, most: usize) -> usize {
    let smallest = (most / 2).max(1);
    (smallest..=most).rev().min_by_key(|t| extent.div_ceil(*t) * t).unwrap_or(1).min(extent)
}

#[derive(Debug)]
struct Conv2d {
    window: Window,
}

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let (x, w, b) = match inputs {
            [x, w] => (x, w, None),
            [x, w, b] => (x, w, Some(b)),
            _ => return Err(format!("takes x, w and an optional bias, found {} inputs", inputs.len())),
        };
        let e = Extents::new(x, w, self.window)?;
        if let Some(b) = b
            && **b != TensorType::f32([e.k])
        {
            return Err(format!("the bias of {} filters must be f32[{}], is {b}", e.k, e.k));
        }
        Ok(TensorType::f32([e.n, e.k, e.placed.out[0], e.placed.out[1]]))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let e = Extents::of(inputs[0].shape, inputs[1].shape, self.window);
        let (x, w) = (inputs[0].f64(), inputs[1].f64());
        let ([r_size, s_size], [p_size, q_size]) = (self.window.size, e.placed.out);
        out.par_chunks_mut(e.k * p_size * q_size).zip(x.par_chunks(e.c * e.h * e.w)).for_each(|(y, x)| {
            for (k, y) in y.chunks_mut(p_size * q_size).enumerate() {
                if let Some(b) = inputs.get(2) {
                    y.fill(b.f64()[k]);
                }
                for (c, x) in x.chunks(e.h * e.w).enumerate() {
                    let w = &w[(k * e.c + c) * r_size * s_size..];
                    e.rows(|p, h, r| {
                        for s in 0..s_size {
                            let (q, first) = e.columns(s);
                            let y = &mut y[p * q_size..][q];
                            axpy(y, w[r * s_size + s], &x[h * e.w..][..e.w], first, e.window.stride[1]);
                        }
                    });
                }
            }
        });
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let inputs = graph.node(node).inputs().to_vec();
        let (x, w) = (inputs[0], inputs[1]);
        // The weights' gradient first: x can go before the gradient to x needs memory.
        let dw = graph.append(Conv2dGradWeight { window: self.window, w: graph.ty(w).clone() }, &[x, dy])?;
        let db = inputs.get(2).map(|_| graph.sum(dy, &[0, 2, 3], false)).transpose()?;
        let dx = graph.append(Conv2dGradInput { window: self.window, x: graph.ty(x).clone() }, &[w, dy])?;
        Ok([Some(dx), Some(dw)].into_iter().chain(db.map(Some)).collect())
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let e = Extents::of(&io.inputs[0].shape, &io.inputs[1].shape, self.window);
        let (tile_k, tile_q) = (tile(e.k, TILE_DEPTH), tile(e.placed.out[1], TILE_COLUMNS));
        let strips = e.n * e.k.div_ceil(tile_k) * e.placed.out[0] * e.placed.out[1].div_ceil(tile_q);
        let dispatch = e
            .dispatch(DIRECT)
            .constants([("TILE_K", tile_k), ("TILE_Q", tile_q)])
            .function("bias", if io.inputs.len() == 3 { "b[k]" } else { "0.0" })
            .reads_inputs(2)
            .writes(Operand::Output)
            .reads((io.inputs.len() == 3).then_some(Operand::Input(2)))
            .invocations(strips, 64);
        vec![Kernel::single(dispatch)]
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let e = Extents::of(&io.inputs[0].shape, &io.inputs[1].shape, self.window);
        Traits {
            reduction: e.taps() + 1,
            multilinear: true,
            takes_epilogue: true,
            multiply_adds: e.multiply_adds(),
            ..Traits::default()
        }
    }
}

/// `dx[n,c,h,w] = Σ_k,p,q,r,s dy[n,k,p,q] · w[k,c,r,s]` over the windows whose tap r, s lies on h, w. Inputs w, dy.
#[derive(Debug)]
struct Conv2dGradInput {
    window: Window,
    x: TensorType,
}

impl Conv2dGradInput {
    fn extents(&self, w: &[usize]) -> Extents {
        Extents::of(&self.x.shape, w, self.window)
    }
}

impl Op for Conv2dGradInput {
    fn name(&self) -> &'static str {
        "conv2d_grad_input"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [w, dy] = inputs else { return Err(format!("takes w and dy, found {} inputs", inputs.len())) };
        let y = Conv2d { window: self.window }.infer(&[&self.x, w])?;
        if y != **dy { Err(format!("dy must be {y}, is {dy}")) } else { Ok(self.x.clone()) }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let e = self.extents(inputs[0].shape);
        let (w, dy) = (inputs[0].f64(), inputs[1].f64());
        let ([r_size, s_size], [p_size, q_size]) = (self.window.size, e.placed.out);
        out.par_chunks_mut(e.c * e.h * e.w).zip(dy.par_chunks(e.k * p_size * q_size)).for_each(|(dx, dy)| {
            for (k, dy) in dy.chunks(p_size * q_size).enumerate() {
                for (c, dx) in dx.chunks_mut(e.h * e.w).enumerate() {
                    let w = &w[(k * e.c + c) * r_size * s_size..];
                    e.rows(|p, h, r| {
                        for s in 0..s_size {
                            let (q, first) = e.columns(s);
                            let weight = w[r * s_size + s];
                            let (dx, dy) = (&mut dx[h * e.w..][..e.w], &dy[p * q_size..][q]);
                            match e.window.stride[1] {
                                1 => axpy(&mut dx[first..][..dy.len()], weight, dy, 0, 1),
                                stride => dy.iter().enumerate().for_each(|(i, d)| dx[first + i * stride] += weight * d),
                            }
                        }
                    });
                }
            }
        });
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let e = self.extents(&io.inputs[0].shape);
        let tile_c = tile(e.c, TILE_DEPTH);
        let kernel = |shader, tile_w: usize| {
            let strips = e.n * e.c.div_ceil(tile_c) * e.h * e.w.div_ceil(tile_w);
            let dispatch = e
                .dispatch(shader)
                .constants([("TILE_C", tile_c), ("TILE_W", tile_w)])
                .reads_inputs(2)
                .writes(Operand::Output)
                .invocations(strips, 64);
            Kernel::single(dispatch)
        };
        let mut kernels = vec![];
        if e.window.stride == [1, 1] {
            kernels.push(kernel(GRAD_INPUT_DIRECT, tile(e.w, TILE_COLUMNS)));
        }
        kernels.push(kernel(GRAD_INPUT_GATHER, 1));
        kernels
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let e = self.extents(&io.inputs[0].shape);
        let reduction = e.k * self.window.size[0] * self.window.size[1];
        Traits { reduction, multilinear: true, multiply_adds: e.multiply_adds(), ..Traits::default() }
    }
}

/// `dw[k,c,r,s] = Σ_n,p,q dy[n,k,p,q] · x[n, c, p·stride + r·dilation − pad, …]`. Inputs x, dy.
#[derive(Debug)]
struct Conv2dGradWeight {
    window: Window,
    w: TensorType,
}

impl Conv2dGradWeight {
    fn extents(&self, x: &[usize]) -> Extents {
        Extents::of(x, &self.w.shape, self.window)
    }

    /// Partial sums over parts of the rows of windows, then the sum of the parts. Each invocation keeps `sums` sums
    /// for each filter of its tile, and `tasks` invocations share a filter and a part.
    fn kernel(&self, e: &Extents, shader: Shader, sums: usize, tasks: usize) -> Kernel {
        let tile_k = tile(e.k, (TILE_SUMS / sums).clamp(1, TILE_DEPTH));
        let tile_q = tile(e.placed.out[1], TILE_DEPTH);
        // Enough parts to fill a GPU, few enough that summing them costs little.
        let rows = e.n * e.placed.out[0];
        let a_part = e.k.div_ceil(tile_k) * tasks;
        let rows_a_part = rows.div_ceil((8192 / a_part).clamp(1, 256)).max(4).min(rows);
        let parts = rows.div_ceil(rows_a_part);
        let weights = self.w.shape.elements();
        let partial = e
            .dispatch(shader)
            .constants([("TILE_K", tile_k), ("TILE_Q", tile_q), ("ROWS", rows_a_part), ("PARTS", parts)])
            .reads_inputs(2)
            .writes(if parts == 1 { Operand::Output } else { Operand::Scratch(0) })
            .invocations(a_part * parts, 64);
        if parts == 1 {
            return Kernel::single(partial);
        }
        let mut scratch = vec![TensorType::f32([parts, weights])];
        let mut dispatches = vec![partial];
        dispatches.extend(sum_stages([1, parts, weights], Operand::Scratch(0), Operand::Output, &mut scratch));
        Kernel { name: shader.name, dispatches, scratch }
    }
}

/// Images whose contributions are summed before those of others: fixes the order of the sum for any thread count.
const IMAGES_A_PART: usize = 8;

impl Op for Conv2dGradWeight {
    fn name(&self) -> &'static str {
        "conv2d_grad_weight"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x, dy] = inputs else { return Err(format!("takes x and dy, found {} inputs", inputs.len())) };
        let y = Conv2d { window: self.window }.infer(&[x, &self.w])?;
        if y != **dy { Err(format!("dy must be {y}, is {dy}")) } else { Ok(self.w.clone()) }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let e = self.extents(inputs[0].shape);
        let (x, dy) = (inputs[0].f64(), inputs[1].f64());
        let ([r_size, s_size], [p_size, q_size]) = (self.window.size, e.placed.out);
        let image = |dw: &mut [f64], x: &[f64], dy: &[f64]| {
            for (k, dy) in dy.chunks(p_size * q_size).enumerate() {
                for (c, x) in x.chunks(e.h * e.w).enumerate() {
                    let dw = &mut dw[(k * e.c + c) * r_size * s_size..][..r_size * s_size];
                    e.rows(|p, h, r| {
                        for s in 0..s_size {
                            let (q, first) = e.columns(s);
                            let dy = &dy[p * q_size..][q];
                            dw[r * s_size + s] += dot(dy, &x[h * e.w..][..e.w], first, e.window.stride[1]);
                        }
                    });
                }
            }
        };
        let (x_size, y_size) = (e.c * e.h * e.w, e.k * p_size * q_size);
        let part = |(x, dy): (&[f64], &[f64])| {
            let mut dw = vec![0.0; self.w.shape.elements()];
            x.chunks(x_size).zip(dy.chunks(y_size)).for_each(|(x, dy)| image(&mut dw, x, dy));
            dw
        };
        let parts: Vec<Vec<f64>> =
            x.par_chunks(IMAGES_A_PART * x_size).zip(dy.par_chunks(IMAGES_A_PART * y_size)).map(part).collect();
        parts.iter().for_each(|part| axpy(out, 1.0, part, 0, 1));
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let e = self.extents(&io.inputs[0].shape);
        let [r, s] = self.window.size;
        let rows = self.kernel(&e, GRAD_WEIGHT_ROWS, s, e.c * r);
        match r * s <= TILE_SUMS {
            true => vec![self.kernel(&e, GRAD_WEIGHT_TAPS, r * s, e.c), rows],
            false => vec![rows],
        }
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

    fn shape(x: &[usize], w: &[usize], window: Window) -> Result<Vec<usize>, Error> {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32(x))?;
        let w = graph.input("w", TensorType::f32(w))?;
        let y = graph.conv2d(x, w, None, window)?;
        Ok(graph.shape(y).to_vec())
    }

    #[test]
    fn output_shape_follows_the_window_rule() {
        assert_eq!(shape(&[2, 1, 28, 28], &[6, 1, 5, 5], Window::new(5).padding(2)).unwrap(), [2, 6, 28, 28]);
        let window = Window::new([3, 2]).stride([2, 3]).dilation([2, 1]);
        assert_eq!(shape(&[1, 3, 9, 8], &[4, 3, 3, 2], window).unwrap(), [1, 4, 3, 3]);
    }

    #[test]
    fn operands_that_do_not_fit_are_named() {
        let error = shape(&[64, 16, 12, 12], &[16, 6, 5, 5], Window::new(5)).unwrap_err().to_string();
        assert!(error.contains("w has 6 input channels, x has 16"), "{error}");
        let error = shape(&[1, 1, 4, 4], &[1, 1, 5, 5], Window::new(5)).unwrap_err().to_string();
        assert!(error.contains("does not fit"), "{error}");
    }
}
