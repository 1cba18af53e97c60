//! Where a computation runs: a GPU, or the CPU.

use crate::cpu::CpuSession;
use crate::gpu::{Gpu, GpuSession, Reading, block_on};
use crate::graph::{Graph, NodeId};
use crate::shape::DType;
use crate::tensor::HostData;
use crate::{Error, Result, gpu};

/// A place to compute.
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
    /// `auto` takes a hardware GPU, else a software Vulkan device, else the CPU interpreter. `gpu` takes any adapter
    /// and never falls back.
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

    /// Refuses a graph that [`Session::new`] would refuse, and makes nothing.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        match self {
            Device::Gpu(gpu) => GpuSession::compile(gpu, graph).map(|_| ()),
            Device::Cpu => graph.precision().check("the CPU", false).and(graph.verify().map_err(Error::Graph)),
        }
    }

    /// What it is, in a few words.
    pub fn name(&self) -> String {
        match self {
            Device::Gpu(gpu) => gpu.name().to_string(),
            Device::Cpu => "CPU interpreter".to_string(),
        }
    }

    /// The graphics backend, or `cpu`.
    pub fn backend(&self) -> String {
        match self {
            Device::Gpu(gpu) => gpu.backend(),
            Device::Cpu => "cpu".to_string(),
        }
    }

    /// What tells devices apart whose results differ: adapter and driver, or `cpu`, whatever its threads.
    pub fn identity(&self) -> String {
        match self {
            Device::Gpu(gpu) => format!("{} ({})", gpu.name(), gpu.driver()),
            Device::Cpu => "cpu".to_string(),
        }
    }

    /// One line for the user: what runs the computation, and how to get something faster if there is.
    pub fn describe(&self) -> String {
        match self {
            Device::Gpu(gpu) if gpu.is_software() => {
                format!("{}: a software device, no hardware GPU was found", self.identity())
            }
            Device::Gpu(_) => self.identity(),
            Device::Cpu => {
                let threads = rayon::current_num_threads();
                format!("CPU interpreter, {threads} threads; for a GPU, {}", gpu::HOW_TO_GET_A_DRIVER)
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

/// A graph made ready on a device: values in, steps, values out.
pub enum Session {
    /// On a GPU.
    Gpu(Box<GpuSession>),
    /// On the CPU.
    Cpu(Box<CpuSession>),
}

/// A value on its way to the host.
pub enum Pending {
    /// Being copied back.
    Gpu(Reading),
    /// Already here.
    Cpu(Vec<f64>),
}

impl Session {
    /// Compiles a graph for a device.
    ///
    /// Errors: the graph does not fit the device's limits; the message says what and by how much.
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

    /// Dispatches of a step; `None` on the CPU.
    pub fn dispatches(&self) -> Option<usize> {
        match self {
            Session::Gpu(session) => Some(session.replay().launches()),
            Session::Cpu(_) => None,
        }
    }

    /// Sets an input or variable.
    ///
    /// Errors: data of another type or length.
    pub fn write<'a>(&mut self, node: NodeId, data: impl Into<HostData<'a>>) -> Result<()> {
        match self {
            Session::Gpu(session) => session.write(node, data.into()),
            Session::Cpu(session) => session.write(node, data.into()),
        }
    }

    /// Runs so many steps. On a GPU they are submitted together and this does not wait for them.
    pub fn run(&mut self, steps: usize) {
        match self {
            Session::Gpu(session) => session.submit(steps),
            Session::Cpu(session) => session.run(steps),
        }
    }

    /// Asks for a value as it is after the steps so far, without waiting.
    pub fn start_reading(&self, node: NodeId) -> Result<Pending> {
        Ok(match self {
            Session::Gpu(session) => Pending::Gpu(session.start_reading(node)?),
            Session::Cpu(session) => Pending::Cpu(session.read(node)?),
        })
    }

    /// Runs so many steps and asks for a value as it is after them, in one submission, without waiting.
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

    /// The numbers of a reading as floats, waiting until they are there.
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

    /// A value as floats, waiting until the steps so far are done. Integers (positions, labels, counters) are read as
    /// the numbers they are, rounded above 2²⁴; [`Session::read_f64`] is exact.
    ///
    /// Errors: neither a leaf nor an output of the graph.
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

/// Runs a graph once: writes `inputs`, returns the values of the graph's outputs. For a single operation or a test.
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
/// let picture = Tensor::from_fn([1, 1, 5, 5], |i| i as f32);
/// let filters = Tensor::from_fn([2, 1, 3, 3], |i| if i < 9 { 1.0 / 9.0 } else { 0.0 });
/// let maps = device::evaluate(&Device::choose("auto")?, &graph, &[(x, &picture), (w, &filters)])?;
/// assert_eq!(maps[0].shape()[..], [1, 2, 3, 3]);
/// assert!((maps[0].data()[0] - 6.0).abs() < 1e-5); // the mean of 0 1 2 5 6 7 10 11 12
/// # Ok(())
/// # }
/// ```
pub fn evaluate(
    device: impl Into<Device>,
    graph: &Graph,
    inputs: &[(NodeId, &crate::Tensor)],
) -> Result<Vec<crate::Tensor>> {
    block_on(evaluate_async(device, graph, inputs))
}

/// The `async` form of [`evaluate`].
pub async fn evaluate_async(
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
