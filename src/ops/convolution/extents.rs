//! The extents of one convolution, shared by [`conv2d`](crate::ops::convolution::conv2d), its gradients and
//! [`conv_transpose2d`](crate::ops::convolution::conv_transpose2d), with their f64 reference loops.
//!
//! Names are those of the forward convolution throughout: x `[N,C,H,W]` and w `[K,C/groups,R,S]` give y `[N,K,P,Q]`.
//! The K filters and the C channels are split into `groups` contiguous ranges; filter k sees the channels of its own
//! group.

use std::ops::Range;

use rayon::prelude::*;

use crate::graph::Pooling;
use crate::kernel::{ALIGNMENT, Dispatch, Kernel, Limits, MOST_KEPT, MOST_ROUNDS, Operand, Shader, stages};
use crate::ops::loops::reference::{axpy, dot, span};
use crate::ops::matrices::block::with_block;
use crate::ops::reductions::reduce::sum_stages;
use crate::shader;
use crate::shape::{DType, Placed, TensorType, Window};

const GRAD_INPUT_DIRECT: Shader = shader!("convolution/conv2d_grad_input_direct");
const GRAD_INPUT_GATHER: Shader = shader!("convolution/conv2d_grad_input_gather");

/// Maximum filters or channels of a register tile.
pub(super) const TILE_DEPTH: usize = 8;
/// Maximum columns of a register tile: a row of weights is loaded once for all of them.
pub(super) const TILE_COLUMNS: usize = 14;
/// Maximum partial sums of the weight gradient, in floats.
pub(super) const MAX_PARTIAL: usize = 1 << 24;
/// Images per partial sum: fixes the summation order for any number of threads.
pub(super) const IMAGES_PER_PART: usize = 8;

/// Attributes of a convolution.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::ops) struct Convolution {
    pub window: Window,
    pub groups: usize,
    /// Output rows and columns if fewer than fit: a transposed convolution fixes them by its input.
    pub windows: Option<[usize; 2]>,
}

/// Extents of one convolution, and the placement of its windows.
pub(in crate::ops) struct Extents {
    pub n: usize,
    pub c: usize,
    pub h: usize,
    pub w: usize,
    pub k: usize,
    pub groups: usize,
    /// Channels per group.
    pub group_c: usize,
    /// Filters per group.
    pub group_k: usize,
    pub placed: Placed,
    pub window: Window,
    /// Max-pooling windows fused into the kernels, and the columns of y before it.
    pub pooling: Pooling,
    pub y_columns: usize,
}

impl Extents {
    pub fn new(x: &TensorType, w: &TensorType, convolution: Convolution) -> Result<Self, String> {
        let Convolution { window, groups, windows } = convolution;
        if x.dtype != DType::F32 || w.dtype != DType::F32 {
            return Err(format!("takes f32 tensors, found x {x} and w {w}"));
        }
        let [n, c, h, width] = x.shape.nchw("x")?;
        let [k, wc, r, s] =
            <[usize; 4]>::try_from(&*w.shape).map_err(|_| format!("w must be [K, C/groups, R, S], is {}", w.shape))?;
        let group_c = each_group(groups, c, "channels of x")?;
        let group_k = each_group(groups, k, "filters of w")?;
        if wc != group_c {
            let of_group = if groups == 1 { String::new() } else { format!(" / {groups} groups = {group_c}") };
            return Err(format!("w has {wc} input channels, x has {c}{of_group} (x {}, w {})", x.shape, w.shape));
        }
        window_of_filters(window, [r, s])?;
        let mut placed = window.place([h, width])?;
        placed.out = windows.unwrap_or(placed.out);
        let (pooling, y_columns) = (Pooling::NONE, placed.out[1]);
        Ok(Self { n, c, h, w: width, k, groups, group_c, group_k, placed, window, pooling, y_columns })
    }

    /// The convolution with fused pooling, without the outputs that no pooling window covers.
    pub fn pooled(mut self, pooling: Pooling) -> Self {
        (0..2).for_each(|axis| self.placed.out[axis] -= self.placed.out[axis] % pooling.size[axis]);
        Self { pooling, ..self }
    }

