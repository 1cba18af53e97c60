//! Textures with known texels, and readback of textures.

use lenslet::gpu::GpuSession;
use lenslet::wgpu;
use lenslet::wgpu::{TextureFormat as Format, TextureUsages as Usage};
use lenslet::{Gpu, Graph, NodeId, TensorType};

/// Tolerance for the conversion of floats to 8 bits: 0.6 of 1/255 (Direct3D 11.3, "FLOAT -> UNORM"), plus rounding.
pub const CLOSE: f32 = 0.6 / 255.0 + 1e-5;

/// Numbers from 0 to 1 in steps of 1/255, in pseudorandom order.
pub fn noise(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as f32 / 255.0
    };
    (0..len).map(|_| next()).collect()
}

/// A session with an input of this shape that is only copied.
pub fn session(gpu: &Gpu, shape: &[usize]) -> (GpuSession, NodeId) {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32(shape)).unwrap();
    let y = graph.scale(x, 1.0).unwrap();
    graph.output(y);
    (GpuSession::new(gpu, &graph).unwrap(), x)
}

pub fn texture(gpu: &Gpu, format: Format, [width, height]: [u32; 2], usage: Usage) -> wgpu::Texture {
    gpu.device().create_texture(&descriptor(format, [width, height], usage))
}

pub fn descriptor(format: Format, [width, height]: [u32; 2], usage: Usage) -> wgpu::TextureDescriptor<'static> {
    wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage,
        view_formats: &[],
    }
}

/// A texture of random texels, and the values that it stores.
pub fn random(gpu: &Gpu, format: Format, size: [u32; 2]) -> (wgpu::Texture, Vec<[f32; 4]>) {
    let texture = texture(gpu, format, size, Usage::TEXTURE_BINDING | Usage::COPY_DST);
    let values = noise((4 * size[0] * size[1]) as usize);
    let (bytes, texels): (Vec<Vec<u8>>, Vec<[f32; 4]>) =
        values.chunks(4).map(|v| stored(format, v.try_into().unwrap())).unzip();
    write(gpu, &texture, 0, &bytes.concat());
    (texture, texels)
}

/// Writes a mip level.
pub fn write(gpu: &Gpu, texture: &wgpu::Texture, mip_level: u32, bytes: &[u8]) {
    let size = texture.size().mip_level_size(mip_level, wgpu::TextureDimension::D2);
    let layout = wgpu::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(bytes.len() as u32 / size.height),
        rows_per_image: None,
    };
    let to = wgpu::TexelCopyTextureInfo { mip_level, ..texture.as_image_copy() };
    gpu.queue().write_texture(to, bytes, layout, size);
}

/// The bytes of a texel, and the values they represent.
fn stored(format: Format, [r, g, b, a]: [f32; 4]) -> (Vec<u8>, [f32; 4]) {
    let bytes = |v: &[f32]| v.iter().map(|v| (v * 255.0).round() as u8).collect();
    // In steps of 1/128, exact in f16.
    let coarse = |v: f32| (v * 128.0).round() / 128.0;
    let halves = |v: &[f32]| v.iter().flat_map(|&v| half(coarse(v)).to_le_bytes()).collect();
    let floats = |v: &[f32]| v.iter().flat_map(|v| v.to_le_bytes()).collect();
    match format {
        Format::R8Unorm => (bytes(&[r]), [r, 0.0, 0.0, 1.0]),
        Format::Rg8Unorm => (bytes(&[r, g]), [r, g, 0.0, 1.0]),
        Format::Rgba8Unorm | Format::Rgba8UnormSrgb => (bytes(&[r, g, b, a]), [r, g, b, a]),
        Format::Bgra8Unorm | Format::Bgra8UnormSrgb => (bytes(&[b, g, r, a]), [r, g, b, a]),
        Format::Rgb10a2Unorm => {
            let [r, g, b] = [r, g, b].map(|v| (v * 1023.0).round() as u32);
            let a = (a * 3.0).round() as u32;
            let word = r | g << 10 | b << 20 | a << 30;
            let [red, green, blue] = [r, g, b].map(|v| v as f32 / 1023.0);
            (word.to_le_bytes().to_vec(), [red, green, blue, a as f32 / 3.0])
        }
        Format::R16Float => (halves(&[r]), [coarse(r), 0.0, 0.0, 1.0]),
        Format::Rg16Float => (halves(&[r, g]), [coarse(r), coarse(g), 0.0, 1.0]),
        Format::Rgba16Float => (halves(&[r, g, b, a]), [r, g, b, a].map(coarse)),
        Format::R32Float => (floats(&[r]), [r, 0.0, 0.0, 1.0]),
        Format::Rgba32Float => (floats(&[r, g, b, a]), [r, g, b, a]),
        other => panic!("{other:?}"),
    }
}

/// The bits of an f16 value that is 0 or normal, exactly.
fn half(v: f32) -> u16 {
    if v == 0.0 { 0 } else { ((v.to_bits() >> 13) - (112 << 10)) as u16 }
}

fn of_half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// Red, green, blue and alpha of all texels, waiting for the device.
pub fn read(gpu: &Gpu, texture: &wgpu::Texture) -> Vec<[f32; 4]> {
    let (width, height) = (texture.width(), texture.height());
    let texel = texture.format().block_copy_size(None).unwrap();
    let row = (width * texel).next_multiple_of(256);
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(row * height),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None };
    let to = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout };
    encoder.copy_texture_to_buffer(texture.as_image_copy(), to, texture.size());
    gpu.queue().submit([encoder.finish()]);
    buffer.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    gpu.wait().unwrap();
    let bytes = buffer.get_mapped_range(..).unwrap().to_vec();
    let of = |texel: &[u8]| -> [f32; 4] {
        let numbers: Vec<f32> = match texture.format() {
            Format::Rgba8Unorm => texel.iter().map(|&v| f32::from(v) / 255.0).collect(),
            Format::Rgba16Float => {
                texel.chunks(2).map(|v| of_half(u16::from_le_bytes(v.try_into().unwrap()))).collect()
            }
            _ => texel.chunks(4).map(|v| f32::from_le_bytes(v.try_into().unwrap())).collect(),
        };
        numbers.try_into().unwrap()
    };
    bytes
        .chunks(row as usize)
        .flat_map(|line| line[..(width * texel) as usize].chunks(texel as usize).map(of))
        .collect()
}

/// Submits the commands appended by `encode`.
pub fn submit(gpu: &Gpu, encode: impl FnOnce(&mut wgpu::CommandEncoder)) {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    encode(&mut encoder);
    gpu.queue().submit([encoder.finish()]);
}

/// Fails at the first value whose difference exceeds `most`.
pub fn assert_close<'a>(
    found: impl IntoIterator<Item = &'a f32>,
    expected: impl IntoIterator<Item = &'a f32>,
    most: f32,
    about: &str,
) {
    let (found, expected): (Vec<_>, Vec<_>) = (found.into_iter().collect(), expected.into_iter().collect());
    assert_eq!(found.len(), expected.len(), "{about}");
    for (i, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= most, "{about}: number {i} is {found}, expected {expected}");
    }
}
