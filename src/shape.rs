//! Shapes, broadcasting, and the window rule of convolution and pooling.

pub mod advice;

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// The size of each axis, slowest first. A scalar has no axes.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The number of elements: the product of the axes, 1 for a scalar.
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// Row-major strides in elements.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.0.len()];
        for axis in (1..self.0.len()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis];
        }
        strides
    }

    /// The broadcast shape of two operands: axes are aligned at the last, and axes of size 1 are repeated.
    pub fn broadcast(a: &Shape, b: &Shape) -> Result<Shape, String> {
        let rank = a.len().max(b.len());
        let axis = |s: &Shape, i: usize| (i + s.len()).checked_sub(rank).map_or(1, |j| s[j]);
        (0..rank)
            .map(|i| match (axis(a, i), axis(b, i)) {
                (m, n) if m == n => Ok(m),
                (1, n) => Ok(n),
                (m, 1) => Ok(m),
                (m, n) => Err(format!("{a} and {b} do not broadcast: axis {i} is {m} in one and {n} in the other")),
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Shape)
    }

    /// Strides to read `self` as if it had the shape `to` (0 along repeated axes).
    pub fn broadcast_strides(&self, to: &Shape) -> Vec<usize> {
        let lead = to.len() - self.len();
        let own = self.strides();
        (0..to.len())
            .map(|i| match i.checked_sub(lead) {
                Some(j) if self[j] == to[i] => own[j],
                _ => 0,
            })
            .collect()
    }

    /// The axes of a shape `[N, C, H, W]`, or an error message.
    pub fn nchw(&self, operand: &str) -> Result<[usize; 4], String> {
        <[usize; 4]>::try_from(self.0.as_slice()).map_err(|_| format!("{operand} must be [N, C, H, W], is {self}"))
    }

    /// The axes of a shape `[rows, columns]`, or an error message.
    pub fn matrix(&self, operand: &str) -> Result<[usize; 2], String> {
        <[usize; 2]>::try_from(self.0.as_slice()).map_err(|_| format!("{operand} must be a matrix, is {self}"))
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl From<Vec<usize>> for Shape {
    fn from(axes: Vec<usize>) -> Self {
        Shape(axes)
    }
}

impl From<&[usize]> for Shape {
    fn from(axes: &[usize]) -> Self {
        Shape(axes.to_vec())
    }
}

impl<const R: usize> From<[usize; R]> for Shape {
    fn from(axes: [usize; R]) -> Self {
        Shape(axes.to_vec())
    }
}

/// Element types.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum DType {
    /// 32-bit float: the type of all arithmetic.
    F32,
    /// 32-bit unsigned integer: labels, indices, counters.
    U32,
    /// Byte: data sets on the device. The GPU stores four per 32-bit word.
    U8,
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::U32 => "u32",
            DType::U8 => "u8",
        })
    }
}

/// Element type and shape of a value.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Extent of each axis.
    pub shape: Shape,
}

impl TensorType {
    /// An f32 tensor.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        Self { dtype: DType::F32, shape: shape.into() }
    }

    /// A u32 tensor.
    pub fn u32(shape: impl Into<Shape>) -> Self {
        Self { dtype: DType::U32, shape: shape.into() }
    }

    /// A byte tensor.
    pub fn u8(shape: impl Into<Shape>) -> Self {
        Self { dtype: DType::U8, shape: shape.into() }
    }

    /// Size on the GPU in bytes, rounded up to 32-bit words.
    pub fn bytes(&self) -> u64 {
        let elements = self.shape.elements() as u64;
        match self.dtype {
            DType::U8 => elements.div_ceil(4) * 4,
            DType::F32 | DType::U32 => elements * 4,
        }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

/// The padding of an image before a window slides over it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// No padding: the output is smaller than the input.
    #[default]
    Valid,
    /// Padding such that the output is `ceil(in / stride)`; an odd row or column is added at the end (ONNX
    /// `SAME_UPPER`).
    Same,
    /// [`Padding::Same`] with an odd row or column added at the beginning (ONNX `SAME_LOWER`).
    SameLower,
    /// Explicit amounts for each side.
    Explicit {
        /// Rows above.
        top: usize,
        /// Rows below.
        bottom: usize,
        /// Columns before.
        left: usize,
        /// Columns after.
        right: usize,
    },
}

