//! Layers that move values: reshaping, padding, cropping, resizing, concatenation.

use crate::graph::NodeId;
use crate::nn::layer::elementwise::same_axes;
use crate::nn::layer::kind::{Layer, LayerKind, Place, Role, constructors};
use crate::nn::layer::setting::{Axes, Extents, Form, Setting, Slot, Value, optional, pair, required};
use crate::nn::reach::Reach;
use crate::ops::{Cut, Upsampling};
use crate::shape::{Padding, Pair, Shape};
use crate::{Error, Result};

constructors! {
    /// All axes but the batch made one.
    flatten() {
        Layer::new(Flatten)
    }

    /// That many times as many rows and columns, each value repeated.
    upsample(factor: impl Into<Pair>) {
        Layer::of(Upsample::default(), [("factor", pair(factor))])
    }

    /// That many times as many rows and columns, with linear interpolation between the values.
    upsample_bilinear(factor: impl Into<Pair>) {
        Layer::of(Upsample::default(), [("factor", pair(factor)), ("mode", Upsampling::Bilinear.into())])
    }

    /// Zeros around each channel: that many rows and columns, or [`Padding::Explicit`].
    pad(sides: impl Into<Padding>) {
        Layer::pad_with(sides, 0.0)
    }

    /// As [`Layer::pad`], with another value than 0.
    pad_with(sides: impl Into<Padding>, value: f32) {
        let sides: Padding = sides.into();
        Layer::of(Pad::default(), [("padding", sides.into()), ("value", value.into())])
    }

    /// Channels of zeros behind the others: `[N, C, H, W]` to `[N, C + channels, H, W]`.
    pad_channels(channels: usize) {
        Layer::of(PadChannels::default(), [("channels", channels.into())])
    }

    /// Rows and columns cut off on each side: that many, or [`Padding::Explicit`].
    crop(sides: impl Into<Padding>) {
        let sides: Padding = sides.into();
        Layer::of(Crop::default(), [("cropping", sides.into())])
    }

    /// The same elements, in row-major order, with these extents; the batch is not among them. One extent may be −1: it
    /// is computed from the others.
    reshape(shape: impl Into<Vec<i64>>) {
        Layer::of(Reshape::default(), [("shape", Value::Integers(shape.into()))])
    }

    /// The axes in another order: axis k of the result is axis `axes[k − 1]` of the input. The batch, axis 0, stays
    /// first and is not listed: PyTorch's `permute(0, 2, 3, 1)` is `[2, 3, 1]`.
    permute(axes: impl Into<Vec<i64>>) {
        Layer::of(Permute::default(), [("axes", Value::Integers(axes.into()))])
    }
}

impl Layer {
    /// Branches concatenated along the channels; [`axis`](Self::axis) sets another axis.
    pub fn concat() -> Self {
        Self::of(Concat::default(), [])
    }
}

/// `[N, ..]` to `[N, features]`.
#[derive(Clone, Default)]
pub(super) struct Flatten;

impl LayerKind for Flatten {
    fn kind(&self) -> &str {
        "flatten"
    }

    fn about(&self) -> &'static str {
        "all axes but the batch made one"
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.build.graph.flatten(at.x)
    }
}

const MODES: [&str; 2] = ["nearest", "bilinear"];

impl From<Upsampling> for Value {
    fn from(how: Upsampling) -> Self {
        Value::Name(MODES[usize::from(how == Upsampling::Bilinear)].into())
    }
}

impl Slot for Upsampling {
    fn form(&self) -> Form {
        Form::Choice(&MODES)
    }

    fn get(&self) -> Option<Value> {
        Some((*self).into())
    }

    fn set(&mut self, value: Value) -> bool {
        let mode = [Upsampling::Nearest, Upsampling::Bilinear].into_iter().find(|mode| Value::from(*mode) == value);
        mode.map(|mode| *self = mode).is_some()
    }
}

