//! What the compiler makes of a graph, without a device: dumps after each pass against files, gradients, order, and
//! plans followed step by step.

mod dumps;
mod gradients;
mod order;
mod plans;
mod simulation;

use lenslet::data::Spec;
use lenslet::nn::{Layout, Model};
use lenslet::optim::Optimizer;
use lenslet::train::TrainingStep;

/// The training step of a network on pictures of its input's size, in ten classes.
fn training_step(model: &dyn Model, optimizer: &dyn Optimizer, batch: usize) -> TrainingStep {
    let layout = Layout::of(model).expect("a network that fits together");
    let shape = <[usize; 3]>::try_from(&model.input()[..]).expect("a network over pictures");
    let data = Spec { len: 1000, shape, classes: 10 };
    TrainingStep::new(model, &layout, optimizer, data, batch, 1000usize.div_ceil(batch)).expect("a step")
}
