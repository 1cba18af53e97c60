//! A small network, pictures it can learn, and the devices there are.

use std::ops::ControlFlow;

use lenslet::data::Dataset;
use lenslet::nn::{Init, Layout, Model, Sequential};
use lenslet::optim::{AnyOptimizer, Sgd};
use lenslet::train::{Event, Fit, Report, StepReport, Trainer, TrainingStep};
use lenslet::{Device, ShaderChecks};

use crate::common;
use crate::pictures;

pub const SHAPE: [usize; 3] = [1, 12, 12];
pub const CLASSES: usize = 5;

pub fn dataset(count: usize) -> Dataset {
    let (images, labels) = pictures::pictures(count, SHAPE, CLASSES);
    Dataset::new(images, labels, SHAPE, CLASSES).unwrap()
}

/// Convolution, pooling and a dense layer; weights from `low` to 0.3.
pub fn network_from(low: f32) -> Sequential {
    let init = Init::Uniform { low, high: 0.3 };
    Sequential::new(SHAPE).conv2d(4, 3).init(init).relu().max_pool2d(2).flatten().dense(CLASSES).init(init)
}

pub fn network() -> Sequential {
    network_from(-0.3)
}

pub fn sgd() -> AnyOptimizer {
    AnyOptimizer::Sgd(Sgd::new(0.1))
}

/// The CPU, and the GPU if there is one.
pub fn devices() -> Vec<Device> {
    let gpu = common::gpu(ShaderChecks::Trusted).map(Device::Gpu);
    [Device::Cpu].into_iter().chain(gpu).collect()
}

pub fn trainer<'m>(device: &Device, model: &'m dyn Model, optimizer: AnyOptimizer) -> Trainer<'m> {
    Trainer::boxed(device, model, optimizer.boxed()).unwrap().batch_size(16)
}

/// Trains, and keeps what was told of each step.
pub fn fit(trainer: &mut Trainer<'_>, data: &Dataset, fit: impl Into<Fit>) -> (Report, Vec<StepReport>) {
    let mut steps = vec![];
    let keep = |event| {
        if let Event::Step(step) = event {
            steps.push(step);
        }
        ControlFlow::Continue(())
    };
    let report = trainer.fit_with(data, fit, keep).unwrap();
    (report, steps)
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// The relative error that one step may add: 4 ε √L, L the longest sum in it.
pub fn rounding(model: &Sequential, optimizer: AnyOptimizer, data: &Dataset) -> f32 {
    let layout = Layout::of(model).unwrap();
    let step = TrainingStep::new(model, &layout, optimizer.boxed().as_ref(), data.spec(), 16, 1).unwrap();
    let longest = step.graph.ids().map(|id| step.graph.traits(id).reduction).max().unwrap();
    4.0 * f32::EPSILON * (longest as f32).sqrt()
}
