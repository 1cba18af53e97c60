//! The adapter of an app that makes its own device.

use lenslet::wgpu;

/// The adapter that an app gets. Not by GL: threads that open and close it beside Vulkan wait for each other for ever in
/// NVIDIA's driver.
pub fn adapter() -> Option<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    pollster::block_on(wgpu::Instance::new(descriptor).request_adapter(&Default::default())).ok()
}
