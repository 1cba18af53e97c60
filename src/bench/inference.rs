//! Answers to pictures: floats of the host in, logits back on the host.

use std::time::Instant;

use cpu_time::ThreadTime;

use crate::bench::Preparation;
use crate::bench::pictures::{parameters, pictures};
use crate::bench::training::{Stretch, check_batch, picture_shape};
use crate::device::Session;
use crate::graph::{Graph, NodeId};
use crate::nn::{Layout, Model};
use crate::shape::TensorType;
use crate::{Device, Error, Result};

/// How far logits may be from the CPU's, relative to the largest.
const TOLERANCE: f32 = 1e-4;

/// A network that answers batch after batch.
pub struct Inference {
    session: Session,
    x: NodeId,
    logits: NodeId,
    pictures: Vec<f32>,
    batch_floats: usize,
    next: usize,
    /// What [`Inference::new`] took.
    pub preparation: Preparation,
}

impl Inference {
    /// Compiles the network and puts its parameters on the device.
    ///
    /// Errors: as [`crate::bench::Training::new`].
    pub fn new(device: &Device, model: &dyn Model, batch: usize) -> Result<Self> {
        let start = Instant::now();
        check_batch(batch)?;
        let shape = picture_shape(model)?;
        let [c, h, w] = shape;
        let layout = Layout::of(model)?;
        let mut graph = Graph::new();
        let x = graph.input("pictures", TensorType::f32([batch, c, h, w]))?;
        let flat = graph.variable("parameters", layout.ty())?;
        let logits = layout.forward(model, &mut graph, flat, x)?;
        graph.output(logits);
        let before = Instant::now();
        let mut session = Session::new(device, &graph)?;
        let made = Instant::now();
        session.write(flat, parameters(&layout).as_slice())?;
        let pictures = pictures(shape, 10)?.bytes()?.iter().map(|&p| f32::from(p) / 255.0).collect();
        let preparation = Preparation::of(start, [before, made]);
        Ok(Self { session, x, logits, pictures, batch_floats: batch * c * h * w, next: 0, preparation })
    }

    /// Dispatches of a batch; `None` on the CPU.
    pub fn dispatches(&self) -> Option<usize> {
        self.session.dispatches()
    }

    /// The logits of the next batch.
    pub fn call(&mut self) -> Result<Vec<f32>> {
        let batches = self.pictures.len() / self.batch_floats;
        let pictures = &self.pictures[self.next % batches * self.batch_floats..][..self.batch_floats];
        self.next += 1;
        self.session.write(self.x, pictures)?;
        let answers = self.session.run_and_read(1, self.logits)?;
        self.session.finish_reading(answers)
    }

    /// Times so many batches.
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
