//! Execution on a GPU. The only floor that names `wgpu`; it knows plans and kernels, no operation.

mod adapter;
mod cache;
mod copies;
mod pipeline;
mod replay;
mod session;
mod slices;
pub mod texture;
mod timing;
mod trust;
mod tuned;
mod wait;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pub use adapter::{AdapterSummary, HOW_TO_GET_A_DRIVER, adapters, adapters_async};
#[cfg(feature = "images")]
pub(crate) use cache::path as cache_path;
pub use copies::Copies;
pub use replay::{Preparation, Replay};
pub use session::{GpuSession, Reading, TensorBuffer};
pub use texture::{TextureInput, TextureOutput, TextureRead, TextureWrite};
pub use trust::Distrusted;
pub use tuned::{KernelChoice, Tuned, TunedOperation, forget_tuned};
pub use wait::Submission;
pub(crate) use wait::{Instant, block_on};
pub use wgpu::{Adapter, Buffer, CommandEncoder};

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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ShaderChecks {
    /// None for lenslet's own shaders, whose accesses the tests hold within bounds: they run 1.3 to 5 times faster. Shaders
    /// from elsewhere are checked, unless an unsafe call made them [trusted](crate::kernel::Shader::trusted).
    #[default]
    Trusted,
    /// Bounds and loops of every shader are checked, as in a browser.
    Checked,
}

impl Gpu {
    /// A hardware GPU if there is one, else a software one.
    ///
    /// Errors: no adapter of any kind.
    pub fn new() -> Result<Self> {
        block_on(Self::new_async())
    }

    /// The `async` form of [`Gpu::new`].
    pub async fn new_async() -> Result<Self> {
        Self::open(None, ShaderChecks::default()).await
    }

    /// The adapter of that number in [`adapters`], or whose name contains that text, whatever the case.
    pub fn named(name: &str) -> Result<Self> {
        block_on(Self::named_async(name))
    }

    /// The `async` form of [`Gpu::named`].
    pub async fn named_async(name: &str) -> Result<Self> {
        Self::open(Some(name), ShaderChecks::default()).await
    }

    /// The same choice as [`Gpu::new`], with shaders checked or trusted.
    pub fn with_checks(checks: ShaderChecks) -> Result<Self> {
        block_on(Self::open(None, checks))
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

    /// An app's own device and queue, with shaders checked or trusted. Otherwise as [`Gpu::from_wgpu`].
    pub fn from_wgpu_with_checks(device: wgpu::Device, queue: wgpu::Queue, checks: ShaderChecks) -> Self {
        Self::wrap(device, queue, checks)
    }

    /// What to ask for when making a device of this adapter that lenslet shall use, beside what the app itself needs. On a
    /// device without, everything runs too, with other kernels.
    pub fn required_features(adapter: &Adapter) -> wgpu::Features {
        adapter::wanted_features(adapter.features())
    }

    /// The limits to ask for beside those that the app itself needs (`limits.or_better_values_from(&its_own)`): WebGPU's
    /// defaults, with as much memory a buffer as the adapter gives, for large data sets and batches.
    pub fn required_limits(adapter: &Adapter) -> wgpu::Limits {
        adapter::wanted_limits(&adapter.limits())
    }

    fn wrap(device: wgpu::Device, queue: wgpu::Queue, checks: ShaderChecks) -> Self {
        let mut info = device.adapter_info();
        // Browsers keep it to themselves.
        if info.name.is_empty() {
            info.name = "unnamed adapter".into();
        }
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

    /// The backend: `vulkan`, `metal`, `dx12`, `gl`, `webgpu`.
    pub fn backend(&self) -> String {
        self.shared.info.backend.to_string()
    }

    /// Whether it is a driver that computes on the CPU.
    pub fn is_software(&self) -> bool {
        self.shared.info.device_type == wgpu::DeviceType::Cpu
    }

    /// A buffer with these contents, padded to whole words.
    fn buffer_of(&self, label: &str, contents: &[u8], usage: wgpu::BufferUsages) -> wgpu::Buffer {
        let buffer = self.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: contents.len().next_multiple_of(4) as u64,
            usage,
            mapped_at_creation: true,
        });
        // On a lost device nothing can be mapped; who made the buffer finds that out.
        if let Ok(mut mapped) = buffer.get_mapped_range_mut(..) {
            mapped.slice(..contents.len()).copy_from_slice(contents);
        }
        buffer.unmap();
        buffer
    }

    /// Whether the device was heard to be lost: only one of our own is heard of.
    fn was_lost(&self) -> bool {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gpu({}, {})", self.name(), self.driver())
    }
}
