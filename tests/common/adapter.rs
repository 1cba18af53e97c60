//! The adapter of an app that creates its own device.

use lenslet::wgpu;

/// The adapter for an app. GL is excluded: threads that open and close it beside Vulkan deadlock in NVIDIA's driver.
pub fn adapter() -> Option<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    pollster::block_on(wgpu::Instance::new(descriptor).request_adapter(&Default::default())).ok()
}
