//! The class of every picture of a set, kept on the GPU: one batch a step, read back at the end.
//!
//! **What**: `classes[step·N + i] = argmax_c logits[i,c]`, the first of equals; rows past the end are not written ·
//! **Shapes**: classes `f32[L]`, a variable; logits `f32[N,C]`; step `u32[1]` · **Gradient**: none.

use crate::Result;
use crate::graph::{Graph, NodeId, Op, Traits};
use crate::kernel::{Dispatch, Io, Kernel, Limits, MOST_ROUNDS, Operand, Shader};
use crate::shader;
use crate::shape::{DType, TensorType};
use crate::tensor::View;

const CLASSIFY: Shader = shader!("classify");
const LARGEST_CLASS: Shader = shader!("largest_class");

/// Classes that one invocation looks at where several share a row.
const A_PART: usize = 4096;

impl Graph {
    /// Writes the class with the largest logit of each row to `classes`. See [`crate::ops::classify`].
    pub fn classify(&mut self, classes: NodeId, logits: NodeId, step: NodeId) -> Result<NodeId> {
        self.append(Classify, &[classes, logits, step])
    }
}

/// Appends a dispatch that looks for the largest class of each row of `logits` `[n, c]`: among all, or, where those are
/// too many for one invocation, among candidates that are found before.
pub(super) fn over_classes([n, c]: [usize; 2], logits: Operand, dispatch: Dispatch, kernel: &mut Kernel) {
    let dispatch = dispatch.constant("C", c);
    if c <= MOST_ROUNDS {
        kernel.dispatches.push(dispatch.constant("COUNT", c).function("class_of", "k"));
        return;
    }
    let parts = c.div_ceil(A_PART);
    let candidates = Operand::Scratch(kernel.scratch.len());
    kernel.scratch.push(TensorType::u32([n, parts]));
    let find = Dispatch::new(LARGEST_CLASS).constants([("C", c), ("PARTS", parts)]).reads([logits]).writes(candidates);
    let among = dispatch.constant("COUNT", parts).reads_as("candidates", candidates);
    kernel.dispatches.extend([find.invocations(n * parts, 64), among]);
}

#[derive(Debug)]
struct Classify;

impl Op for Classify {
    fn name(&self) -> &'static str {
        "classify"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [classes, logits, step]
                if classes.dtype == DType::F32
                    && classes.shape.len() == 1
                    && logits.dtype == DType::F32
                    && logits.shape.len() == 2
                    && **step == TensorType::u32([1]) =>
            {
                Ok((*classes).clone())
            }
            _ => Err(format!("takes classes f32[L], logits f32[N, C] and step u32[1], found {inputs:?}")),
        }
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let [classes, logits, step] = [0, 1, 2].map(|i| inputs[i].f64());
        let [n, c] = inputs[1].shape.matrix("logits").expect("inferred when built");
        out.copy_from_slice(classes);
        let rows = out.iter_mut().skip(step[0] as usize * n);
        for (class, row) in rows.zip(logits.chunks(c)) {
            let better = |best: usize, c: usize| if row[c] > row[best] { c } else { best };
            *class = (1..c).fold(0, better) as f64;
        }
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let (length, logits) = (io.inputs[0].shape[0], &io.inputs[1].shape);
        let [n, c] = [logits[0], logits[1]];
        let dispatch = Dispatch::new(CLASSIFY)
            .constants([("L", length), ("N", n)])
            .writes(Operand::Input(0))
            .reads([Operand::Input(1), Operand::Input(2)])
            .invocations(n, 64);
        let mut kernel = Kernel::of(CLASSIFY, vec![]);
        over_classes([n, c], Operand::Input(1), dispatch, &mut kernel);
        vec![kernel]
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { updates: &[0], ..Traits::default() }
    }
}
