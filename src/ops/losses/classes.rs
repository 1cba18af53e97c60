//! Argmax over the classes of each row of logits, as a part of other kernels.

use crate::kernel::{Dispatch, Kernel, MOST_ROUNDS, Operand, Shader};
use crate::shader;
use crate::shape::TensorType;

const LARGEST_CLASS: Shader = shader!("losses/largest_class");

/// Classes per invocation if several invocations share a row.
const CLASSES_PER_PART: usize = 4096;

/// Appends a dispatch that finds the argmax over the classes of each row of `logits` `[n, c]`: directly, or if there
/// are too many classes for one invocation, among the candidates of a preceding dispatch.
pub(in crate::ops) fn over_classes([n, c]: [usize; 2], logits: Operand, dispatch: Dispatch, kernel: &mut Kernel) {
    let dispatch = dispatch.constant("C", c);
    if c <= MOST_ROUNDS {
        kernel.dispatches.push(dispatch.constant("COUNT", c).function("class_of", "k"));
        return;
    }
    let parts = c.div_ceil(CLASSES_PER_PART);
    let candidates = Operand::Scratch(kernel.scratch.len());
    kernel.scratch.push(TensorType::u32([n, parts]));
    let find = Dispatch::new(LARGEST_CLASS).constants([("C", c), ("PARTS", parts)]).reads([logits]).writes(candidates);
    let among = dispatch.constant("COUNT", parts).reads_as("candidates", candidates);
    kernel.dispatches.extend([find.invocations(n * parts, 64), among]);
}
