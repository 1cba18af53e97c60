//! A training step on pictures of noise.

use lenslet::nn::{Layout, Model as _, Sequential};
use lenslet::optim::Sgd;
use lenslet::train::TrainingStep;
use lenslet::{Device, Gpu, Session, data};

pub const BATCH: usize = 8;
pub const STEPS: usize = 6;

/// Values that look like noise, in `[-1, 1)`.
pub fn noise(length: usize) -> Vec<f32> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// A small network with every kind of layer.
pub fn small() -> Sequential {
    let convolutions = Sequential::new([1, 10, 10]).conv2d(4, 3).padding(1).relu().max_pool2d(2).conv2d(6, 3).tanh();
    convolutions.avg_pool2d(2).stride(1).flatten().dense(10)
}

/// A training step on 40 pictures of noise.
pub struct Job {
    pub step: TrainingStep,
    pub layout: Layout,
    pictures: Vec<u8>,
}

impl Job {
    pub fn new(model: &Sequential) -> Self {
        let layout = Layout::of(model).unwrap();
        let shape = <[usize; 3]>::try_from(&model.input()[..]).unwrap();
        let pictures: Vec<u8> =
            noise(40 * model.input().elements()).iter().map(|v| (v * 127.0 + 128.0) as u8).collect();
        let spec = data::Spec { len: 40, shape, classes: 10 };
        let step = TrainingStep::new(model, &layout, &Sgd::new(0.1).momentum(0.9), spec, BATCH, STEPS).unwrap();
        Self { step, layout, pictures }
    }

    /// A session with every leaf set.
    pub fn session(&self, device: impl Into<Device>) -> Session {
        self.with_leaves(Session::new(&device.into(), &self.step.graph).unwrap())
    }

    pub fn with_leaves(&self, mut session: Session) -> Session {
        let Self { step, layout, pictures } = self;
        let labels: Vec<u8> = (0..40).map(|i| i % 10).collect();
        let order: Vec<u32> = (0..(STEPS * BATCH) as u32).map(|i| i * 7 % 40).collect();
        session.write(step.batches.images, pictures.as_slice()).unwrap();
        session.write(step.batches.labels, labels.as_slice()).unwrap();
        session.write(step.batches.order, order.as_slice()).unwrap();
        session.write(step.batches.step, [0u32].as_slice()).unwrap();
        session.write(step.rates, [0.1f32; STEPS].as_slice()).unwrap();
        session.write(step.parameters, layout.initial(1).as_slice()).unwrap();
        for state in &step.states {
            session.write(*state, vec![0.0f32; layout.total()].as_slice()).unwrap();
        }
        session
    }

    /// Runs so many steps in each submission; the bits of the parameters and of the history afterwards.
    pub fn trained(&self, gpu: &Gpu, submissions: &[usize]) -> [Vec<u32>; 2] {
        let mut session = self.session(gpu);
        submissions.iter().for_each(|&steps| session.run(steps));
        [self.step.parameters, self.step.batches.history].map(|node| bits(&session.read(node).unwrap()))
    }
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}
