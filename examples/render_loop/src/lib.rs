//! A network in a render loop. [`App`] is the loop's body: the scene, the network that reads it, and the panels that
//! show both, in one command encoder per frame.

mod app;
mod device;
mod digits;
mod figure;
mod headless;
mod network;
mod panels;
mod scene;
mod window;

pub use app::{App, BARS};
pub use device::Graphics;
pub use headless::{Canvas, run as run_headless};
pub use network::STEPS;
pub use scene::{STAY, Scene};
pub use window::run as run_in_window;

/// Any error ends the app with a message.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Width and height of the layout, which is scaled to the window.
pub const SIZE: [u32; 2] = [1168, 640];
/// The color behind the panels.
const BACKGROUND: [f32; 4] = [0.075, 0.085, 0.105, 1.0];
/// The color behind the scene's digit, nearly as dark as MNIST's.
const DARK: [f32; 4] = [0.02, 0.025, 0.04, 1.0];

fn color([r, g, b, a]: [f32; 4]) -> wgpu::Color {
    let [r, g, b, a] = [r, g, b, a].map(f64::from);
    wgpu::Color { r, g, b, a }
}

fn texture(
    device: &wgpu::Device,
    [width, height]: [u32; 2],
    format: wgpu::TextureFormat,
    usage: wgpu::TextureUsages,
) -> wgpu::Texture {
    device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage,
        view_formats: &[],
    })
}
