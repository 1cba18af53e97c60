//! A graph on a GPU: values in, steps, values out.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use crate::gpu::wait::{Submission, apart, block_on};
use crate::gpu::{Buffer, CommandEncoder, Gpu, Preparation, Replay};
use crate::graph::{Graph, NodeId};
use crate::plan::Plan;
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
    staging: Mutex<Vec<wgpu::Buffer>>,
}

impl GpuSession {
    /// Compiles a graph for the device and makes everything it needs.
    ///
    /// Errors: those of [`GpuSession::compile`]; out of memory.
    pub fn new(gpu: &Gpu, graph: &Graph) -> Result<Self> {
        block_on(Self::new_async(gpu, graph))
    }

    /// The `async` form of [`GpuSession::new`]: kernels are compiled on threads of their own meanwhile.
    pub async fn new_async(gpu: &Gpu, graph: &Graph) -> Result<Self> {
        Self::make(gpu, graph, |gpu, graph| Ok((Self::compile(gpu, graph)?, Preparation::default()))).await
    }

    /// Compiles a graph for the device, with the kernels of [`Gpu::choice`].
    ///
    /// Errors: the graph does not fit the device; an operation has no kernel left.
    pub fn compile(gpu: &Gpu, graph: &Graph) -> Result<Plan> {
        graph.precision().check(gpu.name(), gpu.limits().f16)?;
        let choice = gpu.choice()?;
        compile::compile_with(graph, gpu.limits(), &|op, io, candidates| choice.choose(op, io, candidates))
    }

    /// As [`GpuSession::new`], with buffers of the app's in the place of leaves: what its own passes write there is what
    /// the next step reads. The values lie at the beginning of each, as [`TensorBuffer`] says.
    ///
    /// Errors: as [`GpuSession::new`]; a node that is no leaf of the step; a buffer that is too small or has no usage
    /// `STORAGE`.
    pub fn with_buffers(gpu: &Gpu, graph: &Graph, buffers: &[(NodeId, Buffer)]) -> Result<Self> {
        block_on(Self::with_buffers_async(gpu, graph, buffers))
    }

    /// The `async` form of [`GpuSession::with_buffers`].
    pub async fn with_buffers_async(gpu: &Gpu, graph: &Graph, buffers: &[(NodeId, Buffer)]) -> Result<Self> {
        let buffers = buffers.to_vec();
        let plan = move |gpu: &Gpu, graph: &Graph| {
            let plan = Self::compile(gpu, graph)?;
            let given = given(graph, &plan, &buffers)?;
            Ok((plan, Preparation { given, sliced: false }))
        };
        Self::make(gpu, graph, plan).await
    }

    /// As [`GpuSession::new`], of a step that can run in slices: see [`GpuSession::encode_slices`].
    pub fn sliced(gpu: &Gpu, graph: &Graph) -> Result<Self> {
        block_on(Self::sliced_async(gpu, graph))
    }

    /// The `async` form of [`GpuSession::sliced`].
    pub async fn sliced_async(gpu: &Gpu, graph: &Graph) -> Result<Self> {
        let preparation = Preparation { sliced: true, ..Preparation::default() };
        Self::make(gpu, graph, |gpu, graph| Ok((Self::compile(gpu, graph)?, preparation))).await
    }

    /// A session of a plan made of this graph with other choices.
    pub fn from_plan(gpu: &Gpu, graph: &Graph, plan: Plan) -> Result<Self> {
        block_on(Self::from_plan_async(gpu, graph, plan))
    }

    /// The `async` form of [`GpuSession::from_plan`].
    pub async fn from_plan_async(gpu: &Gpu, graph: &Graph, plan: Plan) -> Result<Self> {
        Self::make(gpu, graph, |_, _| Ok((plan, Preparation::default()))).await
    }

    async fn make(
        gpu: &Gpu,
        graph: &Graph,
        plan: impl FnOnce(&Gpu, &Graph) -> Result<(Plan, Preparation)> + Send + 'static,
    ) -> Result<Self> {
        let (gpu, graph) = (gpu.clone(), graph.clone());
        let made = async move || {
            let (plan, preparation) = plan(&gpu, &graph)?;
            let replay = Replay::new_async(&gpu, &plan, &preparation).await?;
            Ok(Self { gpu, graph, plan, replay, staging: Mutex::default() })
        };
        apart(made).await
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

    /// Where a value lies on the device, for an app's own shaders and copies. See [`TensorBuffer`].
    ///
    /// Errors: the node is neither a leaf of the step nor an output of the graph: its memory may be another's by then.
    pub fn buffer(&self, node: NodeId) -> Result<TensorBuffer<'_>> {
        if self.graph.node(node).op().is_some() && !self.graph.outputs().contains(&node) {
            let what = match self.graph.node(node).name.as_str() {
                "" => "node".to_string(),
                name => format!("node \"{name}\""),
            };
            return Err(Error::option(what, "a leaf or an output", node.index()));
        }
        let place = self.plan.place(node)?;
        Ok(TensorBuffer { buffer: self.replay.buffer(place.buffer), offset: place.offset, bytes: place.bytes })
    }