impl Padding {
    /// The same amount on all four sides.
    pub const fn all(n: usize) -> Self {
        Padding::Explicit { top: n, bottom: n, left: n, right: n }
    }
}

impl From<usize> for Padding {
    fn from(n: usize) -> Self {
        Padding::all(n)
    }
}

/// One value for both axes, or `[vertical, horizontal]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Pair(pub [usize; 2]);

impl From<usize> for Pair {
    fn from(n: usize) -> Self {
        Pair([n, n])
    }
}

impl From<[usize; 2]> for Pair {
    fn from(pair: [usize; 2]) -> Self {
        Pair(pair)
    }
}

/// A window that slides over the last two axes. Pairs are `[vertical, horizontal]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Rows and columns of the window.
    pub size: [usize; 2],
    /// Distance between the starts of adjacent windows.
    pub stride: [usize; 2],
    /// The padding of the input.
    pub padding: Padding,
    /// Distance between adjacent elements within a window.
    pub dilation: [usize; 2],
    /// Whether the number of windows is rounded up, so that the last window may extend beyond the padded input.
    #[serde(default)]
    pub ceil_mode: bool,
}

/// The largest size, stride, dilation or explicit padding of a window.
pub(crate) const LARGEST: usize = (1 << 15) - 1;

/// A [`Window`] applied to an input of known size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Placed {
    /// Rows added above, columns added before.
    pub begin: [usize; 2],
    /// Rows added below and columns added after, including those added by [`Window::ceil_mode`].
    pub end: [usize; 2],
    /// The part of `end` added by [`Window::ceil_mode`].
    pub overhang: [usize; 2],
    /// Rows and columns of the output.
    pub out: [usize; 2],
}

impl Default for Window {
    /// A window of one element.
    fn default() -> Self {
        Self::new(1)
    }
}

impl Window {
    /// A window with stride 1, no padding, no dilation.
    pub fn new(size: impl Into<Pair>) -> Self {
        let size = size.into().0;
        Self { size, stride: [1, 1], padding: Padding::Valid, dilation: [1, 1], ceil_mode: false }
    }

    /// Sets the stride.
    pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// Sets the padding.
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Sets the dilation.
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Self {
        self.dilation = dilation.into().0;
        self
    }

    /// Sets whether the number of windows is rounded up.
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    /// Output size and padding for an input of `[rows, columns]`.
    ///
    /// Per axis, with the effective window `e = dilation·(size − 1) + 1`:
    /// `out = floor((in + begin + end − e) / stride) + 1`. [`Self::ceil_mode`] rounds up, and drops a last window that would begin in the padding at the end;
    /// elements that the last window covers beyond the padded input count as additional padding.
    ///
    /// Errors: a size, stride or dilation of 0; a window larger than its padded input. The message lists
    /// [alternatives](advice) that fit.
    pub fn place(&self, input: [usize; 2]) -> Result<Placed, String> {
        let mut placed = Placed { begin: [0; 2], end: [0; 2], overhang: [0; 2], out: [0; 2] };
        for axis in 0..2 {
            let (size, stride, dilation) = (self.size[axis], self.stride[axis], self.dilation[axis]);
            for (what, value) in [("window", size), ("stride", stride), ("dilation", dilation)] {
                if value == 0 {
                    return Err(format!("{what} must be at least 1 on each axis, is {}", self.pair(what)));
                }
            }
            let name = ["rows", "columns"][axis];
            // Shaders index with 32 bits: with all numbers below 2^15, the product of two fits.
            let too_large = || {
                let window = format!("window of {size} {name} with stride {stride} and dilation {dilation}");
                format!("{window} is too large: sizes, strides, dilations and padding go up to {LARGEST}")
            };
            if size.max(stride).max(dilation) > LARGEST {
                return Err(too_large());
            }
            let effective = (size - 1) * dilation + 1;
            let (begin, end) = match self.padding {
                Padding::Valid => (0, 0),
                Padding::Explicit { top, bottom, left, right } => [(top, bottom), (left, right)][axis],
                Padding::Same | Padding::SameLower => {
                    let out = input[axis].div_ceil(stride);
                    let total = ((out.saturating_sub(1)) * stride + effective).saturating_sub(input[axis]);
                    let (less, more) = (total / 2, total - total / 2);
                    if self.padding == Padding::Same { (less, more) } else { (more, less) }
                }
            };
            let explicit = !matches!(self.padding, Padding::Same | Padding::SameLower);
            if explicit && begin.max(end) > LARGEST || input[axis] > u32::MAX as usize / 2 {
                return Err(too_large());
            }
            let padded = input[axis] + begin + end;
            let reach = if self.ceil_mode { padded + stride - 1 } else { padded };
            if effective > reach {
                return Err(advice::no_fit(name, [size, dilation], input[axis], [begin, end], reach));
            }
            let begun = |out: usize| (out - 1) * stride < input[axis] + begin;
            let out = (reach - effective) / stride + 1;
            let out = if self.ceil_mode && !begun(out) { out - 1 } else { out };
            let overhang = ((out - 1) * stride + effective).saturating_sub(padded);
            placed.begin[axis] = begin;
            placed.end[axis] = end + overhang;
            placed.overhang[axis] = overhang;
            placed.out[axis] = out;
        }
        Ok(placed)
    }

