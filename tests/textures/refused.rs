//! Invalid textures and options are refused by name, before wgpu validates them.

use lenslet::gpu::GpuSession;
use lenslet::gpu::texture::{Channels, Light, ValueRange};
use lenslet::wgpu;
use lenslet::wgpu::{TextureFormat as Format, TextureUsages as Usage};
use lenslet::{Graph, ShaderChecks, TensorType, TextureInput, TextureOutput, TextureRead, TextureWrite};

use super::common;
use super::fixture::{descriptor, texture};

/// Checks that the message has every part.
fn says<T>(result: lenslet::Result<T>, parts: &[&str]) {
    let error = result.err().unwrap_or_else(|| panic!("it is allowed, and should say {parts:?}")).to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "{error:?} lacks one of {parts:?}");
}

#[test]
fn what_does_not_fit_is_refused_with_expected_and_found() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    gpu.device().on_uncaptured_error(std::sync::Arc::new(|error| panic!("wgpu hears of it: {error}")));
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2, 3, 4, 5])).unwrap();
    let labels = graph.input("labels", TensorType::u32([2])).unwrap();
    let wide = graph.input("wide", TensorType::f32([1, 5, 4, 4])).unwrap();
    let lost = graph.relu(x).unwrap();
    let y = graph.scale(lost, 2.0).unwrap();
    let kept = graph.scale(wide, 2.0).unwrap();
    let counted = graph.copy(labels).unwrap();
    [y, kept, counted].into_iter().for_each(|node| graph.output(node));
    let session = GpuSession::new(&gpu, &graph).unwrap();

    let all = Usage::TEXTURE_BINDING | Usage::COPY_DST;
    let rgba = texture(&gpu, Format::Rgba8Unorm, [8, 6], all);
    let view = |texture: &wgpu::Texture| texture.create_view(&Default::default());
    let input =
        |node, texture: &wgpu::Texture, read: &TextureRead| TextureInput::new(&session, node, &view(texture), read);
    let read = TextureRead::new;
    says(input(y, &rgba, &read()), &["f32[N, C, H, W]", "no operation computes"]);
    says(input(labels, &rgba, &read()), &["node \"labels\"", "f32[N, C, H, W]", "u32[2]"]);
    says(input(wide, &rgba, &read()), &["C from 1 to 4", "[5, 4, 4]"]);
    says(input(x, &rgba, &read().row(2)), &["row", "below 2", "found 2"]);
    says(input(x, &rgba, &read().rectangle([7, 0, 2, 1])), &["rectangle", "within 8x6", "[7, 0, 2, 1]"]);
    says(input(x, &rgba, &read().rectangle([0, 0, 0, 1])), &["at least one texel"]);
    says(input(x, &rgba, &read().rectangle([u32::MAX, 0, 2, 1])), &["within 8x6"]);
    says(input(x, &rgba, &read().normalized([0.0, 0.0], [1.0])), &["mean", "one finite number, or 3"]);
    says(input(x, &rgba, &read().normalized([0.0], [0.0])), &["deviation", "[0.0]"]);
    says(input(x, &rgba, &read().channels(Channels::Only(4))), &["channel", "below 4", "found 4"]);
    let two = texture(&gpu, Format::Rg8Unorm, [8, 6], all);
    says(input(x, &two, &read()), &["Channels::Only", "3 channels", "texture of 2"]);
    let srgb = texture(&gpu, Format::Rgba8UnormSrgb, [8, 6], all);
    says(input(x, &srgb, &read().light(Light::Encoded)), &["Light::Stored", "Rgba8UnormSrgb"]);
    let depth = texture(&gpu, Format::Depth32Float, [8, 6], all);
    says(input(x, &depth, &read()), &["texture format", "R8Unorm, Rg8Unorm", "Depth32Float"]);
    let target = texture(&gpu, Format::Rgba8Unorm, [8, 6], Usage::RENDER_ATTACHMENT);
    says(input(x, &target, &read()), &["TEXTURE_BINDING", "RENDER_ATTACHMENT"]);
    let base = descriptor(Format::Rgba8Unorm, [8, 6], all | Usage::RENDER_ATTACHMENT);
    let samples = gpu.device().create_texture(&wgpu::TextureDescriptor { sample_count: 4, ..base.clone() });
    says(input(x, &samples, &read()), &["one sample", "4 samples", "resolve"]);
    let solid = wgpu::TextureDescriptor {
        dimension: wgpu::TextureDimension::D3,
        ..descriptor(Format::Rgba8Unorm, [8, 6], all)
    };
    says(input(x, &gpu.device().create_texture(&solid), &read()), &["a 2D texture", "D3"]);
    let size = wgpu::Extent3d { depth_or_array_layers: 3, ..base.size };
    let layers = gpu.device().create_texture(&wgpu::TextureDescriptor { size, ..base });
    says(input(x, &layers, &read()), &["texture view for texture_columns", "of one layer"]);
    let moved = input(x, &rgba, &read()).unwrap();
    says(moved.set_rectangle([0, 0, 9, 6]), &["rectangle", "within 8x6", "[0, 0, 9, 6]"]);

    let canvas = texture(&gpu, Format::Rgba8Unorm, [8, 6], Usage::STORAGE_BINDING);
    let output =
        |node, texture: &wgpu::Texture, write: &TextureWrite| TextureOutput::new(&session, node, &view(texture), write);
    let maps = TextureWrite::maps;
    says(output(lost, &canvas, &maps()), &["a leaf or an output"]);
    says(output(counted, &canvas, &maps()), &["f32", "u32[2]"]);
    says(output(y, &rgba, &maps()), &["STORAGE_BINDING", "TEXTURE_BINDING"]);
    let single = texture(&gpu, Format::R32Float, [8, 6], Usage::STORAGE_BINDING);
    says(output(y, &single, &maps()), &["Rgba8Unorm, Rgba16Float, Rgba32Float", "R32Float"]);
    says(output(y, &canvas, &maps().row(2)), &["row", "below 2"]);
    says(output(y, &canvas, &maps().columns(4)), &["columns", "1 to 3", "found 4"]);
    says(output(y, &canvas, &maps().columns(3).gap(5)), &["at least 13x1 texels", "8x6"]);
    says(output(y, &canvas, &maps().range(ValueRange::Fixed(1.0, 1.0))), &["range", "the smaller first", "1 to 1"]);
    says(output(y, &canvas, &TextureWrite::bars()), &["must be a matrix", "[2, 3, 4, 5]"]);
    says(output(kept, &canvas, &TextureWrite::images()), &["multiple of three", "[1, 5, 4, 4]"]);
    says(output(y, &canvas, &TextureWrite::filters(0..9, [1, 1, 2, 5])), &["10 values of 120", "0..9"]);
    says(output(y, &canvas, &TextureWrite::filters(115..125, [1, 1, 2, 5])), &["115..125"]);
    says(TextureOutput::size(&[1, 1, 4, 4].into(), &maps(), 5000), &["scale", "16384", "20000x20000"]);
    says(TextureOutput::size(&[1, 1, 4, 4].into(), &maps(), 0), &["scale", "at least 1"]);
}

#[test]
fn a_buffer_larger_than_a_binding_is_refused_with_both() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let small = gpu.planned_for(lenslet::kernel::Limits { max_storage_buffer_binding_size: 1 << 16, ..*gpu.limits() });
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 1, 20, 20])).unwrap();
    let y = graph.relu(x).unwrap();
    graph.output(y);
    let session = GpuSession::new(&small, &graph).unwrap();
    let wide = texture(&gpu, Format::R8Unorm, [1000, 3], Usage::TEXTURE_BINDING);
    let input = TextureInput::new(&session, x, &wide.create_view(&Default::default()), &TextureRead::new());
    says(input, &["maxStorageBufferBindingSize", "80000", "65536", "smaller texture"]);
}