    /// Sets a value before the next submitted step.
    ///
    /// Errors: data of another type or length; a node the step does not compute.
    pub fn write(&self, node: NodeId, data: HostData<'_>) -> Result<()> {
        data.check(&format!("\"{}\"", self.graph.node(node).name), self.graph.ty(node))?;
        let place = self.plan.place(node)?;
        let buffer = self.replay.buffer(place.buffer);
        require(&self.graph, node, buffer, wgpu::BufferUsages::COPY_DST)?;
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
    pub fn encode(&self, encoder: &mut CommandEncoder) {
        self.replay.encode(encoder);
    }

    /// Submits `steps` steps in one command buffer, without waiting.
    pub fn submit(&self, steps: usize) {
        let mut encoder = self.encoder();
        self.encode_steps(&mut encoder, steps);
        self.submit_encoder(encoder);
    }

    /// Slices of each launch of the step: 1 if it has but one workgroup, or the session is not [`GpuSession::sliced`].
    pub fn slices(&self) -> Vec<u32> {
        self.replay.slices()
    }

    /// Appends slices of launches to an encoder: what a step computes when all slices of all its launches have run, in
    /// order, in however many passes and submissions.
    pub fn encode_slices(&self, encoder: &mut CommandEncoder, work: &[(usize, Range<u32>)]) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        work.iter().for_each(|(launch, range)| self.replay.encode_slices(&mut pass, *launch, range.clone()));
    }

    /// An encoder of the session's device.
    pub fn encoder(&self) -> CommandEncoder {
        self.gpu.device().create_command_encoder(&Default::default())
    }

    /// Appends the setting of a value at this place of an encoder, whose later commands see it and whose earlier ones do
    /// not: for values that change between steps of one encoder. Takes a buffer of its length, until the commands have run.
    ///
    /// Errors: as [`GpuSession::write`].
    pub fn encode_write(&self, encoder: &mut CommandEncoder, node: NodeId, data: HostData<'_>) -> Result<()> {
        data.check(&format!("\"{}\"", self.graph.node(node).name), self.graph.ty(node))?;
        let to = self.buffer(node)?;
        let _dead = self.gpu.forgiving();
        let staging = self.gpu.buffer_of("write", data.as_bytes(), wgpu::BufferUsages::COPY_SRC);
        encoder.copy_buffer_to_buffer(&staging, 0, to.buffer, to.offset, staging.size());
        Ok(())
    }

    /// Submits what an encoder has, without waiting.
    pub fn submit_encoder(&self, encoder: CommandEncoder) -> Submission {
        self.gpu.submit(encoder)
    }

    /// Appends steps, all in one pass: wgpu makes two command buffers of each.
    fn encode_steps(&self, encoder: &mut CommandEncoder, steps: usize) {
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
        let from = self.buffer(node)?;
        require(&self.graph, node, from.buffer, wgpu::BufferUsages::COPY_SRC)?;
        Ok(self.read_after(steps, from, node))
    }

    /// Asks for the numbers of another buffer that holds a value of the same type as `node`.
    pub(super) fn start_reading_of(&self, from: TensorBuffer<'_>, node: NodeId) -> Reading {
        self.read_after(0, from, node)
    }

