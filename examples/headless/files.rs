//! Images as textures, and textures in files.

use std::error::Error;

use lenslet::Gpu;
use lenslet::wgpu;
use lenslet::wgpu::TextureUsages as Usage;

/// Texels around each texture in the file.
const MARGIN: u32 = 24;

/// A texture with four bytes per texel.
pub fn texture(gpu: &Gpu, [width, height]: [u32; 2], usage: Usage) -> wgpu::Texture {
    gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage,
        view_formats: &[],
    })
}

fn layout(first: u32, width: u32) -> wgpu::TexelCopyBufferLayout {
    wgpu::TexelCopyBufferLayout { offset: 4 * u64::from(first), bytes_per_row: Some(4 * width), rows_per_image: None }
}

/// Uploads an image to the GPU.
pub fn upload(gpu: &Gpu, image: &image::RgbaImage) -> wgpu::Texture {
    let texture = texture(gpu, image.dimensions().into(), Usage::TEXTURE_BINDING | Usage::COPY_DST);
    gpu.queue().write_texture(texture.as_image_copy(), image, layout(0, image.width()), texture.size());
    texture
}

/// Writes textures side by side to a file, waiting for the GPU.
pub fn save(gpu: &Gpu, textures: &[wgpu::Texture], background: [u8; 4], path: &str) -> Result<(), Box<dyn Error>> {
    let width = textures.iter().map(|texture| texture.width() + MARGIN).sum::<u32>() + MARGIN;
    let width = width.next_multiple_of(64); // copies take rows of whole 256 bytes
    let height = textures.iter().map(wgpu::Texture::height).max().unwrap_or(0) + 2 * MARGIN;
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(4 * width * height),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    gpu.queue().write_buffer(&buffer, 0, &background.repeat((width * height) as usize));
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let mut x = MARGIN;
    for texture in textures {
        let y = (height - texture.height()) / 2;
        let to = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout: layout(y * width + x, width) };
        encoder.copy_texture_to_buffer(texture.as_image_copy(), to, texture.size());
        x += texture.width() + MARGIN;
    }
    gpu.queue().submit([encoder.finish()]);
    buffer.map_async(wgpu::MapMode::Read, .., |_| {}); // what went wrong, the mapped range says
    gpu.wait()?;
    let bytes = buffer.get_mapped_range(..)?.to_vec();
    image::save_buffer(path, &bytes, width, height, image::ColorType::Rgba8)?;
    Ok(())
}