    /// Adds the pooling constants to a dispatch that writes y.
    fn pool(&self, dispatch: Dispatch) -> Dispatch {
        let Pooling { size: [down, across], leaves } = self.pooling;
        let dispatch = dispatch.constants([("POOL_H", down), ("POOL_W", across), ("Y_COLUMNS", self.y_columns)]);
        match leaves {
            true => dispatch.writes_at(4, Operand::Scratch(0)),
            false => dispatch.function("keep", "0.0"),
        }
    }

    /// Adds pooling to a kernel of one dispatch, which then also writes the argmax indices if requested.
    pub fn pool_kernel(&self, mut kernel: Kernel) -> Kernel {
        kernel.dispatches = kernel.dispatches.into_iter().map(|dispatch| self.pool(dispatch)).collect();
        let [p, q] = [0, 1].map(|axis| self.placed.out[axis] / self.pooling.size[axis]);
        kernel.scratch.extend(self.pooling.leaves.then(|| TensorType::u32([self.n, self.k, p, q])));
        kernel
    }

    pub fn of(x: &[usize], w: &[usize], convolution: Convolution) -> Self {
        Self::new(&TensorType::f32(x), &TensorType::f32(w), convolution).expect("inferred when built")
    }

    /// Columns of x read by `windows` adjacent windows.
    pub fn strip(&self, windows: usize) -> usize {
        (windows - 1) * self.window.stride[1] + (self.window.size[1] - 1) * self.window.dilation[1] + 1
    }

    /// The convolution of dy with the flipped kernel that equals the gradient to x. `None` if the stride is not 1 or
    /// the padding exceeds the dilated kernel size less 1.
    pub fn flipped(&self) -> Option<Self> {
        let Window { size, stride, dilation, .. } = self.window;
        let begin = |axis: usize| (dilation[axis] * (size[axis] - 1)).checked_sub(self.placed.begin[axis]);
        (stride == [1, 1]).then_some(Self {
            c: self.k,
            k: self.c,
            group_c: self.group_k,
            group_k: self.group_c,
            h: self.placed.out[0],
            w: self.placed.out[1],
            placed: Placed { out: [self.h, self.w], begin: [begin(0)?, begin(1)?], ..self.placed },
            y_columns: self.w,
            ..*self
        })
    }

    /// Whether no window reads padding.
    pub fn is_inside(&self) -> bool {
        let Window { size, stride, dilation, .. } = self.window;
        let last = |axis: usize| (self.placed.out[axis] - 1) * stride[axis] + (size[axis] - 1) * dilation[axis];
        self.placed.begin == [0, 0] && last(0) < self.h && last(1) < self.w
    }

    /// Products summed per element of y.
    pub fn taps(&self) -> usize {
        self.group_c * self.window.size[0] * self.window.size[1]
    }

    /// Maximum products summed per element of the gradient to x.
    pub fn grad_input_terms(&self) -> usize {
        self.group_k * self.window.size[0] * self.window.size[1]
    }

    /// The range of the bias gradient behind the weight gradient, aligned for a binding; empty without a bias.
    pub fn bias_range(&self, has_bias: bool) -> Range<usize> {
        let weights = self.k * self.taps();
        let start = weights.next_multiple_of(ALIGNMENT / 4);
        if has_bias { start..start + self.k } else { weights..weights }
    }

    /// [`Extents::dispatch`] for the gradient to the weights and optionally the bias.
    pub fn grad_weight_dispatch(&self, shader: Shader, bias: &Range<usize>) -> Dispatch {
        self.dispatch(shader).constants([("BIAS_AT", bias.start), ("TOTAL", bias.end)])
    }

    pub fn multiply_adds(&self) -> u64 {
        (self.n * self.k * self.placed.out[0] * self.placed.out[1] * self.taps()) as u64
    }

    /// A dispatch with the constants that all these kernels share.
    pub fn dispatch(&self, shader: Shader) -> Dispatch {
        let Window { size, stride, dilation, .. } = self.window;
        let (out, begin) = (self.placed.out, self.placed.begin);
        Dispatch::new(shader)
            .constants([("N", self.n), ("C", self.c), ("H", self.h), ("W", self.w), ("K", self.k)])
            .constants([("R", size[0]), ("S", size[1]), ("P", out[0]), ("Q", out[1]), ("GROUPS", self.groups)])
            .constants([("STRIDE_H", stride[0]), ("STRIDE_W", stride[1])])
            .constants([("DILATION_H", dilation[0]), ("DILATION_W", dilation[1])])
            .constants([("PAD_TOP", begin[0]), ("PAD_LEFT", begin[1])])
    }

