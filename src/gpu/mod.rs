//! Execution on a GPU. The only floor that names `wgpu`; it knows plans and kernels, no operation.

mod adapter;
mod cache;
mod pipeline;
mod replay;
mod session;
pub mod texture;
mod timing;
mod trust;
mod tuned;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pub use adapter::{AdapterSummary, HOW_TO_GET_A_DRIVER, adapters};
pub use replay::Replay;
pub use session::{GpuSession, Reading};
pub use texture::{TextureInput, TextureOutput, TextureRead, TextureWrite};
pub use trust::Distrusted;
pub use tuned::{KernelChoice, Tuned, TunedOperation, forget_tuned};

use crate::kernel::Limits;
use crate::{Error, Result};

/// A device and its queue, with the pipelines made for it. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Gpu {
    shared: Arc<Shared>,
    limits: Limits,
}

struct Shared {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    checks: ShaderChecks,
    pipelines: Mutex<pipeline::Cache>,
    lost: Arc<AtomicBool>,
    /// What was measured here, once it was asked for.
    tuned: Mutex<Option<Arc<Tuned>>>,
}

/// Whether shaders carry run-time checks of bounds and loops.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ShaderChecks {
    /// None: kernels are proven in bounds by the tests, and run 1.3 to 5 times faster.
    #[default]
    Trusted,
    /// WebGPU's own, as in a browser.
    Checked,
}

impl Gpu {
    /// A hardware GPU if there is one, else a software one.
    ///
    /// Errors: no adapter of any kind.
    pub fn new() -> Result<Self> {
        pollster::block_on(Self::new_async())
    }

    /// The `async` form of [`Gpu::new`].
    pub async fn new_async() -> Result<Self> {
        Self::open(None, ShaderChecks::default()).await
    }

    /// The adapter of that number in [`adapters`], or whose name contains that text, whatever the case.
    pub fn named(name: &str) -> Result<Self> {
        pollster::block_on(Self::open(Some(name), ShaderChecks::default()))
    }

    /// The same choice as [`Gpu::new`], with shaders checked or trusted.
    pub fn with_checks(checks: ShaderChecks) -> Result<Self> {
        pollster::block_on(Self::open(None, checks))
    }

    async fn open(name: Option<&str>, checks: ShaderChecks) -> Result<Self> {
        let adapter = adapter::pick(name).await?;
        let info = adapter.get_info();
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("lenslet"),
                required_features: adapter::wanted_features(adapter.features()),
                required_limits: adapter::wanted_limits(&adapter.limits()),
                ..Default::default()
            })
            .await
            .map_err(|e| Error::Gpu { what: format!("device on {}", info.name), reason: e.to_string() })?;
        let gpu = Self::wrap(device, queue, checks);
        // The device is ours, so its loss is ours to hear of; an app that lends its device hears of it itself.
        let lost = gpu.shared.lost.clone();
        gpu.shared.device.set_device_lost_callback(move |_, _| lost.store(true, Ordering::Relaxed));
        Ok(gpu)
    }

    /// An app's own device and queue. Nothing is asked of them beyond WebGPU's default limits; what does not fit them
    /// is refused when a step is planned.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        Self::wrap(device, queue, ShaderChecks::default())
    }

    fn wrap(device: wgpu::Device, queue: wgpu::Queue, checks: ShaderChecks) -> Self {
        let info = device.adapter_info();
        let limits = adapter::limits(&device.limits(), device.features(), &info);
        let (pipelines, lost, tuned) = Default::default();
        Self { shared: Arc::new(Shared { device, queue, info, checks, pipelines, lost, tuned }), limits }
    }

    /// The device.
    pub fn device(&self) -> &wgpu::Device {
        &self.shared.device
    }

    /// The queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.shared.queue
    }

    /// What plans may use.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The same device, for plans that keep to other limits: to run on one device what another would get.
    pub fn planned_for(&self, limits: Limits) -> Self {
        Self { shared: self.shared.clone(), limits }
    }

    /// Whether shaders are checked.
    pub fn checks(&self) -> ShaderChecks {
        self.shared.checks
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.shared.info.name
    }

    /// The backend and driver: `vulkan, llvmpipe Mesa 22.3.6 (LLVM 15.0.6)`.
    pub fn driver(&self) -> String {
        adapter::driver(&self.shared.info)
    }

    /// The backend: `vulkan`, `metal`, `dx12`, `gl`.
    pub fn backend(&self) -> String {
        self.shared.info.backend.to_string()
    }

    /// Whether it is a driver that computes on the CPU.
    pub fn is_software(&self) -> bool {
        self.shared.info.device_type == wgpu::DeviceType::Cpu
    }

    /// Waits until everything submitted has run.
    pub fn wait(&self) -> Result<()> {
        self.wait_for(None)
    }

    /// Waits until a submission and those before it have run.
    fn wait_for(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let polled = self.device().poll(wgpu::PollType::Wait { submission_index, timeout: None });
        if self.shared.lost.load(Ordering::Relaxed) {
            return Err(Error::DeviceLost(self.name().to_string()));
        }
        polled.map(|_| ()).map_err(|e| Error::Gpu { what: "waiting for the device".into(), reason: e.to_string() })
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gpu({}, {})", self.name(), self.driver())
    }
}
