//! Reading of textures: formats, sizes, rectangles, channels, transfer functions.

use image::imageops::{FilterType, crop_imm, resize};
use lenslet::gpu::texture::{Channels, Light, Sampling};
use lenslet::wgpu;
use lenslet::wgpu::{TextureFormat as Format, TextureUsages as Usage};
use lenslet::{Gpu, ShaderChecks, Shape, TextureInput, TextureRead};

use super::common;
use super::fixture::{CLOSE, assert_close, descriptor, noise, random, session, submit, texture, write};

/// Every format, and whether loading decodes sRGB.
const FORMATS: [(Format, bool); 12] = [
    (Format::R8Unorm, false),
    (Format::Rg8Unorm, false),
    (Format::Rgba8Unorm, false),
    (Format::Rgba8UnormSrgb, true),
    (Format::Bgra8Unorm, false),
    (Format::Bgra8UnormSrgb, true),
    (Format::Rgb10a2Unorm, false),
    (Format::R16Float, false),
    (Format::Rg16Float, false),
    (Format::Rgba16Float, false),
    (Format::R32Float, false),
    (Format::Rgba32Float, false),
];

/// Reads the view into `[1, C, H, W]`.
fn read_view(gpu: &Gpu, view: &wgpu::TextureView, shape: [usize; 3], read: &TextureRead) -> Vec<f32> {
    let [c, h, w] = shape;
    let (session, x) = session(gpu, &[1, c, h, w]);
    let input = TextureInput::new(&session, x, view, read).unwrap();
    submit(gpu, |encoder| input.encode(encoder));
    session.read(x).unwrap()
}

/// Compares readings of random texels on the GPU and the CPU.
fn compared(gpu: &Gpu, format: Format, size: [u32; 2], shape: [usize; 3], read: &TextureRead, most: f32) {
    let (texture, texels) = random(gpu, format, size);
    let found = read_view(gpu, &texture.create_view(&Default::default()), shape, read);
    let expected = read.apply(format, &texels, size, &Shape::from(&shape[..])).unwrap();
    assert_close(&found, &expected, most, &format!("{format:?} {size:?} to {shape:?}, {read:?}"));
}

#[test]
fn every_format_reads_as_on_the_cpu() {
    for checks in [ShaderChecks::Trusted, ShaderChecks::Checked] {
        let Some(gpu) = common::gpu(checks) else { return };
        for (format, decodes) in FORMATS {
            // sRGB-encoded bytes are recovered; the driver's decoding may be off by half of one.
            let lights = [(Light::Stored, 2e-6), (Light::Linear, if decodes { CLOSE } else { 1e-5 })];
            for (light, most) in lights {
                compared(&gpu, format, [13, 7], [1, 11, 5], &TextureRead::new().light(light), most);
            }
            if !decodes {
                compared(&gpu, format, [6, 5], [1, 3, 4], &TextureRead::new().light(Light::Encoded), 1e-5);
            }
        }
    }
}

#[test]
fn every_size_reads_as_on_the_cpu() {
    for checks in [ShaderChecks::Trusted, ShaderChecks::Checked] {
        let Some(gpu) = common::gpu(checks) else { return };
        for (size, [h, w]) in [
            ([104, 104], [28, 28]), // shrunk by 3.7
            ([1904, 136], [2, 28]), // by 68
            ([7, 5], [29, 31]),     // grown
            ([5, 200], [13, 17]),   // both
            ([28, 28], [28, 28]),   // kept
            ([1, 1], [1, 1]),
            ([1, 1], [4, 3]),
            ([97, 89], [1, 1]),
            ([97, 89], [11, 13]), // primes
        ] {
            let read = TextureRead::new();
            compared(&gpu, Format::Rgba8Unorm, size, [3, h, w], &read, 1e-5);
            compared(&gpu, Format::R8Unorm, size, [1, h, w], &read.sampling(Sampling::Nearest), 1e-6);
        }
        let cut = TextureRead::new().rectangle([11, 3, 37, 41]);
        compared(&gpu, Format::Rgba8Unorm, [97, 89], [3, 13, 50], &cut, 1e-5);
        compared(&gpu, Format::Rgba8Unorm, [97, 89], [3, 2, 3], &cut.rectangle([96, 88, 1, 1]), 1e-5);
    }
}

