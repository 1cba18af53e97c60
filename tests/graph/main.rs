//! The compiler without a device: snapshots after each pass, gradients, order, the work of a thousand layers, and plans
//! simulated dispatch by dispatch.

mod dumps;
mod gradients;
mod linear;
mod order;
mod plans;
mod simulation;

use lenslet::data::Spec;
use lenslet::nn::{Layout, Model};
use lenslet::optim::Optimizer;
use lenslet::train::TrainingStep;

/// The training step of a network on images of its input's size, in ten classes.
fn training_step(model: &dyn Model, optimizer: &dyn Optimizer, batch: usize) -> TrainingStep {
    let layout = Layout::of(model).expect("a network that fits together");
    let shape = <[usize; 3]>::try_from(&model.input()[..]).expect("a network over images");
    let data = Spec { len: 1000, shape, classes: 10 };
    TrainingStep::new(model, &layout, optimizer, data, batch, 1000usize.div_ceil(batch)).expect("a step")
}