    /// The candidates for the gradient to x, or for a transposed convolution, which adds a bias.
    pub fn grad_input_kernels(&self, limits: &Limits, w: Operand, dy: Operand, bias: Option<Operand>) -> Vec<Kernel> {
        let tile_c = tile(self.group_c, TILE_DEPTH);
        let blocks = self.groups * self.group_c.div_ceil(tile_c);
        let dispatch = |shader, tile_w: usize| {
            let dispatch = self.dispatch(shader).constant("TILE_C", tile_c).reads([w, dy]).writes(Operand::Output);
            dispatch.invocations(self.n * blocks * self.h * self.w.div_ceil(tile_w), 64)
        };
        let biased = |kernel| add_bias(kernel, bias.map(|bias| (bias, "b[c]")));
        let names = ["K_BEGIN", "K_END"];
        let gather = dispatch(GRAD_INPUT_GATHER, 1);
        let gather = biased(in_turn(GRAD_INPUT_GATHER, gather, self.gather_stages(self.group_k, names)));
        if self.window.stride != [1, 1] {
            return vec![gather];
        }
        let tile_w = tile(self.w, TILE_COLUMNS);
        let stages = self.direct_stages(self.group_k, names, self.strip(tile_w), tile_c);
        let direct = dispatch(GRAD_INPUT_DIRECT, tile_w).constant("TILE_W", tile_w);
        let direct = stages.map(|stages| biased(in_turn(GRAD_INPUT_DIRECT, direct, stages)));
        let shared =
            self.grad_input_depthwise(w, dy, bias).into_iter().chain(self.grad_input_subgroup(limits, w, dy, bias));
        let others = shared.chain(direct).chain([gather]).collect();
        let others = with_block(self.grad_input_block(w, dy, bias), true, limits, others);
        self.grad_input_with_winograd(limits, w, dy, bias, others)
    }

