//! Inference throughput: images from host memory in, logits back to host memory.

use std::time::Instant;

use cpu_time::ThreadTime;

use crate::bench::Preparation;
use crate::bench::images::{images, parameters};
use crate::bench::training::{Stretch, check_batch, image_shape};
use crate::device::Session;
use crate::graph::{Graph, NodeId};
use crate::nn::{Layout, Model};
use crate::shape::TensorType;
use crate::{Device, Error, Result};

/// Maximum difference from the CPU's logits, relative to the largest logit.
const TOLERANCE: f32 = 1e-4;

/// A network that runs inference on batch after batch.
pub struct Inference {
    session: Session,
    x: NodeId,
    logits: NodeId,
    images: Vec<f32>,
    batch_floats: usize,
    next: usize,
    /// Setup times of [`Inference::new`].
    pub preparation: Preparation,
}

impl Inference {
    /// Compiles the network and uploads its parameters.
    ///
    /// Errors: those of [`crate::bench::Training::new`].
    pub fn new(device: &Device, model: &dyn Model, batch: usize) -> Result<Self> {
        let start = Instant::now();
        check_batch(batch)?;
        let shape = image_shape(model)?;
        let [c, h, w] = shape;
        let layout = Layout::of(model)?;
        let mut graph = Graph::new();
        let x = graph.input("images", TensorType::f32([batch, c, h, w]))?;
        let flat = graph.variable("parameters", layout.ty())?;
        let logits = layout.forward(model, &mut graph, flat, x)?;
        graph.output(logits);
        let before = Instant::now();
        let mut session = Session::new(device, &graph)?;
        let made = Instant::now();
        session.write(flat, parameters(&layout).as_slice())?;
        let images = images(shape, 10)?.bytes()?.iter().map(|&p| f32::from(p) / 255.0).collect();
        let preparation = Preparation::of(start, [before, made]);
        Ok(Self { session, x, logits, images, batch_floats: batch * c * h * w, next: 0, preparation })
    }

    /// Dispatches per batch; `None` on the CPU.
    pub fn dispatches(&self) -> Option<usize> {
        self.session.dispatches()
    }

    /// Computes the logits of the next batch.
    pub fn call(&mut self) -> Result<Vec<f32>> {
        let batches = self.images.len() / self.batch_floats;
        let images = &self.images[self.next % batches * self.batch_floats..][..self.batch_floats];
        self.next += 1;
        self.session.write(self.x, images)?;
        let answers = self.session.run_and_read(1, self.logits)?;
        self.session.finish_reading(answers)
    }

    /// Times `calls` batches.
    pub fn run(&mut self, calls: usize) -> Result<Stretch> {
        let (start, host) = (Instant::now(), ThreadTime::now());
        (0..calls).try_for_each(|_| self.call().map(drop))?;
        Ok(Stretch { steps: calls, wall: start.elapsed(), host: host.elapsed() })
    }

    /// Compares the first batch's logits with the CPU's.
    ///
    /// Errors: they differ.
    pub fn check(device: &Device, model: &dyn Model, batch: usize) -> Result<()> {
        if let Device::Cpu = device {
            return Ok(());
        }
        let got = Self::new(device, model, batch)?.call()?;
        let want = Self::new(&Device::Cpu, model, batch)?.call()?;
        let largest = want.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        // A NaN is never close.
        let close = |(g, w): (&f32, &f32)| (g - w).abs() <= TOLERANCE * largest;
        match got.iter().zip(&want).position(|pair| !close(pair)) {
            None => Ok(()),
            Some(at) => Err(Error::Gpu {
                what: format!("{} on {}", model.name(), device.describe()),
                reason: format!("logit {at} is {}, the reference's is {}", got[at], want[at]),
            }),
        }
    }
}
