//! Tensors in host memory.

use crate::shape::{DType, Shape, TensorType};
use crate::{Error, Result};

/// A float tensor: input or output of a computation.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    shape: Shape,
    data: Vec<f32>,
}

impl Tensor {
    /// A tensor of `data` in row-major order.
    ///
    /// Errors: the length of `data` differs from the shape's number of elements.
    pub fn new(shape: impl Into<Shape>, data: Vec<f32>) -> Result<Self> {
        let shape = shape.into();
        if shape.elements() != data.len() {
            let expected = format!("{} values for shape {shape}", shape.elements());
            return Err(Error::option("tensor data", expected, data.len()));
        }
        Ok(Self { shape, data })
    }

    /// A tensor whose element at row-major index `i` is `f(i)`.
    pub fn from_fn(shape: impl Into<Shape>, f: impl FnMut(usize) -> f32) -> Self {
        let shape = shape.into();
        let data = (0..shape.elements()).map(f).collect();
        Self { shape, data }
    }

    /// Its shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The values in row-major order.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values, without the shape.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}

/// Values to upload to a device, by element type.
#[derive(Clone, Copy, Debug)]
pub enum HostData<'a> {
    /// Floats.
    F32(&'a [f32]),
    /// Unsigned integers.
    U32(&'a [u32]),
    /// Bytes.
    U8(&'a [u8]),
}

impl HostData<'_> {
    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            HostData::F32(_) => DType::F32,
            HostData::U32(_) => DType::U32,
            HostData::U8(_) => DType::U8,
        }
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        match self {
            HostData::F32(v) => v.len(),
            HostData::U32(v) => v.len(),
            HostData::U8(v) => v.len(),
        }
    }

    /// The values as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            HostData::F32(v) => bytemuck::cast_slice(v),
            HostData::U32(v) => bytemuck::cast_slice(v),
            HostData::U8(v) => v,
        }
    }

    /// Checks that element type and length match the value `what`.
    pub fn check(&self, what: &str, ty: &TensorType) -> Result<()> {
        if self.dtype() != ty.dtype || self.elements() != ty.shape.elements() {
            let found = format!("{} values of {}", self.elements(), self.dtype());
            return Err(Error::option(format!("value for {what}"), ty.to_string(), found));
        }
        Ok(())
    }
}

impl<'a> From<&'a [f32]> for HostData<'a> {
    fn from(v: &'a [f32]) -> Self {
        HostData::F32(v)
    }
}

impl<'a> From<&'a [u32]> for HostData<'a> {
    fn from(v: &'a [u32]) -> Self {
        HostData::U32(v)
    }
}

impl<'a> From<&'a [u8]> for HostData<'a> {
    fn from(v: &'a [u8]) -> Self {
        HostData::U8(v)
    }
}

impl<'a> From<&'a Tensor> for HostData<'a> {
    fn from(t: &'a Tensor) -> Self {
        HostData::F32(t.data())
    }
}

/// An operand of an operation computed on the CPU. Integers are f64 (exact up to 2⁵³), bytes are u8; floats are f64 for
/// the reference and f32 for [`Op::eval_f32`](crate::graph::Op::eval_f32).
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The operand's shape.
    pub shape: &'a Shape,
    /// Its elements.
    pub data: ViewData<'a>,
}

/// The elements of a [`View`].
#[derive(Clone, Copy, Debug)]
pub enum ViewData<'a> {
    /// f64 numbers.
    F64(&'a [f64]),
    /// f32 floats.
    F32(&'a [f32]),
    /// Bytes.
    U8(&'a [u8]),
}

impl<'a> View<'a> {
    /// A view of f64 numbers.
    pub fn new(shape: &'a Shape, data: &'a [f64]) -> Self {
        Self { shape, data: ViewData::F64(data) }
    }

    /// The f64 numbers. Panics for other types, which the operation's `infer` excludes.
    pub fn f64(&self) -> &'a [f64] {
        match self.data {
            ViewData::F64(v) => v,
            other => panic!("an operand of numbers in f64, found {other:?}"),
        }
    }

    /// The f32 values of an operand of [`Op::eval_f32`](crate::graph::Op::eval_f32). Panics for other types.
    pub fn f32(&self) -> &'a [f32] {
        match self.data {
            ViewData::F32(v) => v,
            other => panic!("an operand of f32, found {other:?}"),
        }
    }

    /// The largest finite magnitude of the numbers.
    pub fn magnitude(&self) -> f64 {
        self.f64().iter().map(|v| v.abs()).filter(|v| v.is_finite()).fold(0.0, f64::max)
    }

    /// The bytes. Panics for other types, which the operation's `infer` excludes.
    pub fn u8(&self) -> &'a [u8] {
        match self.data {
            ViewData::U8(v) => v,
            other => panic!("an operand of bytes, found {other:?}"),
        }
    }
}
