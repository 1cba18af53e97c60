//! Writing of textures: maps, filters, bars and cells, colors, ranges.

use lenslet::gpu::texture::{ColorMap, ValueRange};
use lenslet::wgpu::{TextureFormat as Format, TextureUsages as Usage};
use lenslet::{Gpu, HostData, ShaderChecks, Shape, TextureOutput, TextureWrite};

use super::common;
use super::fixture::{CLOSE, assert_close, noise, read, session, submit, texture};

/// The GPU's drawing of these values.
fn drawn(
    gpu: &Gpu,
    values: &[f32],
    shape: &Shape,
    format: Format,
    size: [u32; 2],
    write: &TextureWrite,
) -> Vec<[f32; 4]> {
    let (session, x) = session(gpu, shape);
    session.write(x, HostData::F32(values)).unwrap();
    let texture = texture(gpu, format, size, Usage::STORAGE_BINDING | Usage::COPY_SRC);
    let output = TextureOutput::new(&session, x, &texture.create_view(&Default::default()), write).unwrap();
    submit(gpu, |encoder| output.encode(encoder));
    read(gpu, &texture)
}

/// Compares the drawings of GPU and CPU.
fn compared(gpu: &Gpu, values: &[f32], shape: &[usize], format: Format, size: [u32; 2], write: &TextureWrite) {
    let shape = Shape::from(shape);
    let found = drawn(gpu, values, &shape, format, size, write);
    let expected = write.apply(values, &shape, size).unwrap();
    let about = format!("{shape} as {format:?} {size:?}, {write:?}");
    assert_close(found.as_flattened(), expected.as_flattened(), CLOSE, &about);
}

/// Values from -1 to 1, excluding those where a bar's end is at the center of a texel.
fn values(len: usize) -> Vec<f32> {
    noise(len).iter().map(|v| 1.98 * v - 0.987).collect()
}

#[test]
fn everything_is_drawn_as_on_the_cpu() {
    use ColorMap::{Diverging, Gray, Viridis};
    use ValueRange::{Fixed, Symmetric, SymmetricTile, Tile, Whole};
    for checks in [ShaderChecks::Trusted, ShaderChecks::Checked] {
        let Some(gpu) = common::gpu(checks) else { return };
        let maps = TextureWrite::maps;
        let (maps_shape, flat) = (&[2, 6, 5, 7][..], &[1000][..]);
        for (write, shape, size) in [
            (maps(), maps_shape, [100, 83]),
            (maps().row(1).range(Whole).colors(Gray).columns(4).gap(0), maps_shape, [97, 31]),
            (maps().range(Fixed(-0.5, 0.5)).colors(Diverging).gap(3), maps_shape, [50, 40]),
            // Fewer texels than values; the last row of tiles is incomplete.
            (maps().range(SymmetricTile).columns(4).background([0.2, 0.4, 0.6, 0.0]), maps_shape, [17, 9]),
            (TextureWrite::images().range(Whole), maps_shape, [41, 19]),
            (TextureWrite::images(), &[1, 3, 30, 20][..], [20, 30]),
            (TextureWrite::filters(64..364, [4, 3, 5, 5]), flat, [61, 64]),
            (TextureWrite::filters(1..301, [6, 2, 5, 5]).range(Tile), flat, [61, 64]),
            (TextureWrite::filters(700..1000, [12, 1, 5, 5]).colors(Viridis), flat, [90, 64]),
            (TextureWrite::bars(), &[3, 10][..], [59, 40]),
            (TextureWrite::bars().row(2).range(Symmetric).gap(0), &[3, 10][..], [59, 40]),
            (TextureWrite::horizontal_bars().row(1).range(Whole), &[3, 10][..], [50, 64]),
            (TextureWrite::cells().range(Fixed(-1.0, 1.0)), &[3, 10][..], [80, 24]),
            (TextureWrite::cells().range(Whole).linear(true), &[70, 3][..], [9, 200]),
        ] {
            let values = values(shape.iter().product());
            for format in [Format::Rgba8Unorm, Format::Rgba16Float, Format::Rgba32Float] {
                compared(&gpu, &values, shape, format, size, &write);
            }
        }
        let large = values(2 * 300 * 400);
        compared(&gpu, &large, &[1, 2, 300, 400], Format::Rgba8Unorm, [80, 120], &maps().range(Whole));
    }
}

