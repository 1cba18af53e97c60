//! The devices that run graphs: a GPU, or the CPU.

use crate::cpu::CpuSession;
use crate::gpu::{Gpu, GpuSession, Reading, block_on};
use crate::graph::{Graph, NodeId};
use crate::shape::DType;
use crate::tensor::HostData;
use crate::{Error, Result, gpu};

/// A device that runs graphs.
#[derive(Clone, Debug)]
pub enum Device {
    /// A GPU, or a driver that acts as one.
    Gpu(Gpu),
    /// The CPU's cores.
    Cpu,
}

impl Device {
    /// The device that `--device` names: `auto`, `gpu`, `cpu`, or an adapter's number or part of its name.
    ///
    /// `auto` takes a hardware GPU, else a software Vulkan device, else the CPU. `gpu` takes any adapter and never falls
    /// back.
    ///
    /// Errors: no such adapter; the message lists those found.
    pub fn choose(name: &str) -> Result<Self> {
        block_on(Self::choose_async(name))
    }

    /// The `async` form of [`Device::choose`].
    pub async fn choose_async(name: &str) -> Result<Self> {
        match name {
            "cpu" => Ok(Device::Cpu),
            "gpu" => Gpu::new_async().await.map(Device::Gpu),
            "auto" => match Gpu::new_async().await {
                Ok(gpu) => Ok(Device::Gpu(gpu)),
                Err(Error::NoDevice(_)) => Ok(Device::Cpu),
                Err(error) => Err(error),
            },
            name => Gpu::named_async(name).await.map(Device::Gpu),
        }
    }

    /// Checks that [`Session::new`] would take a graph, without allocating anything.
    ///
    /// Errors: those of [`Session::new`].
    pub fn check(&self, graph: &Graph) -> Result<()> {
        match self {
            Device::Gpu(gpu) => GpuSession::compile(gpu, graph).map(|_| ()),
            Device::Cpu => graph.precision().check("the CPU", false).and(graph.verify().map_err(Error::Graph)),
        }
    }

    /// The adapter's name, or `CPU`.
    pub fn name(&self) -> String {
        match self {
            Device::Gpu(gpu) => gpu.name().to_string(),
            Device::Cpu => "CPU".to_string(),
        }
    }

    /// The graphics backend, or `cpu`.
    pub fn backend(&self) -> String {
        match self {
            Device::Gpu(gpu) => gpu.backend(),
            Device::Cpu => "cpu".to_string(),
        }
    }

    /// The identity of the results: the same on two devices only if they compute the same bits. Adapter and driver, or
    /// `cpu`, whose results do not depend on the number of threads.
    pub fn identity(&self) -> String {
        match self {
            Device::Gpu(gpu) => format!("{} ({})", gpu.name(), gpu.driver()),
            Device::Cpu => "cpu".to_string(),
        }
    }

    /// One line for the user: the device, and how to get a GPU if it is none.
    pub fn describe(&self) -> String {
        match self {
            Device::Gpu(gpu) if gpu.is_software() => {
                format!("{}: a software device, no hardware GPU was found", self.identity())
            }
            Device::Gpu(_) => self.identity(),
            Device::Cpu => {
                let threads = rayon::current_num_threads();
                format!("CPU, {threads} threads; for a GPU, {}", gpu::HOW_TO_GET_A_DRIVER)
            }
        }
    }
}

impl From<&Gpu> for Device {
    fn from(gpu: &Gpu) -> Self {
        Device::Gpu(gpu.clone())
    }
}

impl From<&Device> for Device {
    fn from(device: &Device) -> Self {
        device.clone()
    }
}

/// A graph prepared on a device: write values, run steps, read values.
pub enum Session {
    /// On a GPU.
    Gpu(Box<GpuSession>),
    /// On the CPU.
    Cpu(Box<CpuSession>),
}

/// A value that is being read back to the host.
pub enum Pending {
    /// Being copied back.
    Gpu(Reading),
    /// On the host already.
    Cpu(Vec<f64>),
}

impl Session {
    /// Compiles a graph for a device.
    ///
    /// Errors: the graph is not [sound](Graph::verify) or does not fit the device's limits (the message names the value
    /// and the excess), or the device lacks its [precision](Graph::precision); a GPU fails.
    pub fn new(device: &Device, graph: &Graph) -> Result<Self> {
        Ok(match device {
            Device::Gpu(gpu) => Session::Gpu(Box::new(GpuSession::new(gpu, graph)?)),
            Device::Cpu => Session::Cpu(Box::new(CpuSession::new(graph)?)),
        })
    }

    /// The `async` form of [`Session::new`].
    pub async fn new_async(device: &Device, graph: &Graph) -> Result<Self> {
        match device {
            Device::Gpu(gpu) => Ok(Session::Gpu(Box::new(GpuSession::new_async(gpu, graph).await?))),
            Device::Cpu => Session::new(device, graph),
        }
    }

    /// The number of launches of a step; `None` on the CPU.
    pub fn dispatches(&self) -> Option<usize> {
        match self {
            Session::Gpu(session) => Some(session.replay().launches()),
            Session::Cpu(_) => None,
        }
    }