    fn read_after(&self, steps: usize, from: TensorBuffer<'_>, node: NodeId) -> Reading {
        let bytes = from.bytes;
        let _dead = self.gpu.forgiving();
        let staging = self.staging_buffer(bytes);
        let mut encoder = self.encoder();
        self.encode_steps(&mut encoder, steps);
        encoder.copy_buffer_to_buffer(from.buffer, from.offset, &staging, 0, bytes);
        let (sender, receiver) = oneshot_channel();
        encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Read, 0..bytes, move |result| {
            // The receiver may be gone: nobody waits for this reading any more.
            let _ = sender.send(result);
        });
        let submission = self.submit_encoder(encoder);
        let (dtype, elements) = (self.graph.dtype(node), self.graph.shape(node).elements());
        Reading { staging, bytes, dtype, elements, submission, receiver }
    }

    fn staging_buffer(&self, bytes: u64) -> wgpu::Buffer {
        let mut free = self.staging.lock().expect(UNPOISONED);
        if let Some(at) = free.iter().position(|b| b.size() == bytes) {
            return free.swap_remove(at);
        }
        self.gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("read-back"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// The `async` form of [`GpuSession::finish_reading`].
    pub async fn finish_reading_async(&self, reading: Reading) -> Result<Vec<f32>> {
        self.numbers(reading, |v| v as f32).await
    }

    /// What `of` makes of the numbers of a reading, which it gets exactly, whatever their type on the device.
    async fn numbers<T>(&self, reading: Reading, of: impl Fn(f64) -> T) -> Result<Vec<T>> {
        let failed = |reason: String| Error::Gpu { what: "reading a buffer back".into(), reason };
        self.gpu.settle(Some(reading.submission.clone())).await?;
        match reading.receiver.receive().await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                self.gpu.check_lost_async().await?;
                return Err(failed(error.to_string()));
            }
            None => return Err(self.gpu.lost()),
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
        self.staging.lock().expect(UNPOISONED).push(reading.staging);
        values.truncate(reading.elements);
        Ok(values)
    }

    /// The numbers of a reading as floats, waiting for the steps submitted before it and for no others.
    pub fn finish_reading(&self, reading: Reading) -> Result<Vec<f32>> {
        block_on(self.finish_reading_async(reading))
    }

    /// A value as floats, waiting for the device. Integers above 2²⁴ are rounded; [`GpuSession::read_f64`] is exact.
    pub fn read(&self, node: NodeId) -> Result<Vec<f32>> {
        block_on(self.read_async(node))
    }

    /// The `async` form of [`GpuSession::read`].
    pub async fn read_async(&self, node: NodeId) -> Result<Vec<f32>> {
        self.finish_reading_async(self.start_reading(node)?).await
    }

    /// A value of any type, exactly, waiting for the device.
    pub fn read_f64(&self, node: NodeId) -> Result<Vec<f64>> {
        block_on(self.read_f64_async(node))
    }

    /// The `async` form of [`GpuSession::read_f64`].
    pub async fn read_f64_async(&self, node: NodeId) -> Result<Vec<f64>> {
        self.numbers(self.start_reading(node)?, |v| v).await
    }
}

/// An app's buffers by their positions in a plan.
fn given(graph: &Graph, plan: &Plan, buffers: &[(NodeId, Buffer)]) -> Result<HashMap<usize, Buffer>> {
    let mut given = HashMap::new();
    for (node, buffer) in buffers {
        let what = format!("buffer for \"{}\"", graph.node(*node).name);
        if graph.node(*node).op().is_some() {
            return Err(Error::option(what, "a node that is an input or a variable", "one that the step computes"));
        }
        let place = plan.place(*node)?;
        if buffer.size() < place.bytes {
            return Err(Error::option(what, format!("at least {} bytes", place.bytes), buffer.size()));
        }
        require(graph, *node, buffer, wgpu::BufferUsages::STORAGE)?;
        given.insert(place.buffer, buffer.clone());
    }
    Ok(given)
}

/// Refuses a buffer, which may be an app's own, that cannot be used so.
fn require(graph: &Graph, node: NodeId, buffer: &Buffer, usage: wgpu::BufferUsages) -> Result<()> {
    if buffer.usage().contains(usage) {
        return Ok(());
    }
    let what = format!("buffer for \"{}\"", graph.node(node).name);
    let names: Vec<&str> = usage.iter_names().map(|(name, _)| name).collect();
    Err(Error::option(what, format!("the usage {}", names.join(" | ")), format!("{:?}", buffer.usage())))
}

const UNPOISONED: &str = "no panic while the list is held";

/// Where a value lies on the device.
///
/// Elements lie row by row, the last axis first, without gaps: that at `[n, c, y, x]` of `[N, C, H, W]` is number
/// `((n C + c) H + y) W + x`. Floats and integers take four bytes, `u8` one. In WGSL: `array<f32>`, bound with this offset
/// and length, which WebGPU takes as they are.
#[derive(Clone, Copy, Debug)]
pub struct TensorBuffer<'a> {
    /// The buffer, of usage `STORAGE | COPY_SRC | COPY_DST` unless it is the app's own.
    pub buffer: &'a Buffer,
    /// Its first byte, a multiple of 256.
    pub offset: u64,
    /// Its length in bytes, a multiple of 4.
    pub bytes: u64,
}

impl<'a> TensorBuffer<'a> {
    /// Appends the copying of it into another value, from that one's byte `at` on; what passes its end is left out.
    pub fn copy_into(&self, to: TensorBuffer<'_>, at: u64, encoder: &mut CommandEncoder) {
        let bytes = self.bytes.min(to.bytes.saturating_sub(at));
        encoder.copy_buffer_to_buffer(self.buffer, self.offset, to.buffer, to.offset + at, bytes);
    }

    /// What to bind it by.
    pub fn binding(&self) -> wgpu::BindingResource<'a> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: self.buffer,
            offset: self.offset,
            size: wgpu::BufferSize::new(self.bytes),
        })
    }
}

/// A value on its way to the host.
pub struct Reading {
    staging: wgpu::Buffer,
    bytes: u64,
    dtype: DType,
    elements: usize,
    submission: Submission,
    receiver: OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
}
