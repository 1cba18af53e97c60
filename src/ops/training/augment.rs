//! Data augmentation: a random geometric and tonal transformation of each image of a batch, different in every step.
//!
//! - **Formula**: each image is shifted (or cropped from its padding), flipped, sheared along x, zoomed and rotated
//!   about its center, in that order and in one pass: `y[p, q]` is x at the source coordinates of (p, q), by bilinear
//!   interpolation. Then, with brightness b or contrast c, `clamp((1 + c)·(y − ½) + ½ + b, 0, 1)`.
//! - **Random numbers**: uniform and independent, from Philox4x32-10 with the counter `(block, step, image, 1)` and the
//!   seed as key. They and the source coordinates are integers (2⁻¹⁶ of a pixel), so all devices agree.
//! - **Shapes**: x, y `f32[N, C, H, W]`; step `u32[1]`.
//! - **Gradient**: none.
//! - **Errors**: options out of range; images and options with source coordinates beyond 32,767 pixels.
//! - **Cost**: one pass over memory.

use std::ops::{Add, Mul};

use rayon::prelude::*;

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::training::augment_options::{Augment, Fill};
use crate::ops::training::random::philox;
use crate::ops::training::warp::{Draw, Ranges, Warp};
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

const AUGMENT: Shader = shader!("training/augment");

impl Graph {
    /// Data augmentation of the images `x` `[N, C, H, W]`. The random transformation depends on `step` (`u32[1]`, see
    /// [`Graph::clock`]), on the index in the batch and on `seed`; calls with the same seed transform alike, for
    /// example an image and its mask. For training only: evaluation uses `x` itself.
    ///
    /// Errors: options out of range; an `x` that is not `[N, C, H, W]`; a step that is not `u32[1]`.
    pub fn augment(&mut self, x: NodeId, step: NodeId, augment: Augment, seed: u64) -> Result<NodeId> {
        augment.check()?;
        self.append(Augmentation { augment, seed }, &[x, step])
    }
}

#[derive(Clone, Debug)]
struct Augmentation {
    augment: Augment,
    seed: u64,
}

impl Augmentation {
    /// Transforms every image, in the caller's float type.
    fn warp<T>(&self, x: &[T], step: u32, [c, h, w]: [usize; 3], y: &mut [T])
    where
        T: Copy + Default + PartialOrd + From<f32> + Add<Output = T> + Mul<Output = T> + Send + Sync,
    {
        let Augment { brightness, contrast, fill, .. } = self.augment;
        let ranges = Ranges::of(&self.augment, [h, w]);
        let row = c * h * w;
        let images = y.par_chunks_mut(row).zip(x.par_chunks(row)).enumerate();
        images.for_each(|(image, (y, x))| {
            let key = [self.seed as u32, (self.seed >> 32) as u32];
            let draw = Draw::of(&ranges, |block| philox([block, step, image as u32, 1], key));
            let warp = Warp::of(&draw, [h, w]);
            let [gain, offset] = warp.tone.map(T::from);
            for (i, y) in y.iter_mut().enumerate() {
                let plane = &x[i / (h * w) * (h * w)..][..h * w];
                let pixel = |column, row| match (fill.source_index(column, w), fill.source_index(row, h), fill) {
                    (Some(column), Some(row), _) => plane[row * w + column],
                    (.., Fill::Value(value)) => T::from(value),
                    _ => unreachable!("only a constant fill has no pixel"),
                };
                let [(left, right_weight), (top, bottom_weight)] = warp.source(i % w, i / w % h);
                let weights =
                    |fraction: u32| [65_536 - fraction, fraction].map(|weight| T::from(weight as f32 / 65_536.0));
                let rows = weights(bottom_weight).into_iter().zip(top..).map(|(row_weight, row)| {
                    let taps = weights(right_weight).into_iter().zip(left..).map(|(weight, column)| {
                        let weight = weight * row_weight;
                        // A tap without weight is not read, because it may be NaN.
                        if weight == T::default() { weight } else { weight * pixel(column, row) }
                    });
                    taps.fold(T::default(), T::add)
                });
                *y = rows.fold(T::default(), T::add);
                if brightness > 0.0 || contrast > 0.0 {
                    let v = *y * gain + offset;
                    let [black, white] = [0.0, 1.0].map(T::from);
                    *y = if v < black {
                        black
                    } else if v > white {
                        white
                    } else {
                        v
                    };
                }
            }
        });
    }
}

impl Fill {
    /// The pixel index for coordinate `i` along an axis of `size` pixels; `None` for a constant.
    fn source_index(self, i: i64, size: usize) -> Option<usize> {
        let last = size as i64 - 1;
        let place = match self {
            Fill::Value(_) => (0..=last).contains(&i).then_some(i)?,
            Fill::Nearest => i.clamp(0, last),
            Fill::Reflect => {
                let place = i.rem_euclid(2 * size as i64);
                place.min(2 * last + 1 - place)
            }
        };
        Some(place as usize)
    }

    /// The padding mode as constants of the shader.
    fn constants(self) -> (u32, f32) {
        match self {
            Fill::Value(value) => (0, value),
            Fill::Nearest => (1, 0.0),
            Fill::Reflect => (2, 0.0),
        }
    }
}

impl Op for Augmentation {
    fn name(&self) -> &'static str {
        "augment"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let x = match inputs {
            [x, step] if x.dtype == DType::F32 && **step == TensorType::u32([1]) => x,
            _ => return Err(format!("takes f32 images and a step u32[1], found {inputs:?}")),
        };
        let [_, _, h, w] = x.shape.nchw("x")?;
        let reach = Ranges::of(&self.augment, [h, w]).reach([h, w]);
        match reach < 32_768.0 {
            true => Ok((*x).clone()),
            false => Err(format!(
                "pixels may come from {reach:.0} pixels away, expected at most 32,767: use images smaller than {h}x{w} \
                 or a larger zoom"
            )),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let [_, c, h, w] = inputs[0].shape[..] else { unreachable!("inferred") };
        self.warp(inputs[0].f64(), inputs[1].f64()[0] as u32, [c, h, w], out);
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        let [_, c, h, w] = inputs[0].shape[..] else { unreachable!("inferred") };
        self.warp(inputs[0].f32(), inputs[1].f64()[0] as u32, [c, h, w], out);
        true
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let [n, c, h, w] = io.output.shape[..] else { unreachable!("inferred") };
        let (fill, value) = self.augment.fill.constants();
        let dispatch = Dispatch::new(AUGMENT)
            .constants([("N", n), ("C", c), ("H", h), ("W", w)])
            .constants(Ranges::of(&self.augment, [h, w]).constants())
            .constant("FILL", fill)
            .constant("FILL_VALUE", value)
            .constant("SEED_LOW", self.seed as u32)
            .constant("SEED_HIGH", (self.seed >> 32) as u32)
            .reads_inputs(2)
            .writes(Operand::Output)
            .invocations(n * (c * h * w).div_ceil(8), 64);
        vec![Kernel::single(dispatch)]
    }

    // Contrast subtracts a part of what it adds.
    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        let Augment { brightness, contrast, fill, .. } = self.augment;
        let largest = inputs[0].magnitude().max(f64::from(fill.constants().1));
        largest * (1.0 + f64::from(contrast)) + f64::from(brightness + contrast)
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        Traits { reduction: 4, multiply_adds: 4 * io.output.shape.elements() as u64, ..Traits::default() }
    }
}