    /// Sets an input or a variable. `data` has its elements in row-major order.
    ///
    /// Errors: data of another type or length.
    pub fn write<'a>(&mut self, node: NodeId, data: impl Into<HostData<'a>>) -> Result<()> {
        match self {
            Session::Gpu(session) => session.write(node, data.into()),
            Session::Cpu(session) => session.write(node, data.into()),
        }
    }

    /// Runs `steps` steps. On a GPU they are submitted together, without waiting for them.
    pub fn run(&mut self, steps: usize) {
        match self {
            Session::Gpu(session) => session.submit(steps),
            Session::Cpu(session) => session.run(steps),
        }
    }

    /// Starts to read a value as it is after the steps so far, without waiting.
    ///
    /// Errors: as [`Session::read`].
    pub fn start_reading(&self, node: NodeId) -> Result<Pending> {
        Ok(match self {
            Session::Gpu(session) => Pending::Gpu(session.start_reading(node)?),
            Session::Cpu(session) => Pending::Cpu(session.read(node)?),
        })
    }

    /// Runs `steps` steps and starts to read a value as it is after them, in one submission, without waiting.
    ///
    /// Errors: as [`Session::read`].
    pub fn run_and_read(&mut self, steps: usize, node: NodeId) -> Result<Pending> {
        match self {
            Session::Gpu(session) => Ok(Pending::Gpu(session.submit_and_read(steps, node)?)),
            Session::Cpu(session) => {
                session.run(steps);
                Ok(Pending::Cpu(session.read(node)?))
            }
        }
    }

    /// The value of a reading in row-major order, as floats, waiting until it is on the host.
    ///
    /// Errors: the device fails. Panics if another session on another kind of device started the reading.
    pub fn finish_reading(&self, pending: Pending) -> Result<Vec<f32>> {
        block_on(self.finish_reading_async(pending))
    }

    /// The `async` form of [`Session::finish_reading`].
    pub async fn finish_reading_async(&self, pending: Pending) -> Result<Vec<f32>> {
        match (self, pending) {
            (Session::Gpu(session), Pending::Gpu(reading)) => session.finish_reading_async(reading).await,
            (_, Pending::Cpu(values)) => Ok(values.iter().map(|&v| v as f32).collect()),
            (Session::Cpu(_), Pending::Gpu(_)) => panic!("a reading is finished by the session that started it"),
        }
    }

    /// A value in row-major order, as floats, waiting until the steps so far are done. Integers (indices, labels,
    /// counters) are converted, and rounded above 2²⁴; [`Session::read_f64`] is exact.
    ///
    /// Errors: the node is neither a leaf nor an output of the graph; the device fails.
    pub fn read(&self, node: NodeId) -> Result<Vec<f32>> {
        block_on(self.read_async(node))
    }

    /// The `async` form of [`Session::read`].
    pub async fn read_async(&self, node: NodeId) -> Result<Vec<f32>> {
        self.finish_reading_async(self.start_reading(node)?).await
    }

    /// A value of any type, exactly, waiting until the steps so far are done.
    ///
    /// Errors: as [`Session::read`].
    pub fn read_f64(&self, node: NodeId) -> Result<Vec<f64>> {
        block_on(self.read_f64_async(node))
    }

    /// The `async` form of [`Session::read_f64`].
    pub async fn read_f64_async(&self, node: NodeId) -> Result<Vec<f64>> {
        match self {
            Session::Gpu(session) => session.read_f64_async(node).await,
            Session::Cpu(session) => session.read(node),
        }
    }
}

/// Runs a graph once: writes `inputs`, returns the values of the graph's [outputs](Graph::outputs), in order. For a single
/// operation or a test; a [`Session`] runs a graph many times.
///
/// ```
/// use lenslet::{Device, Graph, Tensor, TensorType, Window, device};
///
/// # fn main() -> lenslet::Result<()> {
/// let mut graph = Graph::new();
/// let x = graph.input("x", TensorType::f32([1, 1, 5, 5]))?;
/// let w = graph.input("w", TensorType::f32([2, 1, 3, 3]))?;
/// let y = graph.conv2d(x, w, None, Window::new(3))?;
/// graph.output(y);
/// let image = Tensor::from_fn([1, 1, 5, 5], |i| i as f32);
/// let filters = Tensor::from_fn([2, 1, 3, 3], |i| if i < 9 { 1.0 / 9.0 } else { 0.0 });
/// let maps = device::run(&Device::choose("auto")?, &graph, &[(x, &image), (w, &filters)])?;
/// assert_eq!(maps[0].shape()[..], [1, 2, 3, 3]);
/// assert!((maps[0].data()[0] - 6.0).abs() < 1e-5); // the mean of 0 1 2 5 6 7 10 11 12
/// # Ok(())
/// # }
/// ```
///
/// Errors: those of [`Session::new`] and [`Session::write`]; an output that is not f32.
pub fn run(
    device: impl Into<Device>,
    graph: &Graph,
    inputs: &[(NodeId, &crate::Tensor)],
) -> Result<Vec<crate::Tensor>> {
    block_on(run_async(device, graph, inputs))
}

/// The `async` form of [`run`].
pub async fn run_async(
    device: impl Into<Device>,
    graph: &Graph,
    inputs: &[(NodeId, &crate::Tensor)],
) -> Result<Vec<crate::Tensor>> {
    let mut session = Session::new_async(&device.into(), graph).await?;
    for (node, tensor) in inputs {
        session.write(*node, *tensor)?;
    }
    session.run(1);
    let mut outputs = vec![];
    for &node in graph.outputs() {
        if graph.dtype(node) != DType::F32 {
            return Err(Error::option("output", "f32", graph.dtype(node)));
        }
        outputs.push(crate::Tensor::new(graph.shape(node).clone(), session.read_async(node).await?)?);
    }
    Ok(outputs)
}