#[test]
fn what_is_no_number_and_what_is_constant_has_a_color() {
    use ValueRange::{Fixed, Symmetric, SymmetricTile, Tile, Whole};
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for checks in [ShaderChecks::Trusted, ShaderChecks::Checked] {
        let Some(gpu) = common::gpu(checks) else { return };
        for values in [
            [nan, 1.0, -2.0, 0.5],
            [inf, -inf, 3.0, -1.0],
            [nan, nan, nan, nan],
            [inf, nan, -inf, inf],
            [0.0; 4],
            [2.5; 4],
            [f32::MAX, f32::MIN, 0.0, 1e38],
            [1e-30, 2e-30, 0.0, 3e-30],
        ] {
            for range in [Fixed(0.0, 1.0), Whole, Tile, Symmetric, SymmetricTile] {
                let write = TextureWrite::maps().range(range);
                compared(&gpu, &values, &[1, 1, 2, 2], Format::Rgba8Unorm, [6, 4], &write);
                compared(&gpu, &values, &[1, 2, 2, 1], Format::Rgba8Unorm, [6, 4], &write);
                compared(&gpu, &values, &[1, 4], Format::Rgba8Unorm, [9, 5], &TextureWrite::bars().range(range));
            }
        }
        let magenta = drawn(&gpu, &[nan], &[1, 1].into(), Format::Rgba8Unorm, [1, 1], &TextureWrite::cells());
        assert_eq!(magenta, [[1.0, 0.0, 1.0, 1.0]]);
    }
}

#[test]
fn the_size_shows_every_value_in_as_many_texels() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let write = TextureWrite::maps().range(ValueRange::Whole).colors(ColorMap::Gray).gap(2);
    let shape = Shape::from([1, 5, 2, 3]);
    let size = TextureOutput::size(&shape, &write, 4).unwrap();
    // Two columns of 12 texels are closer to a square than three.
    assert_eq!(size, [2 * 12 + 2, 3 * 8 + 2 * 2]);
    let values: Vec<f32> = (0..30).map(|v| v as f32 / 29.0).collect();
    let image = drawn(&gpu, &values, &shape, Format::Rgba32Float, size, &write);
    for (i, value) in values.iter().enumerate() {
        let shown = image.iter().filter(|texel| (texel[0] - value).abs() < 1e-4).count();
        assert_eq!(shown, 16, "value {i}");
    }
    let bars = TextureOutput::size(&[7, 10].into(), &TextureWrite::bars().gap(3), 5).unwrap();
    assert_eq!(bars, [10 * 8 - 3; 2]);
    let filters = TextureOutput::size(&[500].into(), &TextureWrite::filters(0..300, [4, 3, 5, 5]).gap(0), 2).unwrap();
    assert_eq!(filters, [20, 20]);
}

#[test]
fn bars_are_as_long_as_their_values() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let (values, shape) = ([0.0, 0.25, 1.0, 0.52], Shape::from([1, 4]));
    let length = |write: TextureWrite, of: fn(usize) -> usize| -> Vec<usize> {
        let black = [0.0, 0.0, 0.0, 1.0];
        let write = write.gap(0).colors(ColorMap::Gray);
        let image = drawn(&gpu, &values, &shape, Format::Rgba8Unorm, [20; 2], &write);
        let filled = |bar: usize| image.iter().enumerate().filter(|(i, t)| of(*i) / 5 == bar && **t != black).count();
        (0..4).map(|bar| filled(bar) / 5).collect()
    };
    assert_eq!(length(TextureWrite::bars(), |i| i % 20), [0, 5, 20, 10]);
    assert_eq!(length(TextureWrite::horizontal_bars(), |i| i / 20), [0, 5, 20, 10]);
}
