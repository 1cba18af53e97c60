//! Copy.
//!
//! - **Formula**: `y[i] = x[i]`.
//! - **Shapes**: any, kept. f32 or u32.
//! - **Gradient**: dy itself.
//! - **Cost**: one pass over memory. It gives a value that is only a view or a variable a buffer of its own.

use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::shader;
use crate::shape::{DType, TensorType};
use crate::tensor::View;

const COPY: Shader = shader!("layout/copy");

impl Graph {
    /// A copy of `x` in its own memory.
    ///
    /// Errors: u8.
    pub fn copy(&mut self, x: NodeId) -> Result<NodeId> {
        self.append(Copy, &[x])
    }
}

/// A dispatch that copies `elements` elements of 4 bytes from input 0 to the output.
pub(crate) fn copy_dispatch(elements: usize) -> Dispatch {
    Dispatch::new(COPY).reads_inputs(1).writes(Operand::Output).invocations(elements, 64)
}

#[derive(Debug)]
struct Copy;

impl Op for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x] if x.dtype != DType::U8 => Ok((*x).clone()),
            _ => Err(format!("takes one tensor of f32 or u32, found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        out.copy_from_slice(inputs[0].f64());
    }

    fn grad(&self, _: &mut Graph, _: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(dy)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        vec![Kernel::single(copy_dispatch(io.output.shape.elements()))]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { multilinear: true, ..Traits::default() }
    }
}
