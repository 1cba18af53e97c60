//! The app's own device.

use lenslet::Gpu;

use crate::Result;

/// The wgpu objects of the app.
pub struct Graphics {
    pub adapter: wgpu::Adapter,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
}

impl Graphics {
    /// Opens the best adapter that can present to the surface, if given, with the features and limits that lenslet
    /// prefers.
    pub fn new(instance: &wgpu::Instance, surface: Option<&wgpu::Surface<'_>>) -> Result<Self> {
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            compatible_surface: surface,
            ..Default::default()
        }))?;
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("render_loop"),
            required_features: Gpu::required_features(&adapter),
            required_limits: Gpu::required_limits(&adapter),
            ..Default::default()
        }))?;
        Ok(Self { adapter, device, queue })
    }
}