    fn pair(&self, what: &str) -> String {
        let [v, h] = match what {
            "window" => self.size,
            "stride" => self.stride,
            _ => self.dilation,
        };
        format!("{v}x{h}")
    }

    /// The elements of one axis that output position `out` reads, without padding: `(window position, input position)`.
    pub fn taps(&self, placed: &Placed, axis: usize, out: usize, input: usize) -> impl Iterator<Item = (usize, usize)> {
        let (size, dilation) = (self.size[axis], self.dilation[axis]);
        let (start, begin) = (out * self.stride[axis], placed.begin[axis]);
        (0..size).filter_map(move |r| (start + r * dilation).checked_sub(begin).filter(|&h| h < input).map(|h| (r, h)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn border_effect_of_valid_padding() {
        assert_eq!(Window::new(3).place([5, 5]).unwrap().out, [3, 3]);
        assert_eq!(Window::new(3).place([28, 28]).unwrap().out, [26, 26]);
    }

    #[test]
    fn same_keeps_the_size_and_puts_the_odd_row_last() {
        let placed = Window::new(2).padding(Padding::Same).place([5, 6]).unwrap();
        assert_eq!((placed.begin, placed.end, placed.out), ([0, 0], [1, 1], [5, 6]));
        let placed = Window::new(2).padding(Padding::SameLower).place([5, 6]).unwrap();
        assert_eq!((placed.begin, placed.end), ([1, 1], [0, 0]));
        let placed = Window::new(3).stride(2).dilation(2).padding(Padding::Same).place([7, 8]).unwrap();
        assert_eq!((placed.begin, placed.end, placed.out), ([2, 1], [2, 2], [4, 4]));
    }

    #[test]
    fn a_window_larger_than_its_padded_input_says_what_would_fit() {
        let error = Window::new(5).padding(1).place([2, 9]).unwrap_err();
        assert!(error.contains("5 rows") && error.contains("1 + 1") && error.contains("at most 4"), "{error}");
        let error = Window::new(3).stride([1, 0]).place([9, 9]).unwrap_err();
        assert!(error.contains("stride") && error.contains("1x0"), "{error}");
    }

    #[test]
    fn broadcasting_matches_axes_from_the_last() {
        let (a, b) = (Shape::from([2, 1, 4]), Shape::from([3, 1]));
        let c = Shape::broadcast(&a, &b).unwrap();
        assert_eq!(c, Shape::from([2, 3, 4]));
        assert_eq!(b.broadcast_strides(&c), [0, 1, 0]);
        assert!(Shape::broadcast(&[2].into(), &[3].into()).unwrap_err().contains("[2] and [3]"));
    }
}