#[test]
fn the_cpu_resizes_as_image_does() {
    for (size, cut, [h, w]) in [
        ([104, 104], [0, 0, 104, 104], [28, 28]),
        ([1904, 136], [0, 0, 1904, 136], [2, 28]),
        ([7, 5], [0, 0, 7, 5], [29, 31]),
        ([97, 89], [11, 3, 37, 41], [13, 50]),
    ] {
        let numbers = noise((size[0] * size[1] * 4) as usize);
        let texels: Vec<[f32; 4]> = numbers.chunks(4).map(|v| v.try_into().unwrap()).collect();
        let read = TextureRead::new().rectangle(cut);
        let found = read.apply(Format::Rgba32Float, &texels, size, &[4, h, w].into()).unwrap();
        let image = image::Rgba32FImage::from_raw(size[0], size[1], numbers).unwrap();
        let part = crop_imm(&image, cut[0], cut[1], cut[2], cut[3]).to_image();
        let expected = resize(&part, w as u32, h as u32, FilterType::Triangle);
        let planes: Vec<f32> = (0..4).flat_map(|c| expected.pixels().map(move |p| p.0[c])).collect();
        assert_close(&found, &planes, 1e-5, &format!("{size:?} {cut:?} to {h}x{w}"));
    }
}

#[test]
fn channels_are_mixed_repeated_and_picked() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let read = TextureRead::new;
    for (format, channels, read) in [
        (Format::R32Float, 3, read()),
        (Format::Rg8Unorm, 2, read()),
        (Format::Rgba8Unorm, 4, read()),
        (Format::Rgba8Unorm, 1, read().channels(Channels::Only(3))),
        (Format::Rgba8UnormSrgb, 3, read().channels(Channels::Only(1))),
        (Format::Rgba8Unorm, 3, read().channels(Channels::Gray([0.25, 0.5, 0.25]))),
        (Format::Rgba8Unorm, 1, read().inverted(true)),
        (Format::Rgba8Unorm, 3, read().normalized([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])),
        (Format::Rgba8Unorm, 3, read().inverted(true).normalized([0.5], [])),
    ] {
        compared(&gpu, format, [9, 8], [channels, 5, 4], &read, 1e-5);
    }
    // Grayscale by Rec. 601, inverted, computed by hand.
    let texture = texture(&gpu, Format::Rgba32Float, [1, 1], Usage::TEXTURE_BINDING | Usage::COPY_DST);
    write(&gpu, &texture, 0, bytemuck::cast_slice(&[0.5f32, 0.25, 1.0, 0.0]));
    let view = texture.create_view(&Default::default());
    let found = read_view(&gpu, &view, [1, 1, 1], &read().inverted(true));
    assert_close(&found, &[1.0 - (0.299 * 0.5 + 0.587 * 0.25 + 0.114)], 1e-6, "gray");
    // Unselected channels have no influence, whatever their values.
    write(&gpu, &texture, 0, bytemuck::cast_slice(&[f32::NAN, f32::INFINITY, 0.75, f32::NAN]));
    assert_close(&read_view(&gpu, &view, [1, 1, 1], &read().channels(Channels::Only(2))), &[0.75], 0.0, "blue");
    assert!(read_view(&gpu, &view, [1, 1, 1], &read())[0].is_nan(), "NaN passes through");
}

