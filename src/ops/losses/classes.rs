//! The largest class of each row of logits, within the kernels that ask for it.

use crate::kernel::{Dispatch, Kernel, MOST_ROUNDS, Operand, Shader};
use crate::shader;
use crate::shape::TensorType;

const LARGEST_CLASS: Shader = shader!("losses/largest_class");

/// Classes that one invocation looks at where several share a row.
const A_PART: usize = 4096;

/// Appends a dispatch that looks for the largest class of each row of `logits` `[n, c]`: among all, or, where those are
/// too many for one invocation, among candidates that are found before.
pub(in crate::ops) fn over_classes([n, c]: [usize; 2], logits: Operand, dispatch: Dispatch, kernel: &mut Kernel) {
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
