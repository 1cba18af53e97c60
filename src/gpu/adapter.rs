//! Which adapters there are, and which one to take.

use wgpu::{Backends, DeviceType};

use crate::gpu::wait::block_on;
use crate::kernel::Limits;
use crate::{Error, Result};

/// What a user wants to know of an adapter.
#[derive(Clone, Debug)]
pub struct AdapterSummary {
    /// Its name.
    pub name: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// `vulkan`, `metal`, `dx12`, `gl`, `webgpu`.
    pub backend: String,
    /// Driver and version.
    pub driver: String,
    /// The limits that bound a network.
    pub limits: Limits,
    /// Smallest and largest subgroup.
    pub subgroup: (u32, u32),
    /// WebGPU features that kernels could use.
    pub features: Vec<&'static str>,
}

/// Vulkan, Metal, DX12 and a browser's WebGPU. Desktop GL has compute too but is left out unless asked for by name: its
/// drivers are worse.
const DEFAULT_BACKENDS: Backends = Backends::PRIMARY;

async fn enumerate(backends: Backends) -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    // Validation layers slow every call; wgpu's own validation stays.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    let mut adapters = wgpu::Instance::new(descriptor).enumerate_adapters(backends).await;
    adapters.sort_by_key(|a| rank(a.get_info().device_type));
    adapters
}

/// The order in which `auto` prefers devices.
fn rank(kind: DeviceType) -> u8 {
    match kind {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}

/// All adapters, best first: the first is the one taken when none is named. In a browser, which tells them later, none.
pub fn adapters() -> Vec<AdapterSummary> {
    block_on(async { Ok(adapters_async().await) }).unwrap_or_default()
}

/// The `async` form of [`adapters`].
pub async fn adapters_async() -> Vec<AdapterSummary> {
    enumerate(DEFAULT_BACKENDS).await.iter().map(summarise).collect()
}

fn summarise(adapter: &wgpu::Adapter) -> AdapterSummary {
    let info = adapter.get_info();
    let named = [
        (wgpu::Features::SHADER_F16, "shader-f16"),
        (wgpu::Features::SUBGROUP, "subgroups"),
        (wgpu::Features::TIMESTAMP_QUERY, "timestamp-query"),
    ];
    AdapterSummary {
        kind: match info.device_type {
            DeviceType::DiscreteGpu => "discrete",
            DeviceType::IntegratedGpu => "integrated",
            DeviceType::VirtualGpu => "virtual",
            DeviceType::Cpu => "software",
            DeviceType::Other => "other",
        },
        backend: info.backend.to_string(),
        driver: driver(&info),
        limits: limits(&adapter.limits(), adapter.features(), &info),
        subgroup: (info.subgroup_min_size, info.subgroup_max_size),
        features: named.iter().filter(|(f, _)| adapter.features().contains(*f)).map(|(_, n)| *n).collect(),
        name: info.name,
    }
}

/// Backend, driver and version in a line.
pub(super) fn driver(info: &wgpu::AdapterInfo) -> String {
    let driver = format!("{} {}", info.driver, info.driver_info);
    match driver.trim() {
        "" => info.backend.to_string(),
        driver => format!("{}, {driver}", info.backend),
    }
}

/// The best adapter, or the one asked for by number or part of its name (`gl` asks for the GL backend).
pub(super) async fn pick(name: Option<&str>) -> Result<wgpu::Adapter> {
    let wanted = name.map(str::to_lowercase);
    let backends = if wanted.as_deref() == Some("gl") { Backends::GL } else { DEFAULT_BACKENDS };
    let mut adapters = enumerate(backends).await;
    let position = match wanted.as_deref() {
        None | Some("gl") => (!adapters.is_empty()).then_some(0),
        Some(text) => match text.parse::<usize>() {
            Ok(number) => (number < adapters.len()).then_some(number),
            Err(_) => adapters.iter().position(|a| a.get_info().name.to_lowercase().contains(text)),
        },
    };
    position.map(|at| adapters.swap_remove(at)).ok_or_else(|| {
        let found: Vec<_> = adapters
            .iter()
            .enumerate()
            .map(|(i, a)| format!("{i}: {} ({})", a.get_info().name, driver(&a.get_info())))
            .collect();
        let found = if found.is_empty() { "none".to_string() } else { found.join("; ") };
        let wanted = name.map_or("any adapter".to_string(), |n| format!("an adapter numbered or named \"{n}\""));
        let install = if adapters.is_empty() { format!("; {}", HOW_TO_GET_A_DRIVER) } else { String::new() };
        Error::NoDevice(format!("no GPU device: looked for {wanted}, found {found}{install}"))
    })
}

/// What to do on a machine without an adapter.
pub const HOW_TO_GET_A_DRIVER: &str = "install your GPU's Vulkan driver (Debian and Ubuntu: mesa-vulkan-drivers, which \
     also brings a software device; Fedora: mesa-vulkan-drivers; Arch: vulkan-radeon, vulkan-intel or nvidia-utils; \
     NVIDIA: its own driver; macOS and Windows need nothing)";

/// WebGPU's default limits, but as much memory a buffer as the adapter gives, and some more buffers a launch.
pub(super) fn wanted_limits(adapter: &wgpu::Limits) -> wgpu::Limits {
    // The more buffers, the more dispatches can run side by side.
    let buffers =
        adapter.max_storage_buffers_per_shader_stage.min(Limits::desktop().max_storage_buffers_per_shader_stage);
    wgpu::Limits {
        max_buffer_size: adapter.max_buffer_size,
        max_storage_buffer_binding_size: adapter.max_storage_buffer_binding_size,
        max_storage_buffers_per_shader_stage: buffers,
        ..wgpu::Limits::default().using_resolution(adapter.clone())
    }
}

/// What kernels and clocks can use of what the adapter has.
pub(super) fn wanted_features(adapter: wgpu::Features) -> wgpu::Features {
    adapter & (wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16)
}

/// The limits plans look at.
pub(super) fn limits(l: &wgpu::Limits, features: wgpu::Features, info: &wgpu::AdapterInfo) -> Limits {
    let subgroups = features.contains(wgpu::Features::SUBGROUP);
    let one_size = info.subgroup_min_size == info.subgroup_max_size;
    Limits {
        max_storage_buffer_binding_size: l.max_storage_buffer_binding_size,
        max_buffer_size: l.max_buffer_size,
        max_storage_buffers_per_shader_stage: l.max_storage_buffers_per_shader_stage,
        max_compute_workgroups_per_dimension: l.max_compute_workgroups_per_dimension,
        max_compute_invocations_per_workgroup: l.max_compute_invocations_per_workgroup,
        subgroup: (subgroups && one_size).then_some(info.subgroup_min_size),
        f16: features.contains(wgpu::Features::SHADER_F16),
        software: info.device_type == DeviceType::Cpu,
    }
}
