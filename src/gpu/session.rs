//! A graph on a GPU: values in, steps, values out.

use std::cell::RefCell;

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::{Gpu, Replay};
use crate::graph::{Graph, NodeId};
use crate::plan::{Place, Plan};
use crate::shape::DType;
use crate::tensor::HostData;
use crate::{Error, Result, compile};

/// A compiled graph with its buffers on one device.
pub struct GpuSession {
    gpu: Gpu,
    graph: Graph,
    plan: Plan,
    replay: Replay,
    /// Read-back buffers not in use, kept for the next reading.
    staging: RefCell<Vec<wgpu::Buffer>>,
}

impl GpuSession {
    /// Compiles a graph for the device and makes everything it needs.
    ///
    /// Errors: those of [`GpuSession::compile`]; out of memory.
    pub fn new(gpu: &Gpu, graph: &Graph) -> Result<Self> {
        Self::from_plan(gpu, graph, Self::compile(gpu, graph)?)
    }

    /// Compiles a graph for the device, with the kernels of [`Gpu::choice`].
    ///
    /// Errors: the graph does not fit the device; an operation has no kernel left.
    pub fn compile(gpu: &Gpu, graph: &Graph) -> Result<Plan> {
        graph.precision().check(gpu.name(), gpu.limits().f16)?;
        let choice = gpu.choice()?;
        compile::compile_with(graph, gpu.limits(), &|op, io, candidates| choice.choose(op, io, candidates))
    }

    /// A session of a plan made of this graph with other choices.
    pub fn from_plan(gpu: &Gpu, graph: &Graph, plan: Plan) -> Result<Self> {
        let replay = Replay::new(gpu, &plan)?;
        Ok(Self { gpu: gpu.clone(), graph: graph.clone(), plan, replay, staging: RefCell::default() })
    }

    /// The graph it was made of.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The buffers and pipelines of the plan.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// The device it runs on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Sets a value before the next submitted step.
    ///
    /// Errors: data of another type or length; a node the step does not compute.
    pub fn write(&self, node: NodeId, data: HostData<'_>) -> Result<()> {
        data.check(&format!("\"{}\"", self.graph.node(node).name), self.graph.ty(node))?;
        let place = self.plan.place(node)?;
        let buffer = self.replay.buffer(place.buffer);
        let bytes = data.as_bytes();
        let (words, tail) = bytes.split_at(bytes.len() / 4 * 4);
        self.gpu.queue().write_buffer(buffer, place.offset, words);
        if !tail.is_empty() {
            let mut word = [0; 4];
            word[..tail.len()].copy_from_slice(tail);
            self.gpu.queue().write_buffer(buffer, place.offset + words.len() as u64, &word);
        }
        Ok(())
    }

