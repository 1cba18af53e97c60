//! A compiled graph on a GPU: writing values, running steps, reading values.

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
    /// Unused staging buffers, kept for later readbacks.
    staging: Mutex<Vec<wgpu::Buffer>>,
}

impl GpuSession {
    /// Compiles a graph for the device and creates everything it needs.
    ///
    /// Errors: those of [`GpuSession::compile`]; out of memory.
    pub fn new(gpu: &Gpu, graph: &Graph) -> Result<Self> {
        block_on(Self::new_async(gpu, graph))
    }

    /// The `async` form of [`GpuSession::new`]; kernels are compiled on separate threads.
    pub async fn new_async(gpu: &Gpu, graph: &Graph) -> Result<Self> {
        Self::make(gpu, graph, |gpu, graph| Ok((Self::compile(gpu, graph)?, Preparation::default()))).await
    }

    /// Compiles a graph for the device, with the kernels of [`Gpu::choice`].
    ///
    /// Errors: a limit of the device is exceeded; an operation has no trusted kernel.
    pub fn compile(gpu: &Gpu, graph: &Graph) -> Result<Plan> {
        graph.precision().check(gpu.name(), gpu.limits().f16)?;
        let choice = gpu.choice()?;
        compile::compile_with(graph, gpu.limits(), &|op, io, candidates| choice.choose(op, io, candidates))
    }

    /// Creates a session with app-owned buffers bound as inputs or variables: values that the app's passes write there
    /// are read by the next step. Each value starts at offset 0 of its buffer, laid out as in [`TensorBuffer`].
    ///
    /// Errors: those of [`GpuSession::new`]; a node that is not a leaf of the step; a buffer that is too small or lacks
    /// the usage `STORAGE`.
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

    /// Creates a session whose step can run in slices. See [`GpuSession::encode_slices`].
    pub fn sliced(gpu: &Gpu, graph: &Graph) -> Result<Self> {
        block_on(Self::sliced_async(gpu, graph))
    }

    /// The `async` form of [`GpuSession::sliced`].
    pub async fn sliced_async(gpu: &Gpu, graph: &Graph) -> Result<Self> {
        let preparation = Preparation { sliced: true, ..Preparation::default() };
        Self::make(gpu, graph, |gpu, graph| Ok((Self::compile(gpu, graph)?, preparation))).await
    }

    /// Creates a session from a plan of this graph that was compiled with other choices.
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

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The buffers and pipelines.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The buffer of a value, for an app's own shaders and copies. See [`TensorBuffer`].
    ///
    /// Errors: the node is neither a leaf of the step nor an output of the graph, so its memory may be reused.
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
    /// Errors: data of another type or length; a node that is not part of the step.
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

    /// The number of slices of each dispatch: 1 if it has only one workgroup or the session is not
    /// [`GpuSession::sliced`].
    pub fn slices(&self) -> Vec<u32> {
        self.replay.slices()
    }

