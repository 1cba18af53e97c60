//! The loop without a window, and images of frames.

use std::path::Path;

use image::RgbaImage;

use crate::{App, Graphics, Result, SIZE, texture};

/// Frames per second of the scene's time.
const RATE: f32 = 60.0;

/// A render target that can be saved.
pub struct Canvas {
    pub texture: wgpu::Texture,
}

impl Canvas {
    pub fn new(device: &wgpu::Device, format: wgpu::TextureFormat) -> Self {
        let usage = wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC;
        Self { texture: texture(device, SIZE, format, usage) }
    }

    /// Reads the rendered image, waiting for the device.
    ///
    /// Errors: the device is lost.
    pub fn image(&self, Graphics { device, queue, .. }: &Graphics) -> Result<RgbaImage> {
        let [width, height] = SIZE;
        let row = (4 * width).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("image"),
            size: u64::from(row * height),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&Default::default());
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None };
        let to = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout };
        encoder.copy_texture_to_buffer(self.texture.as_image_copy(), to, self.texture.size());
        queue.submit([encoder.finish()]);
        buffer.map_async(wgpu::MapMode::Read, .., |_| {}); // what went wrong, the mapped range says
        device.poll(wgpu::PollType::wait_indefinitely())?;
        let bytes = buffer.get_mapped_range(..)?;
        let is_bgra = self.texture.format().remove_srgb_suffix() == wgpu::TextureFormat::Bgra8Unorm;
        Ok(RgbaImage::from_fn(width, height, |x, y| {
            let [r, g, b, a] = std::array::from_fn(|i| bytes[(y * row + 4 * x) as usize + i]);
            image::Rgba(if is_bgra { [b, g, r, a] } else { [r, g, b, a] })
        }))
    }
}

/// Saves an image.
///
/// Errors: the file cannot be written; the message names it.
pub fn save(image: &RgbaImage, path: &Path) -> Result<()> {
    image.save(path).map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

/// Draws frames, a sixtieth of a second of the scene's time apart, and saves the last one if a path is given.
///
/// Errors: there is no device; the device is lost; the file cannot be written.
pub fn run(frames: u32, image: Option<&Path>) -> Result<()> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let graphics = Graphics::new(&instance, None)?;
    let format = wgpu::TextureFormat::Rgba8Unorm;
    let (mut app, canvas) = (App::new(&graphics, format)?, Canvas::new(&graphics.device, format));
    for frame in 0..frames {
        app.frame(frame as f32 / RATE, &canvas.texture)?;
        // A window would wait for the screen.
        app.wait()?;
        app.train()?;
    }
    println!("{}", app.summary());
    if let Some(path) = image {
        save(&canvas.image(&graphics)?, path)?;
    }
    Ok(())
}
