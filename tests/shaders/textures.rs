//! What reads and writes textures, in every form: it has no operation, so no case of the table reaches its shaders.

use lenslet::gpu::texture::{Channels, ColorMap, Light, Sampling, TexturePass, ValueRange};
use lenslet::wgpu::TextureFormat as Format;
use lenslet::{Shape, TextureRead, TextureWrite};

/// Each pass, and what it is of.
pub fn passes() -> Vec<(String, TexturePass)> {
    reads().into_iter().chain(writes()).collect()
}

fn reads() -> Vec<(String, TexturePass)> {
    let read = TextureRead::new;
    let several = read().row(1).inverted(true).normalized([0.5, 0.4, 0.3], [0.2]);
    let all = [
        (read(), Format::R8Unorm, [2, 1, 28, 28]),
        (read(), Format::R32Float, [1, 3, 1, 7]),
        (several, Format::Rgba8UnormSrgb, [2, 3, 16384, 5]),
        (read().light(Light::Linear), Format::Bgra8UnormSrgb, [1, 4, 8, 8]),
        (read().light(Light::Linear).sampling(Sampling::Nearest), Format::Rg8Unorm, [1, 2, 8, 8]),
        (read().light(Light::Encoded), Format::Rgba16Float, [1, 1, 28, 28]),
        (read().channels(Channels::Only(3)), Format::Rgba8Unorm, [1, 3, 9, 9]),
        (read().channels(Channels::Gray([0.25, 0.5, -1e-30])), Format::Rgba32Float, [1, 2, 9, 9]),
    ];
    let passes = |(read, format, shape): (TextureRead, Format, [usize; 4])| {
        let passes = read.passes(format, [16384, 300], &shape.into()).expect("it can be read");
        passes.map(|pass| (format!("reading {format:?} into {shape:?}"), pass))
    };
    all.into_iter().flat_map(passes).collect()
}

fn writes() -> Vec<(String, TexturePass)> {
    use ValueRange::{Fixed, Symmetric, SymmetricTile, Tile, Whole};
    let shape = |extents: &[usize]| Shape::from(extents);
    let all = [
        (TextureWrite::maps(), Format::Rgba8Unorm, shape(&[3, 6, 28, 28])),
        (TextureWrite::maps().row(2).range(Whole).columns(5).gap(0), Format::Rgba16Float, shape(&[3, 6, 1200, 800])),
        (TextureWrite::maps().range(Symmetric), Format::Rgba32Float, shape(&[1, 1, 1, 1])),
        (TextureWrite::images().linear(true), Format::Rgba32Float, shape(&[3, 6, 20, 30])),
        (TextureWrite::filters(64..364, [4, 3, 5, 5]), Format::Rgba8Unorm, shape(&[1000])),
        (TextureWrite::filters(64..364, [6, 2, 5, 5]).range(SymmetricTile), Format::Rgba8Unorm, shape(&[1000])),
        (TextureWrite::bars().row(1).background([0.0; 4]), Format::Rgba8Unorm, shape(&[2, 10])),
        (TextureWrite::horizontal_bars().range(Tile), Format::Rgba8Unorm, shape(&[2, 10])),
        (TextureWrite::cells().range(Fixed(-1.0, 1e38)).colors(ColorMap::Gray), Format::Rgba8Unorm, shape(&[70, 10])),
    ];
    let passes = |(write, format, shape): (TextureWrite, Format, Shape)| {
        let passes = write.passes(format, [8192, 8000], &shape).expect("it can be written");
        passes.into_iter().map(move |pass| (format!("drawing {shape} as {write:?}"), pass))
    };
    all.into_iter().flat_map(passes).collect()
}
