//! The app's own device.

use lenslet::Gpu;

use crate::Result;

/// What wgpu gives an app to draw with.
pub struct Graphics {
    pub adapter: wgpu::Adapter,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
}

impl Graphics {
    /// The best adapter that can draw to the surface, if there is one, with what lenslet likes to have.
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
