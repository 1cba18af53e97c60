//! 2-D transposed convolution: the input gradient of a [convolution](crate::ops::convolution::conv2d) as an operation.
//!
//! - **Formula**: `y[n,k,h,v] = b[k] + Σ_c,p,q,r,s x[n,c,p,q] · w[c,k,r,s]` over the positions p, q of x and taps r, s
//!   with `h = p·stride + r·dilation − pad` (and likewise v), and the channels c of k's group.
//! - **Shapes**: x `[N,C,P,Q]`, w `[C,K/groups,R,S]`, b `[K]`, y `[N,K,H,W]` with
//!   `H = (P − 1)·stride − begin − end + dilation·(R − 1) + 1 + output_padding`; with `Same` padding `H = P·stride`.
//!   All f32.
//! - **Gradient**: to x the convolution of dy with w; to w that convolution's weight gradient; to b the sum of dy.
//! - **Cost**: N·C·P·Q·K/groups·R·S multiply-adds.
//! - **Source**: Zeiler et al. 2010; Dumoulin & Visin 2016, arXiv:1603.07285.

use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Io, Kernel, Limits, Operand};
use crate::ops::convolution::conv2d::{Conv2d, Conv2dGradWeight};
use crate::ops::convolution::extents::{Convolution, Extents, bias_of, each_group, window_of_filters};
use crate::shape::{DType, Padding, Pair, TensorType, Window};
use crate::tensor::View;

impl Graph {
    /// 2-D transposed convolution of x `[N,C,P,Q]` with w `[C,K/groups,R,S]` and an optional bias `[K]`. The window's
    /// padding is cropped from the output; `output_padding` adds rows and columns at its end. See
    /// [`crate::ops::convolution::conv_transpose2d`].
    ///
    /// Errors: ranks, channel counts or a bias length that do not match; a window whose size differs from that of the
    /// filters; padding that leaves no output; output padding not smaller than stride or dilation, or with `Same`
    /// padding, which fixes the output size; a stride or dilation of 0; channels that `groups` does not divide.
    pub fn conv_transpose2d(
        &mut self,
        x: NodeId,
        w: NodeId,
        b: Option<NodeId>,
        window: Window,
        output_padding: impl Into<Pair>,
        groups: usize,
    ) -> Result<NodeId> {
        let inputs: Vec<NodeId> = [x, w].into_iter().chain(b).collect();
        self.append(ConvTranspose2d { window, output_padding: output_padding.into().0, groups }, &inputs)
    }
}

#[derive(Debug)]
struct ConvTranspose2d {
    window: Window,
    output_padding: [usize; 2],
    groups: usize,
}

impl ConvTranspose2d {
    /// The convolution that maps y to x.
    fn convolution(&self, x: &[usize]) -> Convolution {
        Convolution { window: self.window, groups: self.groups, windows: Some([x[2], x[3]]) }
    }

    /// The extents of that convolution, from the shapes of y, w and x.
    fn extents(&self, io: &Io<'_>) -> Extents {
        Extents::of(&io.output.shape, &io.inputs[1].shape, self.convolution(&io.inputs[0].shape))
    }

    /// Rows and columns of y.
    fn output(&self, input: [usize; 2]) -> Result<[usize; 2], String> {
        let Window { size, stride, padding, dilation, ceil_mode } = self.window;
        if ceil_mode {
            return Err("ceil mode is not supported by transposed convolution; use output padding".into());
        }
        // Report invalid window options with the same messages as a convolution.
        self.window.place([u32::MAX as usize / 2; 2])?;
        let mut output = [0; 2];
        for axis in 0..2 {
            let (name, extra) = (["rows", "columns"][axis], self.output_padding[axis]);
            let (begin, end) = match padding {
                Padding::Same | Padding::SameLower if extra > 0 => {
                    return Err(format!(
                        "same padding makes {} {name} from {} with stride {}, output padding must be 0, is {extra}",
                        input[axis] * stride[axis],
                        input[axis],
                        stride[axis]
                    ));
                }
                Padding::Same | Padding::SameLower => {
                    output[axis] = input[axis] * stride[axis];
                    continue;
                }
                Padding::Valid => (0, 0),
                Padding::Explicit { top, bottom, left, right } => [(top, bottom), (left, right)][axis],
            };
            if extra >= stride[axis].max(dilation[axis]) {
                return Err(format!(
                    "output padding of {extra} {name} must be smaller than the stride of {} or the dilation of {}",
                    stride[axis], dilation[axis]
                ));
            }
            let full = (input[axis] - 1) * stride[axis] + dilation[axis] * (size[axis] - 1) + 1 + extra;
            output[axis] = full.checked_sub(begin + end).filter(|&left| left > 0).ok_or_else(|| {
                format!("padding {begin} + {end} leaves none of the {full} {name}; use a total padding below {full}")
            })?;
        }
        Ok(output)
    }
}