/// More rows and columns.
#[derive(Clone, Default)]
pub(super) struct Upsample {
    factor: [usize; 2],
    mode: Upsampling,
}

impl LayerKind for Upsample {
    fn kind(&self) -> &str {
        "upsample"
    }

    fn stem(&self) -> &str {
        "up"
    }

    fn about(&self) -> &'static str {
        "more rows and columns"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        const FACTOR: &str = "factor by which rows and columns are multiplied";
        vec![
            required("factor", &mut self.factor, FACTOR).shown(),
            optional("mode", &mut self.mode, Upsampling::Nearest, "interpolation: `\"nearest\"` or `\"bilinear\"`")
                .shown(),
        ]
    }

    fn reach(&self, _x: &Shape) -> Reach {
        let taps = if self.mode == Upsampling::Bilinear { [2, 2] } else { [1, 1] };
        Reach::Resized { taps, from: [1, 1], to: self.factor }
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.at_least_one("upsample", "factor", self.factor[0].min(self.factor[1]))?;
        at.build.graph.upsample_by(at.x, self.factor, self.mode)
    }
}

/// Rows and columns of one value around each channel.
#[derive(Clone, Default)]
pub(super) struct Pad {
    sides: Padding,
    value: f32,
}

impl LayerKind for Pad {
    fn kind(&self) -> &str {
        "pad"
    }

    fn about(&self) -> &'static str {
        "rows and columns of one value around each channel"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![
            required("padding", &mut self.sides, "rows and columns on each side").shown(),
            optional("value", &mut self.value, 0.0, "the value").shown_as("with"),
        ]
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        match sides(at, "pad", self.sides)? {
            None => Ok(at.x),
            Some([rows, columns]) => at.build.graph.pad(at.x, &[[0, 0], [0, 0], rows, columns], self.value),
        }
    }
}

/// Rows and columns on each side of `x`; none for no padding.
///
/// Errors: an `x` that is no `[N, C, H, W]`; padding that belongs to a window.
fn sides(at: &Place<'_, '_>, op: &'static str, sides: Padding) -> Result<Option<[[usize; 2]; 2]>> {
    at.shape().nchw("x").map_err(|reason| at.refuse(op, reason))?;
    match sides {
        Padding::Valid => Ok(None),
        Padding::Explicit { top, bottom, left, right } => Ok(Some([[top, bottom], [left, right]])),
        Padding::Same | Padding::SameLower => {
            let reason = "takes rows and columns for each side; same padding belongs to a window";
            Err(at.refuse(op, reason.into()))
        }
    }
}

/// Channels of zeros behind the others.
#[derive(Clone, Default)]
pub(super) struct PadChannels {
    channels: usize,
}

impl LayerKind for PadChannels {
    fn kind(&self) -> &str {
        "pad_channels"
    }

    fn stem(&self) -> &str {
        "pad"
    }

    fn about(&self) -> &'static str {
        "channels of zeros behind the others"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![required("channels", &mut self.channels, "number of channels that are added").shown()]
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.shape().nchw("x").map_err(|reason| at.refuse("pad_channels", reason))?;
        at.at_least_one("pad_channels", "channels", self.channels)?;
        at.build.graph.pad(at.x, &[[0, 0], [0, self.channels], [0, 0], [0, 0]], 0.0)
    }
}

/// Rows and columns cut off.
#[derive(Clone, Default)]
pub(super) struct Crop {
    sides: Padding,
}

impl LayerKind for Crop {
    fn kind(&self) -> &str {
        "crop"
    }

