//! Augmentation: every picture of a batch is warped and toned at random, another way in every step.
//!
//! **What**: each picture is shifted (and cropped out of its padding), flipped, sheared along x, zoomed and turned about
//! its centre, in that order and in one pass: `y[p, q]` is x at the place that comes to (p, q), between pixels bilinear.
//! Then, with brightness b or contrast c, `clamp((1 + c)·(y − ½) + ½ + b, 0, 1)` · **Draws**, uniform and independent:
//! words of Philox4x32-10 of the counter `(block, step, picture, 1)` under the seed; they, and the places that pixels come
//! from, are whole numbers (2⁻¹⁶ of a pixel), so all devices draw and warp alike · **Shapes**: x, y `f32[N, C, H, W]`;
//! step `u32[1]` · **Gradient**: none · **Errors**: options out of range; pictures and options whose places pass 32,767
//! pixels · **Cost**: one pass over memory.

use std::ops::{Add, Mul};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::training::random::philox;
use crate::ops::training::warp::{Draw, Ranges, Warp};
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Error, Result, shader};

const AUGMENT: Shader = shader!("training/augment");

/// How pictures are varied in training. The default varies nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// The largest angle either way, degrees from 0 to 180.
    pub rotate: f32,
    /// The largest shift along each axis, either way, as a share of the picture from 0 to 1.
    pub shift: f32,
    /// The largest angle by which columns lean, either way, degrees from 0 to 80. Drawn by its tangent.
    pub shear: f32,
    /// The least and the largest magnification, 0.1 to 10.
    pub zoom: [f32; 2],
    /// What is flipped, half of the times.
    pub flip: Flip,
    /// The most that is added to all pixels or taken off, 0 to 1, where black is 0 and white 1.
    pub brightness: f32,
    /// How much further from middle grey or closer to it pixels come at most, as a share from 0 to 1.
    pub contrast: f32,
    /// The largest shift along each axis by whole pixels: a window of the picture's size out of a picture with so much
    /// padding.
    pub crop: u32,
    /// What is beyond the picture.
    pub fill: Fill,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            rotate: 0.0,
            shift: 0.0,
            shear: 0.0,
            zoom: [1.0; 2],
            flip: Flip::None,
            brightness: 0.0,
            contrast: 0.0,
            crop: 0,
            fill: Fill::Nearest,
        }
    }
}

impl Augment {
    /// Whether every picture stays as it is.
    pub fn is_nothing(&self) -> bool {
        *self == Self { fill: self.fill, ..Self::default() }
    }

    /// Refuses numbers outside their range.
    pub fn check(&self) -> Result<()> {
        let [low, high] = self.zoom;
        let fill = if let Fill::Value(value) = self.fill { value } else { 0.0 };
        for (name, value, least, most) in [
            ("rotate", self.rotate, 0.0, 180.0),
            ("shift", self.shift, 0.0, 1.0),
            ("shear", self.shear, 0.0, 80.0),
            ("zoom", low, 0.1, 10.0),
            ("zoom", high, 0.1, 10.0),
            ("brightness", self.brightness, 0.0, 1.0),
            ("contrast", self.contrast, 0.0, 1.0),
            ("fill", fill, 0.0, 1.0),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Error::option(format!("augment {name}"), format!("{least} to {most}"), value));
            }
        }
        if low > high {
            let found = format!("{low}:{high}");
            return Err(Error::option("augment zoom", "the least before the largest", found));
        }
        if self.crop > 4096 {
            return Err(Error::option("augment crop", "0 to 4096", self.crop));
        }
        Ok(())
    }
}

/// Which way pictures are flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flip {
    /// None.
    #[default]
    None,
    /// From side to side.
    Horizontal,
    /// Upside down.
    Vertical,
    /// Each way, one apart from the other.
    Both,
}

impl Flip {
    pub(in crate::ops) fn bits(self) -> u32 {
        self as u32
    }
}

/// What stands beyond the edges of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Fill {
    /// A value from 0 to 1.
    Value(f32),
    /// The pixel at the edge.
    #[default]
    Nearest,
    /// The picture again, mirrored, the pixel at the edge twice.
    Reflect,
}

impl Graph {
    /// The pictures `x` `[N, C, H, W]`, varied as `augment` says; another `step` (`u32[1]`, see [`Graph::clock`]) varies
    /// them another way, and so does another place in the batch. Two calls with one seed warp alike, say a picture and
    /// its mask. For training only: evaluation takes `x` itself.
    ///
    /// Errors: options out of range; an `x` of another rank; a step that is not `u32[1]`.
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
    /// Warps every picture, in the numbers the caller counts in.
    fn warp<T>(&self, x: &[T], step: u32, [c, h, w]: [usize; 3], y: &mut [T])
    where
        T: Copy + Default + PartialOrd + From<f32> + Add<Output = T> + Mul<Output = T> + Send + Sync,
    {
        let Augment { brightness, contrast, fill, .. } = self.augment;
        let ranges = Ranges::of(&self.augment, [h, w]);
        let row = c * h * w;
        let pictures = y.par_chunks_mut(row).zip(x.par_chunks(row)).enumerate();
        pictures.for_each(|(picture, (y, x))| {
            let key = [self.seed as u32, (self.seed >> 32) as u32];
            let draw = Draw::of(&ranges, |block| philox([block, step, picture as u32, 1], key));
            let warp = Warp::of(&draw, [h, w]);
            let [gain, offset] = warp.tone.map(T::from);
            for (i, y) in y.iter_mut().enumerate() {
                let plane = &x[i / (h * w) * (h * w)..][..h * w];
                let pixel = |column, row| match (fill.place(column, w), fill.place(row, h), fill) {
                    (Some(column), Some(row), _) => plane[row * w + column],
                    (.., Fill::Value(value)) => T::from(value),
                    _ => unreachable!("only a value has no place"),
                };
                let [(left, right_share), (top, bottom_share)] = warp.source(i % w, i / w % h);
                let shares = |behind: u32| [65_536 - behind, behind].map(|share| T::from(share as f32 / 65_536.0));
                let rows = shares(bottom_share).into_iter().zip(top..).map(|(row_share, row)| {
                    let taps = shares(right_share).into_iter().zip(left..).map(|(share, column)| {
                        let share = share * row_share;
                        // What has no share is not looked at, were it NaN.
                        if share == T::default() { share } else { share * pixel(column, row) }
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
    /// The pixel that stands at place `i` of an axis of so many, if one does.
    fn place(self, i: i64, size: usize) -> Option<usize> {
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

    /// As the shader has it.
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
            _ => return Err(format!("takes f32 pictures and a step u32[1], found {inputs:?}")),
        };
        let [_, _, h, w] = x.shape.nchw("x")?;
        let reach = Ranges::of(&self.augment, [h, w]).reach([h, w]);
        match reach < 32_768.0 {
            true => Ok((*x).clone()),
            false => Err(format!(
                "pixels may come from {reach:.0} pixels away, expected at most 32,767: smaller pictures than {h}x{w}, or \
                 a zoom not so far below 1"
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

    /// Contrast takes off what it adds.
    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        let Augment { brightness, contrast, fill, .. } = self.augment;
        let largest = inputs[0].magnitude().max(f64::from(fill.constants().1));
        largest * (1.0 + f64::from(contrast)) + f64::from(brightness + contrast)
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        Traits { reduction: 4, multiply_adds: 4 * io.output.shape.elements() as u64, ..Traits::default() }
    }
}