#[test]
fn a_view_may_have_another_format_or_be_a_mip_level() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
        mip_level_count: 2,
        view_formats: &[Format::Rgba8UnormSrgb],
        ..descriptor(Format::Rgba8Unorm, [4, 4], Usage::TEXTURE_BINDING | Usage::COPY_DST)
    });
    write(&gpu, &texture, 0, &[128; 64]);
    write(&gpu, &texture, 1, &[64; 16]);
    let srgb = Some(Format::Rgba8UnormSrgb);
    let level = |base_mip_level, format| {
        let mip_level_count = Some(1);
        texture.create_view(&wgpu::TextureViewDescriptor {
            base_mip_level,
            mip_level_count,
            format,
            ..Default::default()
        })
    };
    let as_srgb = TextureRead::new().format(Format::Rgba8UnormSrgb);
    for (view, read, expected) in [
        (level(0, None), TextureRead::new(), 128.0 / 255.0),
        (level(0, srgb), as_srgb.clone(), 128.0 / 255.0),
        (level(0, srgb), as_srgb.light(Light::Linear), 0.2158605),
        (level(1, None), TextureRead::new(), 64.0 / 255.0),
        (level(1, None), TextureRead::new().rectangle([1, 1, 3, 3]), 64.0 / 255.0),
    ] {
        assert_close(&read_view(&gpu, &view, [3, 2, 2], &read), &[expected; 12], CLOSE, &format!("{read:?}"));
    }
}

#[test]
fn a_rectangle_moves_from_frame_to_frame_and_other_images_of_the_batch_stay() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let (texture, texels) = random(&gpu, Format::Rgba8Unorm, [40, 30]);
    let (session, x) = session(&gpu, &[3, 3, 4, 5]);
    session.write(x, lenslet::HostData::F32(&[7.0; 180])).unwrap();
    let read = TextureRead::new().row(1);
    let input = TextureInput::new(&session, x, &texture.create_view(&Default::default()), &read).unwrap();
    for rectangle in [None, Some([0, 0, 5, 4]), Some([35, 26, 5, 4]), Some([3, 7, 20, 11]), Some([0, 0, 40, 30])] {
        let read = rectangle.map_or(read.clone(), |rectangle| read.clone().rectangle(rectangle));
        if let Some(rectangle) = rectangle {
            input.set_rectangle(rectangle).unwrap();
        }
        submit(&gpu, |encoder| input.encode(encoder));
        let found = session.read(x).unwrap();
        let expected = read.apply(Format::Rgba8Unorm, &texels, [40, 30], &[3, 4, 5].into()).unwrap();
        assert_close(&found[60..120], &expected, 1e-5, &format!("{rectangle:?}"));
        assert!(found[..60].iter().chain(&found[120..]).all(|&v| v == 7.0), "{rectangle:?}");
    }
}

#[test]
fn the_largest_texture_of_every_device_is_read() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    const SIDE: usize = 8192;
    let texture = texture(&gpu, Format::R8Unorm, [SIDE as u32; 2], Usage::TEXTURE_BINDING | Usage::COPY_DST);
    // Each texel is a sum of a row term and a column term, so means are sums of means.
    let line = |seed: usize| -> Vec<u8> { (0..SIDE).map(|i| (i * i / 97 + i * seed) as u8 / 2).collect() };
    let (down, across) = (line(3), line(11));
    let bytes: Vec<u8> = down.iter().flat_map(|d| across.iter().map(move |a| d + a)).collect();
    write(&gpu, &texture, 0, &bytes);
    let found = read_view(&gpu, &texture.create_view(&Default::default()), [1, 2, 3], &TextureRead::new());
    let means = |line: &[u8], shape: [usize; 3], size: [u32; 2]| {
        let texels: Vec<[f32; 4]> = line.iter().map(|&v| [f32::from(v) / 255.0, 0.0, 0.0, 1.0]).collect();
        TextureRead::new().apply(Format::R8Unorm, &texels, size, &Shape::from(&shape[..])).unwrap()
    };
    let (rows, columns) = (means(&down, [1, 2, 1], [1, SIDE as u32]), means(&across, [1, 1, 3], [SIDE as u32, 1]));
    let expected: Vec<f32> = rows.iter().flat_map(|r| columns.iter().map(move |c| r + c)).collect();
    assert_close(&found, &expected, 1e-4, "8192x8192");
}