    fn about(&self) -> &'static str {
        "rows and columns cut off on each side"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![required("cropping", &mut self.sides, "rows and columns cut off on each side, as in `padding`").shown()]
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let Some(cut) = sides(at, "crop", self.sides)? else { return Ok(at.x) };
        let [_, _, h, w] = at.shape().nchw("x").map_err(|reason| at.refuse("crop", reason))?;
        let mut cuts = vec![];
        for (axis, ([before, after], extent)) in [2, 3].into_iter().zip(cut.into_iter().zip([h, w])) {
            if before.saturating_add(after) >= extent {
                let name = if axis == 2 { "rows" } else { "columns" };
                let reason = format!("cuts {before} + {after} {name} off an input of {extent}; at least 1 must stay");
                return Err(at.refuse("crop", reason));
            }
            cuts.push(Cut::new(axis, before..extent - after));
        }
        at.build.graph.slice(at.x, &cuts)
    }
}

/// Other extents.
#[derive(Clone, Default)]
pub(super) struct Reshape {
    shape: Extents,
}

impl LayerKind for Reshape {
    fn kind(&self) -> &str {
        "reshape"
    }

    fn about(&self) -> &'static str {
        "the same elements with other extents"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        const SHAPE: &str = "extents without the batch; one may be -1, which is computed from the others";
        vec![required("shape", &mut self.shape, SHAPE).shown()]
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let (Extents(shape), x) = (&self.shape, at.shape());
        let refuse =
            |expected: String| Error::option(format!("reshape \"{}\": shape", at.name), expected, format!("{shape:?}"));
        let is_extent = |&n: &i64| n == -1 || n > 0;
        if shape.is_empty() || !shape.iter().all(is_extent) || shape.iter().filter(|&&n| n == -1).count() > 1 {
            return Err(refuse("positive extents, and -1 at most once".into()));
        }
        let given = shape.iter().filter(|&&n| n > 0).try_fold(1usize, |all, &n| all.checked_mul(n as usize));
        let elements: usize = x.iter().skip(1).product();
        let fits = given.is_some_and(|n| if shape.contains(&-1) { elements.is_multiple_of(n) } else { elements == n });
        let Some(given) = given.filter(|_| fits) else {
            return Err(refuse(format!("the {elements} elements of the input {x}, the batch aside")));
        };
        let extent = |&n: &i64| if n == -1 { elements / given } else { n as usize };
        let batch = x.first().copied().unwrap_or(1);
        let target: Vec<usize> = std::iter::once(batch).chain(shape.iter().map(extent)).collect();
        at.build.graph.reshape(at.x, target)
    }
}

/// The axes in another order.
#[derive(Clone, Default)]
pub(super) struct Permute {
    axes: Axes,
}

impl LayerKind for Permute {
    fn kind(&self) -> &str {
        "permute"
    }

    fn about(&self) -> &'static str {
        "the axes in another order; the batch stays first"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        const AXES: &str =
            "for each axis of the result, the axis of the input, from 1; the batch, axis 0, is not listed";
        vec![required("axes", &mut self.axes, AXES).shown()]
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let (Axes(axes), rank) = (&self.axes, at.shape().len() as i64);
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        if sorted != (1..rank).collect::<Vec<_>>() {
            let expected = format!("each axis from 1 to {} once", rank - 1);
            return Err(Error::option(format!("permute \"{}\": axes", at.name), expected, format!("{axes:?}")));
        }
        let order: Vec<usize> = std::iter::once(0).chain(axes.iter().map(|&axis| axis as usize)).collect();
        at.build.graph.transpose(at.x, &order)
    }
}

/// Branches concatenated.
#[derive(Clone, Default)]
pub(super) struct Concat {
    axis: usize,
}

impl LayerKind for Concat {
    fn kind(&self) -> &str {
        "concat"
    }

    fn about(&self) -> &'static str {
        "branches concatenated along an axis"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![optional("axis", &mut self.axis, 1, "the axis; 1 is the channels").shown_as("along axis")]
    }

    fn role(&self) -> Role {
        Role::Join
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        same_axes(at, "concat")?;
        match self.axis {
            0 => Err(Error::option("concat: axis", "at least 1, for 0 is the batch", 0)),
            axis => at.build.graph.concat(at.inputs, axis),
        }
    }
}
