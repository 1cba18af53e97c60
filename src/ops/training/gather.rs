//! Mini-batch assembly: gathers images and labels of a resident data set by a shuffled index and a step counter on the
//! GPU.
//!
//! - **Formula**: row `i` of step `t` is `set[order[t·B + i]]`; images are scaled from bytes to `[0, 1]`.
//! - **Shapes**: set `u8[M,C,H,W]` or labels `u8[M]`; order `u32[L]` with L a multiple of the batch size B; step
//!   `u32[1]`; output `f32[B,C,H,W]` or `u32[B]`.
//! - **Padding rows**: an index of [`IGNORE`] gives a zero image and the label [`IGNORE`], which does not count; a step
//!   beyond the end of the order gives only such rows.
//! - **Gradient**: none.

use rayon::prelude::*;

use crate::graph::{Graph, NodeId, Op};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use crate::ops::IGNORE;
use crate::shape::{DType, TensorType};
use crate::tensor::View;
use crate::{Result, shader};

const IMAGES: Shader = shader!("training/gather_images");
const LABELS: Shader = shader!("training/gather_labels");

impl Graph {
    /// A mini-batch of images, scaled to `[0, 1]`. See [`crate::ops::training::gather`].
    ///
    /// Errors: a set that is not u8 of rank 4; an order that is not u32 of whole batches; a step that is not `u32[1]`.
    pub fn gather_images(&mut self, set: NodeId, order: NodeId, step: NodeId, batch: usize) -> Result<NodeId> {
        self.append(Gather { batch, content: Content::Images }, &[set, order, step])
    }

    /// The labels of a mini-batch. See [`crate::ops::training::gather`].
    ///
    /// Errors: a set that is not u8 of rank 1; an order that is not u32 of whole batches; a step that is not `u32[1]`.
    pub fn gather_labels(&mut self, set: NodeId, order: NodeId, step: NodeId, batch: usize) -> Result<NodeId> {
        self.append(Gather { batch, content: Content::Labels }, &[set, order, step])
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Content {
    Images,
    Labels,
}

#[derive(Debug)]
struct Gather {
    batch: usize,
    content: Content,
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        match self.content {
            Content::Images => "gather_images",
            Content::Labels => "gather_labels",
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [set, order, step] = inputs else { return Err("takes a set, an order and a step".into()) };
        let rank = if self.content == Content::Images { 4 } else { 1 };
        if set.dtype != DType::U8 || set.shape.len() != rank {
            return Err(format!("the set must be u8 of rank {rank}, is {set}"));
        }
        if order.dtype != DType::U32 || order.shape.len() != 1 || order.shape[0] % self.batch.max(1) != 0 {
            return Err(format!("the order must be u32 in whole batches of {}, is {order}", self.batch));
        }
        if **step != TensorType::u32([1]) {
            return Err(format!("the step must be u32[1], is {step}"));
        }
        let mut shape = set.shape.to_vec();
        shape[0] = self.batch;
        Ok(if self.content == Content::Images { TensorType::f32(shape) } else { TensorType::u32(shape) })
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let (set, order) = (inputs[0].u8(), inputs[1].f64());
        let first = inputs[2].f64()[0] as usize * self.batch;
        let row_size = out.len() / self.batch;
        let rows = inputs[0].shape[0];
        for (i, row) in out.chunks_mut(row_size).enumerate() {
            let index = order.get(first + i).map_or(rows, |&index| index as usize);
            match (self.content, index < rows) {
                (Content::Images, true) => {
                    row.iter_mut().zip(&set[index * row_size..]).for_each(|(y, &x)| *y = f64::from(x) / 255.0)
                }
                (Content::Images, false) => row.fill(0.0),
                (Content::Labels, true) => row[0] = f64::from(set[index]),
                (Content::Labels, false) => row[0] = f64::from(IGNORE),
            }
        }
    }

    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        if self.content == Content::Labels {
            return false;
        }
        let (set, order) = (inputs[0].u8(), inputs[1].f64());
        let first = inputs[2].f64()[0] as usize * self.batch;
        let row_size = out.len() / self.batch;
        out.par_chunks_mut(row_size).enumerate().for_each(|(i, row)| {
            let index = order.get(first + i).map_or(inputs[0].shape[0], |&index| index as usize);
            match set.chunks(row_size).nth(index) {
                Some(x) => row.iter_mut().zip(x).for_each(|(y, &x)| *y = f32::from(x) / 255.0),
                None => row.fill(0.0),
            }
        });
        true
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let (set, order) = (&io.inputs[0].shape, &io.inputs[1].shape);
        let row = set.elements() / set[0];
        let (shader, invocations) = match self.content {
            Content::Images => (IMAGES, self.batch * row.div_ceil(4)),
            Content::Labels => (LABELS, self.batch),
        };
        let mut dispatch =
            Dispatch::new(shader).constants([("BATCH", self.batch), ("ROWS", set[0]), ("ORDER", order[0])]);
        if self.content == Content::Images {
            dispatch = dispatch.constants([("ROW", row)]);
        }
        vec![Kernel::single(dispatch.reads_inputs(3).writes(Operand::Output).invocations(invocations, 64))]
    }
}