    /// Appends slices of dispatches to an encoder. A step is complete when all slices of all its dispatches have run in
    /// order; they may be spread over any number of passes and submissions.
    pub fn encode_slices(&self, encoder: &mut CommandEncoder, work: &[(usize, Range<u32>)]) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        work.iter().for_each(|(launch, range)| self.replay.encode_slices(&mut pass, *launch, range.clone()));
    }

    /// A new command encoder of the session's device.
    pub fn encoder(&self) -> CommandEncoder {
        self.gpu.device().create_command_encoder(&Default::default())
    }

    /// Appends a write of a value to an encoder. Later commands see the new value, earlier ones do not. Use it for
    /// values that change between steps of one encoder. Allocates a buffer of the value's length until the commands
    /// have run.
    ///
    /// Errors: those of [`GpuSession::write`].
    pub fn encode_write(&self, encoder: &mut CommandEncoder, node: NodeId, data: HostData<'_>) -> Result<()> {
        data.check(&format!("\"{}\"", self.graph.node(node).name), self.graph.ty(node))?;
        let to = self.buffer(node)?;
        let _dead = self.gpu.forgiving();
        let staging = self.gpu.buffer_of("write", data.as_bytes(), wgpu::BufferUsages::COPY_SRC);
        encoder.copy_buffer_to_buffer(&staging, 0, to.buffer, to.offset, staging.size());
        Ok(())
    }

    /// Submits the commands of an encoder, without waiting.
    pub fn submit_encoder(&self, encoder: CommandEncoder) -> Submission {
        self.gpu.submit(encoder)
    }

    /// Appends steps in one pass, since wgpu creates two command buffers per pass.
    fn encode_steps(&self, encoder: &mut CommandEncoder, steps: usize) {
        if steps > 0 {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            (0..steps).for_each(|_| self.replay.encode_step(&mut pass));
        }
    }

    /// Requests a value as of everything submitted so far, without waiting.
    ///
    /// Errors: the node is neither a leaf of the step nor an output of the graph, so its memory may be reused.
    pub fn start_reading(&self, node: NodeId) -> Result<Reading> {
        self.submit_and_read(0, node)
    }

    /// Submits `steps` steps and requests a value as of their end, in one command buffer, without waiting.
    ///
    /// Errors: those of [`GpuSession::start_reading`]; then nothing is submitted.
    pub fn submit_and_read(&self, steps: usize, node: NodeId) -> Result<Reading> {
        let from = self.buffer(node)?;
        require(&self.graph, node, from.buffer, wgpu::BufferUsages::COPY_SRC)?;
        Ok(self.read_after(steps, from, node))
    }

    /// Requests the values of another buffer with the same type as `node`.
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
            // The receiver may have been dropped with its reading.
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

    /// Converts the values of a reading by `of`, which receives them exactly, whatever their type on the device.
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

    /// The values of a reading as floats. Waits only for the steps submitted before it.
    pub fn finish_reading(&self, reading: Reading) -> Result<Vec<f32>> {
        block_on(self.finish_reading_async(reading))
    }

    /// Reads a value as floats, waiting for the device. Integers above 2²⁴ are rounded; [`GpuSession::read_f64`] is
    /// exact.
    pub fn read(&self, node: NodeId) -> Result<Vec<f32>> {
        block_on(self.read_async(node))
    }

    /// The `async` form of [`GpuSession::read`].
    pub async fn read_async(&self, node: NodeId) -> Result<Vec<f32>> {
        self.finish_reading_async(self.start_reading(node)?).await
    }

    /// Reads a value of any type exactly, waiting for the device.
    pub fn read_f64(&self, node: NodeId) -> Result<Vec<f64>> {
        block_on(self.read_f64_async(node))
    }

    /// The `async` form of [`GpuSession::read_f64`].
    pub async fn read_f64_async(&self, node: NodeId) -> Result<Vec<f64>> {
        self.numbers(self.start_reading(node)?, |v| v).await
    }
}

/// The app-owned buffers by their indices in a plan.
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

/// Refuses a buffer without the required usage; it may be app-owned.
fn require(graph: &Graph, node: NodeId, buffer: &Buffer, usage: wgpu::BufferUsages) -> Result<()> {
    if buffer.usage().contains(usage) {
        return Ok(());
    }
    let what = format!("buffer for \"{}\"", graph.node(node).name);
    let names: Vec<&str> = usage.iter_names().map(|(name, _)| name).collect();
    Err(Error::option(what, format!("the usage {}", names.join(" | ")), format!("{:?}", buffer.usage())))
}

const UNPOISONED: &str = "no panic while the list is held";

/// The location of a value on the device.
///
/// Elements are in row-major order without gaps: element `[n, c, y, x]` of `[N, C, H, W]` has index `((n C + c) H + y)
/// W + x`. Floats and integers take four bytes, `u8` one. In WGSL it is an `array<f32>`, bound with this offset and
/// length, which satisfy WebGPU's alignment rules.
#[derive(Clone, Copy, Debug)]
pub struct TensorBuffer<'a> {
    /// The buffer, with usage `STORAGE | COPY_SRC | COPY_DST` unless it is app-owned.
    pub buffer: &'a Buffer,
    /// Offset in bytes, a multiple of 256.
    pub offset: u64,
    /// Length in bytes, a multiple of 4.
    pub bytes: u64,
}

impl<'a> TensorBuffer<'a> {
    /// Appends a copy into another value, starting at that value's byte `at`. Bytes beyond its end are omitted.
    pub fn copy_into(&self, to: TensorBuffer<'_>, at: u64, encoder: &mut CommandEncoder) {
        let bytes = self.bytes.min(to.bytes.saturating_sub(at));
        encoder.copy_buffer_to_buffer(self.buffer, self.offset, to.buffer, to.offset + at, bytes);
    }

    /// The binding resource.
    pub fn binding(&self) -> wgpu::BindingResource<'a> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: self.buffer,
            offset: self.offset,
            size: wgpu::BufferSize::new(self.bytes),
        })
    }
}

/// A pending readback of a value.
pub struct Reading {
    staging: wgpu::Buffer,
    bytes: u64,
    dtype: DType,
    elements: usize,
    submission: Submission,
    receiver: OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
}