    /// The stages that split `planes` for a kernel that keeps a strip of a row for a tile of `depth`, as the constants
    /// of each dispatch; `None` if one plane exceeds the limits of an invocation.
    pub fn direct_stages(
        &self,
        planes: usize,
        names: [&'static str; 2],
        strip: usize,
        depth: usize,
    ) -> Option<Vec<Vec<(&'static str, usize)>>> {
        let [r, s] = self.window.size;
        let a_plane = self.pooling.size[0] * (1 + r * (1 + strip + depth * (1 + s)));
        let fits = strip <= MOST_KEPT && a_plane <= MOST_ROUNDS;
        let stage = |ends: [usize; 2]| names.into_iter().zip(ends).collect();
        fits.then(|| stages(planes, MOST_ROUNDS / a_plane).map(stage).collect())
    }

    /// The stages of a kernel that loops over taps and, for each tap, over `planes`.
    pub fn gather_stages(&self, planes: usize, names: [&'static str; 2]) -> Vec<Vec<(&'static str, usize)>> {
        let planes = stages(planes, MOST_ROUNDS - 1);
        let longest = planes.clone().map(|[begin, end]| end - begin).max().unwrap_or(0);
        let taps = stages(self.window.size[0] * self.window.size[1], MOST_ROUNDS / (1 + longest));
        let stage = |[begin, end]: [usize; 2]| {
            let taps = [("TAP_BEGIN", begin), ("TAP_END", end)];
            planes.clone().map(move |ends| taps.into_iter().chain(names.into_iter().zip(ends)).collect())
        };
        taps.flat_map(stage).collect()
    }

    /// f64 reference of y.
    pub fn forward(&self, x: &[f64], w: &[f64], bias: Option<&[f64]>, y: &mut [f64]) {
        let (image, [p_size, q_size]) = (self.h * self.w, self.placed.out);
        y.par_chunks_mut(self.k * p_size * q_size).zip(x.par_chunks(self.c * image)).for_each(|(y, x)| {
            fill(y, bias);
            self.planes(w, |k, c, w| {
                let (y, x) = (&mut y[k * p_size * q_size..][..p_size * q_size], &x[c * image..][..image]);
                self.rows(|p, h, r| {
                    for (s, weight) in w[r * self.window.size[1]..][..self.window.size[1]].iter().enumerate() {
                        let (q, first) = self.columns(s);
                        axpy(
                            &mut y[p * q_size..][q],
                            *weight,
                            &x[h * self.w..][..self.w],
                            first,
                            self.window.stride[1],
                        );
                    }
                });
            });
        });
    }

    /// f64 reference of the gradient to x, plus an optional bias per channel.
    pub fn grad_input(&self, w: &[f64], dy: &[f64], bias: Option<&[f64]>, dx: &mut [f64]) {
        let (image, [p_size, q_size]) = (self.h * self.w, self.placed.out);
        dx.par_chunks_mut(self.c * image).zip(dy.par_chunks(self.k * p_size * q_size)).for_each(|(dx, dy)| {
            fill(dx, bias);
            self.planes(w, |k, c, w| {
                let (dx, dy) = (&mut dx[c * image..][..image], &dy[k * p_size * q_size..][..p_size * q_size]);
                self.rows(|p, h, r| {
                    for (s, weight) in w[r * self.window.size[1]..][..self.window.size[1]].iter().enumerate() {
                        let (q, first) = self.columns(s);
                        let (dx, dy) = (&mut dx[h * self.w..][..self.w], &dy[p * q_size..][q]);
                        match self.window.stride[1] {
                            1 => axpy(&mut dx[first..][..dy.len()], *weight, dy, 0, 1),
                            stride => dy.iter().enumerate().for_each(|(i, d)| dx[first + i * stride] += weight * d),
                        }
                    }
                });
            });
        });
    }

    /// f64 reference of the gradient to w.
    pub fn grad_weight(&self, x: &[f64], dy: &[f64], dw: &mut [f64]) {
        let (image, [p_size, q_size], [_, s_size]) = (self.h * self.w, self.placed.out, self.window.size);
        let (x_size, y_size) = (self.c * image, self.k * p_size * q_size);
        let part = |(x, dy): (&[f64], &[f64])| {
            let mut dw = vec![0.0; self.k * self.taps()];
            for (x, dy) in x.chunks(x_size).zip(dy.chunks(y_size)) {
                self.planes_mut(&mut dw, |k, c, dw| {
                    let (x, dy) = (&x[c * image..][..image], &dy[k * p_size * q_size..][..p_size * q_size]);
                    self.rows(|p, h, r| {
                        for s in 0..s_size {
                            let (q, first) = self.columns(s);
                            let (dy, x) = (&dy[p * q_size..][q], &x[h * self.w..][..self.w]);
                            dw[r * s_size + s] += dot(dy, x, first, self.window.stride[1]);
                        }
                    });
                });
            }
            dw
        };
        let parts: Vec<Vec<f64>> =
            x.par_chunks(IMAGES_PER_PART * x_size).zip(dy.par_chunks(IMAGES_PER_PART * y_size)).map(part).collect();
        parts.iter().for_each(|part| axpy(dw, 1.0, part, 0, 1));
    }

    /// The gradient to the bias, written to the end of `behind`, the output behind the weight gradient. `sum` sums dy
    /// over one plane; `rounded` converts the total to the output type.
    pub fn grad_bias<T: Default + Copy + Send + Sync>(
        &self,
        dy: &[T],
        behind: &mut [T],
        sum: impl Fn(&[T]) -> f64 + Sync,
        rounded: impl Fn(f64) -> T + Sync,
    ) {
        let plane = self.placed.out[0] * self.placed.out[1];
        let (gap, db) = behind.split_at_mut(behind.len() - self.k);
        gap.fill(T::default());
        db.par_iter_mut().enumerate().for_each(|(k, db)| {
            let planes = dy.chunks(plane).skip(k).step_by(self.k);
            *db = rounded(planes.map(&sum).sum());
        });
    }

    /// Calls `f(k, c, weights)` for each filter and each channel that it sees.
    fn planes(&self, w: &[f64], mut f: impl FnMut(usize, usize, &[f64])) {
        let plane = self.window.size[0] * self.window.size[1];
        w.chunks(plane).enumerate().for_each(|(i, w)| f(i / self.group_c, self.channel(i), w));
    }

    /// [`Extents::planes`] for writing.
    fn planes_mut(&self, w: &mut [f64], mut f: impl FnMut(usize, usize, &mut [f64])) {
        let plane = self.window.size[0] * self.window.size[1];
        w.chunks_mut(plane).enumerate().for_each(|(i, w)| f(i / self.group_c, self.channel(i), w));
    }

    /// The channel of x that plane `i` of the weights sees.
    fn channel(&self, i: usize) -> usize {
        i / (self.group_c * self.group_k) * self.group_c + i % self.group_c
    }

    /// Calls `f(p, h, r)` for each kernel row r of output row p that reads image row h.
    fn rows(&self, mut f: impl FnMut(usize, usize, usize)) {
        for p in 0..self.placed.out[0] {
            for (r, h) in self.window.taps(&self.placed, 0, p, self.h) {
                f(p, h, r);
            }
        }
    }

    /// The output columns whose tap `s` reads inside the image, and the image column of the first one.
    fn columns(&self, s: usize) -> (std::ops::Range<usize>, usize) {
        span(self.placed.out[1], self.w, self.window.stride[1], self.placed.begin[1], s * self.window.dilation[1])
    }
}

/// Initializes every channel of an image with its bias.
fn fill(image: &mut [f64], bias: Option<&[f64]>) {
    if let Some(bias) = bias {
        let channel = image.len() / bias.len();
        image.chunks_mut(channel).zip(bias).for_each(|(y, b)| y.fill(*b));
    }
}

/// A kernel with one dispatch per entry of `stages`, which lists the constants to add; each dispatch continues the sums
/// that the previous one left in the output.
pub(in crate::ops) fn in_turn(shader: Shader, dispatch: Dispatch, stages: Vec<Vec<(&'static str, usize)>>) -> Kernel {
    let turn = |(number, stage): (usize, Vec<(&'static str, usize)>)| {
        let mut dispatch = dispatch.clone().constant("CONTINUES", number > 0);
        dispatch.constants.extend(stage.into_iter().map(|(name, value)| (name, value.into())));
        dispatch
    };
    Kernel::of(shader, stages.into_iter().enumerate().map(turn).collect())
}

/// Adds the bias in the last dispatch: an operand and the WGSL expression that reads it.
pub(super) fn add_bias(mut kernel: Kernel, bias: Option<(Operand, &str)>) -> Kernel {
    let last = kernel.dispatches.len() - 1;
    let bias_of = |(number, dispatch): (usize, Dispatch)| match bias.filter(|_| number == last) {
        Some((operand, read)) => dispatch.function("bias", read).reads([operand]),
        None => dispatch.function("bias", "0.0"),
    };
    kernel.dispatches = kernel.dispatches.into_iter().enumerate().map(bias_of).collect();
    kernel
}

/// Adds the final reduction to a kernel whose first scratch buffer holds partial sums `[parts, weights]`.
pub(in crate::ops) fn sum_parts(mut kernel: Kernel, parts: usize, weights: usize) -> Kernel {
    if parts > 1 {
        kernel.scratch.push(TensorType::f32([parts, weights]));
        let extents = [1, parts, weights];
        let sum = sum_stages(extents, Operand::Scratch(0), Operand::Output, &mut kernel.scratch);
        kernel.dispatches.extend(sum);
    }
    kernel
}

/// `count` divided by `groups`.
pub(super) fn each_group(groups: usize, count: usize, what: &str) -> Result<usize, String> {
    match groups {
        0 => Err("groups must be at least 1, is 0".into()),
        _ if !count.is_multiple_of(groups) => {
            Err(format!("the {count} {what} do not fall into {groups} groups of equal size"))
        }
        _ => Ok(count / groups),
    }
}

pub(super) fn window_of_filters(window: Window, [r, s]: [usize; 2]) -> Result<(), String> {
    match [r, s] == window.size {
        true => Ok(()),
        false => Err(format!("w has {r}x{s} filters, the window is {}x{}", window.size[0], window.size[1])),
    }
}

/// Checks that the bias has shape `[k]`.
pub(in crate::ops) fn bias_of(k: usize, bias: Option<&&TensorType>) -> Result<(), String> {
    match bias {
        Some(b) if **b != TensorType::f32([k]) => Err(format!("the bias of {k} filters must be f32[{k}], is {b}")),
        _ => Ok(()),
    }
}

/// The register tile size for `extent`: of the sizes from most / 2 to `most`, the largest of those that waste least.
pub(in crate::ops) fn tile(extent: usize, most: usize) -> usize {
    let smallest = (most / 2).max(1);
    (smallest..=most).rev().min_by_key(|t| extent.div_ceil(*t) * t).unwrap_or(1).min(extent)
}