    /// Appends one step to an app's own encoder. See [`Replay::encode`].
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.replay.encode(encoder);
    }

    /// Submits `steps` steps in one command buffer, without waiting.
    pub fn submit(&self, steps: usize) {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        self.encode_steps(&mut encoder, steps);
        self.gpu.queue().submit([encoder.finish()]);
    }

    /// Appends steps, all in one pass: wgpu makes two command buffers of each.
    fn encode_steps(&self, encoder: &mut wgpu::CommandEncoder, steps: usize) {
        if steps > 0 {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            (0..steps).for_each(|_| self.replay.encode_step(&mut pass));
        }
    }

    /// Asks for a value as it is after everything submitted so far; the device goes on meanwhile.
    ///
    /// Errors: the node is neither a leaf of the step nor an output of the graph: its memory may be another's by then.
    pub fn start_reading(&self, node: NodeId) -> Result<Reading> {
        self.submit_and_read(0, node)
    }

    /// Submits `steps` steps and asks for a value as it is after them, in one command buffer, without waiting.
    ///
    /// Errors: as [`GpuSession::start_reading`]; then nothing is submitted.
    pub fn submit_and_read(&self, steps: usize, node: NodeId) -> Result<Reading> {
        if self.graph.node(node).op().is_some() && !self.graph.outputs().contains(&node) {
            return Err(Error::option("node", "a leaf or an output", node.index()));
        }
        let place = self.plan.place(node)?;
        let staging = self.staging_buffer(place);
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        self.encode_steps(&mut encoder, steps);
        encoder.copy_buffer_to_buffer(self.replay.buffer(place.buffer), place.offset, &staging, 0, place.bytes);
        let (sender, receiver) = oneshot_channel();
        encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Read, 0..place.bytes, move |result| {
            // The receiver may be gone: nobody waits for this reading any more.
            let _ = sender.send(result);
        });
        let submission = self.gpu.queue().submit([encoder.finish()]);
        let (dtype, elements) = (self.graph.dtype(node), self.graph.shape(node).elements());
        Ok(Reading { staging, bytes: place.bytes, dtype, elements, submission, receiver })
    }

    fn staging_buffer(&self, place: Place) -> wgpu::Buffer {
        let mut free = self.staging.borrow_mut();
        if let Some(at) = free.iter().position(|b| b.size() == place.bytes) {
            return free.swap_remove(at);
        }
        self.gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("read-back"),
            size: place.bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// The numbers of a reading as floats; someone must poll the device meanwhile (browsers do it themselves).
    pub async fn finish_reading_async(&self, reading: Reading) -> Result<Vec<f32>> {
        self.numbers(reading, |v| v as f32).await
    }

    /// What `of` makes of the numbers of a reading, which it gets exactly, whatever their type on the device.
    async fn numbers<T>(&self, reading: Reading, of: impl Fn(f64) -> T) -> Result<Vec<T>> {
        let failed = |reason: String| Error::Gpu { what: "reading a buffer back".into(), reason };
        match reading.receiver.receive().await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(failed(error.to_string())),
            None => return Err(Error::DeviceLost(self.gpu.name().to_string())),
        }
        let mapped = reading.staging.get_mapped_range(0..reading.bytes).map_err(|e| failed(e.to_string()))?;
        let words = mapped.chunks_exact(4).map(|word| <[u8; 4]>::try_from(word).expect("words have four bytes"));
        let mut values: Vec<T> = match reading.dtype {
            DType::F32 => words.map(|word| of(f32::from_ne_bytes(word).into())).collect(),
            DType::U32 => words.map(|word| of(u32::from_ne_bytes(word).into())).collect(),
            DType::U8 => mapped.iter().map(|&byte| of(byte.into())).collect(),
        };
        drop(mapped);
        reading.staging.unmap();
        self.staging.borrow_mut().push(reading.staging);
        values.truncate(reading.elements);
        Ok(values)
    }

    /// The numbers of a reading as floats, waiting for the steps submitted before it and for no others.
    pub fn finish_reading(&self, reading: Reading) -> Result<Vec<f32>> {
        self.gpu.wait_for(Some(reading.submission.clone()))?;
        pollster::block_on(self.finish_reading_async(reading))
    }

    /// A value as floats, waiting for the device. Integers above 2²⁴ are rounded; [`GpuSession::read_f64`] is exact.
    pub fn read(&self, node: NodeId) -> Result<Vec<f32>> {
        self.finish_reading(self.start_reading(node)?)
    }

    /// A value of any type, exactly, waiting for the device.
    pub fn read_f64(&self, node: NodeId) -> Result<Vec<f64>> {
        let reading = self.start_reading(node)?;
        self.gpu.wait_for(Some(reading.submission.clone()))?;
        pollster::block_on(self.numbers(reading, |v| v))
    }
}

/// A value on its way to the host.
pub struct Reading {
    staging: wgpu::Buffer,
    bytes: u64,
    dtype: DType,
    elements: usize,
    submission: wgpu::SubmissionIndex,
    receiver: OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
}