impl Op for ConvTranspose2d {
    fn name(&self) -> &'static str {
        "conv_transpose2d"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let (2 | 3, [x, w, ..]) = (inputs.len(), inputs) else {
            return Err(format!("takes x, w and an optional bias, found {} inputs", inputs.len()));
        };
        if x.dtype != DType::F32 || w.dtype != DType::F32 {
            return Err(format!("takes f32 tensors, found x {x} and w {w}"));
        }
        let [n, c, rows, columns] = x.shape.nchw("x")?;
        let [wc, group_k, r, s] =
            <[usize; 4]>::try_from(&*w.shape).map_err(|_| format!("w must be [C, K/groups, R, S], is {}", w.shape))?;
        each_group(self.groups, c, "channels of x")?;
        if wc != c {
            return Err(format!("w has {wc} input channels, x has {c} (x {}, w {})", x.shape, w.shape));
        }
        window_of_filters(self.window, [r, s])?;
        let k = group_k.checked_mul(self.groups).ok_or("the number of output channels overflows 64 bits")?;
        bias_of(k, inputs.get(2))?;
        let [h, width] = self.output([rows, columns])?;
        let y = TensorType::f32([n, k, h, width]);
        Extents::new(&y, w, self.convolution(&x.shape))?;
        Ok(y)
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (x, w) = (inputs[0].shape, inputs[1].shape);
        let [h, width] = self.output([x[2], x[3]]).expect("inferred when built");
        let e = Extents::of(&[x[0], w[1] * self.groups, h, width], w, self.convolution(x));
        e.grad_input(inputs[1].f64(), inputs[0].f64(), inputs.get(2).map(View::f64), out);
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let (x, w) = (inputs[0].shape, inputs[1].shape);
        let [h, width] = self.output([x[2], x[3]]).expect("inferred when built");
        let e = Extents::of(&[x[0], w[1] * self.groups, h, width], w, self.convolution(x));
        e.grad_input_f32(inputs[1].f32(), inputs[0].f32(), inputs.get(2).map(View::f32), out);
        true
    }

    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        let inputs = graph.node(node).inputs().to_vec();
        let (x, w) = (inputs[0], inputs[1]);
        let convolution = self.convolution(graph.shape(x));
        let dw = graph.append(Conv2dGradWeight { convolution, w: graph.ty(w).clone(), has_bias: false }, &[dy, x])?;
        let db = inputs.get(2).map(|_| graph.sum(dy, &[0, 2, 3], false)).transpose()?;
        let dx = graph.append(Conv2d(convolution), &[dy, w])?;
        Ok([Some(dx), Some(dw)].into_iter().chain(db.map(Some)).collect())
    }

    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        let bias = (io.inputs.len() == 3).then_some(Operand::Input(2));
        self.extents(io).grad_input_kernels(limits, Operand::Input(1), Operand::Input(0), bias)
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let e = self.extents(io);
        Traits {
            reduction: e.grad_input_terms() + 1,
            multilinear: true,
            takes_epilogue: true,
            multiply_adds: e.multiply_adds(),
            ..Traits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn shape(x: [usize; 4], w: [usize; 4], window: Window, extra: usize, groups: usize) -> Result<Vec<usize>, Error> {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32(x))?;
        let w = graph.input("w", TensorType::f32(w))?;
        let y = graph.conv_transpose2d(x, w, None, window, extra, groups)?;
        Ok(graph.shape(y).to_vec())
    }

    #[test]
    fn output_shape_inverts_the_window_rule() {
        let made = |window, extra| shape([2, 6, 5, 7], [6, 2, 3, 3], window, extra, 2).unwrap();
        assert_eq!(made(Window::new(3), 0), [2, 4, 7, 9]);
        assert_eq!(made(Window::new(3).stride(2).padding(1), 1), [2, 4, 10, 14]);
        assert_eq!(made(Window::new(3).stride(2).padding(Padding::Same), 0), [2, 4, 10, 14]);
        assert_eq!(made(Window::new(3).stride([4, 5]).padding(Padding::SameLower), 0), [2, 4, 20, 35]);
        let uneven = Padding::Explicit { top: 2, bottom: 0, left: 0, right: 1 };
        assert_eq!(made(Window::new(3).dilation(3).padding(uneven), 2), [2, 4, 11, 14]);
    }

    #[test]
    fn mismatched_operands_are_rejected_with_a_reason() {
        let window = Window::new(3).stride(2);
        for (w, window, extra, groups, part) in [
            ([4, 2, 3, 3], window, 0, 1, "w has 4 input channels, x has 6"),
            ([6, 2, 2, 3], window, 0, 1, "w has 2x3 filters, the window is 3x3"),
            ([6, 2, 3, 3], window, 0, 4, "the 6 channels of x do not fall into 4 groups"),
            ([6, 2, 3, 3], window, 2, 1, "output padding of 2 rows must be smaller than the stride of 2"),
            ([6, 2, 3, 3], window.padding(Padding::Same), 1, 1, "output padding must be 0, is 1"),
            ([6, 2, 3, 3], window.padding(6), 0, 1, "padding 6 + 6 leaves none of the 11 rows"),
            ([6, 2, 3, 3], window.stride([0, 1]), 0, 1, "stride must be at least 1"),
        ] {
            let error = shape([2, 6, 5, 7], w, window, extra, groups).unwrap_err().to_string();
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }
}
