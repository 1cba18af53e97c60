//! The window and its device: eframe creates both, with the features and limits that lenslet prefers.

use std::sync::{Arc, Mutex, MutexGuard};

use eframe::egui::{Context, ViewportBuilder};
use eframe::egui_wgpu::{WgpuSetup, WgpuSetupCreateNew};
use eframe::{NativeOptions, wgpu};
use lenslet::Gpu;
use wgpu::{Backends, DeviceType};

/// A window that fits most screens, on the best adapter that can present to it.
pub fn options() -> NativeOptions {
    let mut setup = WgpuSetupCreateNew::without_display_handle();
    setup.instance_descriptor.backends =
        Backends::from_env().unwrap_or(Backends::VULKAN | Backends::METAL | Backends::DX12);
    // Validation layers slow every call; wgpu's own validation remains active.
    setup.instance_descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    setup.native_adapter_selector = Some(Arc::new(pick));
    setup.device_descriptor = Arc::new(|adapter| wgpu::DeviceDescriptor {
        label: Some("draw_digit"),
        required_features: Gpu::required_features(adapter),
        required_limits: Gpu::required_limits(adapter),
        ..Default::default()
    });
    let viewport = ViewportBuilder::default().with_inner_size([1240.0, 750.0]).with_min_inner_size([940.0, 660.0]);
    // Dithering smooths gradients, which this window does not have, and takes most of a frame on software devices.
    let mut options = NativeOptions { viewport, dithering: false, ..Default::default() };
    options.wgpu_options.wgpu_setup = WgpuSetup::CreateNew(setup);
    options
}

/// Selects a hardware adapter before a software one, among those that can present to the window.
fn pick(adapters: &[wgpu::Adapter], surface: Option<&wgpu::Surface<'_>>) -> Result<wgpu::Adapter, String> {
    let rank = |adapter: &&wgpu::Adapter| match adapter.get_info().device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    };
    let shows = |adapter: &&wgpu::Adapter| surface.is_none_or(|surface| adapter.is_surface_supported(surface));
    let best = adapters.iter().filter(shows).min_by_key(rank);
    best.cloned().ok_or_else(|| format!("no GPU device can draw to this window; {}", lenslet::gpu::HOW_TO_GET_A_DRIVER))
}

/// Errors and losses reported by the device.
#[derive(Clone, Default)]
pub struct Trouble(Arc<Mutex<Reports>>);

#[derive(Default)]
struct Reports {
    lost: Option<String>,
    error: Option<String>,
}

impl Trouble {
    /// Records the loss of the device, and uncaptured errors, which would otherwise end the program.
    pub fn watch(device: &wgpu::Device, window: &Context) -> Self {
        let trouble = Self::default();
        let (told, waked) = (trouble.clone(), window.clone());
        device.set_device_lost_callback(move |reason, text| {
            told.reports().lost.get_or_insert(format!("{reason:?} {text}").trim().to_string());
            waked.request_repaint();
        });
        let (told, waked) = (trouble.clone(), window.clone());
        device.on_uncaptured_error(Arc::new(move |error| {
            // The first error is the cause; later ones follow from it.
            told.reports().error.get_or_insert(error.to_string());
            waked.request_repaint();
        }));
        trouble
    }

    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The reason why the device was lost, if it was.
    pub fn loss(&self) -> Option<String> {
        self.reports().lost.clone()
    }

    /// An error that has not been shown yet.
    pub fn take_error(&self) -> Option<String> {
        self.reports().error.take()
    }
}
