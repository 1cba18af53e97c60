//! Writing of a value into a texture: formula, dispatches, and CPU equivalent.

use std::ops::Range;

use wgpu::TextureFormat;

use crate::gpu::texture::LARGEST_SIDE;
use crate::gpu::texture::colors::{ColorMap, decoded};
use crate::gpu::texture::pass::{Bind, TexturePass};
use crate::kernel::{Constant, Dispatch, f32_literal};
use crate::shape::Shape;
use crate::{Error, Result, shader};

/// Supported formats, all of WebGPU's core, with their WGSL names.
const FORMATS: [(TextureFormat, &str); 3] = [
    (TextureFormat::Rgba8Unorm, "texture_storage_2d<rgba8unorm, write>"),
    (TextureFormat::Rgba16Float, "texture_storage_2d<rgba16float, write>"),
    (TextureFormat::Rgba32Float, "texture_storage_2d<rgba32float, write>"),
];

/// The values at the ends of a color map. Values outside the range have the colors of the ends. Computed ranges ignore
/// values that are not finite.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ValueRange {
    /// A fixed range.
    Fixed(f32, f32),
    /// From the minimum to the maximum of everything drawn.
    Whole,
    /// From the minimum to the maximum of each tile.
    Tile,
    /// From −a to a, with a the largest magnitude of everything drawn.
    Symmetric,
    /// From −a to a, with a the largest magnitude of each tile.
    SymmetricTile,
}

impl ValueRange {
    fn is_symmetric(self) -> bool {
        matches!(self, ValueRange::Symmetric | ValueRange::SymmetricTile)
    }

    fn is_of_tiles(self) -> bool {
        matches!(self, ValueRange::Tile | ValueRange::SymmetricTile)
    }
}

#[derive(Clone, PartialEq, Debug)]
enum Drawn {
    Maps { rgb: bool },
    Filters { range: Range<usize>, shape: Shape },
    Bars { horizontal: bool },
    Cells,
}

/// The conversion of a value to an image.
///
/// The image is a grid of tiles, row by row, each with the h by w values of one map. On a texture `width` texels wide,
/// tile column j of k begins at texel `⌊j (width + gap) / k⌋` and ends `gap` texels before the next one begins. Column
/// l of a tile t texels wide shows value `⌊(2l + 1) w / 2t⌋` (nearest neighbor). Rows are placed in the same way. Gaps
/// and empty tiles have the background color.
///
/// A value v in a range from a to b has the color at `(v − a) / (b − a)` of the color map, clamped to 0..1; if b is not
/// above a, the color at 0 (½ for a symmetric range). NaN is magenta, (1, 0, 1). Alpha is 1 except in the background.
#[derive(Clone, PartialEq, Debug)]
pub struct TextureWrite {
    drawn: Drawn,
    row: usize,
    colors: ColorMap,
    range: ValueRange,
    columns: Option<usize>,
    gap: u32,
    background: [f32; 4],
    linear: bool,
}

/// A grid of tiles over a node's elements.
struct Tiles {
    /// The index of the first element.
    offset: usize,
    tiles: usize,
    /// 3 for RGB tiles, else 1.
    planes: usize,
    h: usize,
    w: usize,
    columns: usize,
    rows: usize,
    /// 0 for no bars, 1 for vertical bars, 2 for horizontal bars.
    bars: usize,
}

/// The dispatches that draw an image.
pub(super) struct WritePasses {
    /// The dispatches that compute the ranges: first of parts of groups of values, then of groups.
    pub range: Option<[TexturePass; 2]>,
    pub part_bytes: u64,
    pub range_bytes: u64,
    pub image: TexturePass,
}

impl TextureWrite {
    fn new(drawn: Drawn, colors: ColorMap, range: ValueRange) -> Self {
        let background = [0.1, 0.1, 0.1, 1.0];
        Self { drawn, row: 0, colors, range, columns: None, gap: 1, background, linear: false }
    }

    /// The C maps of one image of `[N, C, H, W]`, one tile each; by default viridis, with a separate range for each
    /// map.
    pub fn maps() -> Self {
        Self::new(Drawn::Maps { rgb: false }, ColorMap::Viridis, ValueRange::Tile)
    }

    /// Each three consecutive maps of an image of `[N, C, H, W]` as one RGB tile; by default from 0 to 1.
    pub fn images() -> Self {
        Self::new(Drawn::Maps { rgb: true }, ColorMap::Gray, ValueRange::Fixed(0.0, 1.0))
    }

    /// The filters `[K, C, R, S]` in a range of a flat value: K color tiles if C is 3, else K·C tiles. By default blue
    /// to red, over one symmetric range.
    pub fn filters(range: Range<usize>, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Self::new(Drawn::Filters { range, shape }, ColorMap::Diverging, ValueRange::Symmetric)
    }

    /// The M values of a row of `[N, M]` as vertical bars, side by side; by default from 0 to 1, as for probabilities.
    pub fn bars() -> Self {
        Self::new(Drawn::Bars { horizontal: false }, ColorMap::Viridis, ValueRange::Fixed(0.0, 1.0))
    }

    /// The M values of a row of `[N, M]` as horizontal bars, top to bottom; by default from 0 to 1.
    pub fn horizontal_bars() -> Self {
        Self { drawn: Drawn::Bars { horizontal: true }, ..Self::bars() }
    }

    /// The values of `[N, M]` as cells of one tile, N rows by M columns; by default from 0 to 1.
    pub fn cells() -> Self {
        Self { drawn: Drawn::Cells, ..Self::bars() }
    }

    /// Sets the index in the batch, or the row drawn as bars.
    pub fn row(mut self, row: usize) -> Self {
        self.row = row;
        self
    }

    /// Sets the color map. RGB tiles have none: the ends of the range are 0 and 1 of each channel.
    pub fn colors(mut self, colors: ColorMap) -> Self {
        self.colors = colors;
        self
    }

    /// Sets the values at the ends of the color map and of bars.
    pub fn range(mut self, range: ValueRange) -> Self {
        self.range = range;
        self
    }

    /// Sets the number of tile columns. By default the image is nearly square.
    pub fn columns(mut self, columns: usize) -> Self {
        self.columns = Some(columns);
        self
    }

    /// Sets the gap between tiles in texels. Default: 1.
    pub fn gap(mut self, gap: u32) -> Self {
        self.gap = gap;
        self
    }

    /// Sets the background: sRGB-encoded red, green and blue, and alpha. Default: dark gray.
    pub fn background(mut self, background: [f32; 4]) -> Self {
        self.background = background;
        self
    }

    /// Sets whether colors are written as linear light, for a renderer that applies sRGB encoding later. By default
    /// they are written sRGB-encoded, as for screens and image files.
    pub fn linear(mut self, linear: bool) -> Self {
        self.linear = linear;
        self
    }

    fn tiles(&self, shape: &Shape) -> Result<Tiles> {
        let refuse = |reason| Error::option("shape of what is drawn", reason, shape);
        let row_of = |n: usize| match self.row {
            row if row < n => Ok(row),
            row => Err(Error::option("row", format!("below {n}, the rows of what is drawn"), row)),
        };
        let matrix = || shape.matrix("it").map_err(refuse);
        let (offset, [c, h, w], planes) = match &self.drawn {
            Drawn::Maps { rgb } => {
                let [n, c, h, w] = shape.nchw("it").map_err(refuse)?;
                (row_of(n)? * c * h * w, [c, h, w], if *rgb { 3 } else { 1 })
            }
            Drawn::Filters { range, shape: filters } => {
                let [k, c, r, s] = filters.nchw("filters").map_err(|e| Error::option("filters", e, filters))?;
                let within = range.end <= shape.elements() && range.len() == filters.elements();
                if !within {
                    let expected = format!("{} values of {}, as {filters} has", filters.elements(), shape.elements());
                    return Err(Error::option("range of filters", expected, format!("{range:?}")));
                }
                (range.start, [k * c, r, s], if c == 3 { 3 } else { 1 })
            }
            Drawn::Bars { .. } => {
                let [n, m] = matrix()?;
                (row_of(n)? * m, [m, 1, 1], 1)
            }
            Drawn::Cells => (0, [&[1][..], &matrix()?].concat().try_into().expect("three"), 1),
        };
        if c % planes != 0 {
            return Err(refuse("a multiple of three maps: red, green and blue".into()));
        }
        let tiles = c / planes;
        let bars = match self.drawn {
            Drawn::Bars { horizontal } => 1 + usize::from(horizontal),
            _ => 0,
        };
        let square = ((tiles * h) as f64 / w as f64).sqrt().ceil().clamp(1.0, tiles as f64) as usize;
        let columns = match bars {
            0 => self.columns.unwrap_or(square),
            1 => tiles,
            _ => 1,
        };
        if !(1..=tiles).contains(&columns) {
            return Err(Error::option("columns", format!("1 to {tiles}, the tiles"), columns));
        }
        Ok(Tiles { offset, tiles, planes, h, w, columns, rows: tiles.div_ceil(columns), bars })
    }

    pub(super) fn size(&self, shape: &Shape, scale: u32) -> Result<[u32; 2]> {
        let Tiles { tiles, h, w, columns, rows, bars, .. } = self.tiles(shape)?;
        let counts = if bars == 0 { [(columns, w), (rows, h)] } else { [(tiles, 1); 2] };
        let side = |(count, values): (usize, usize)| {
            (values as u64 * u64::from(scale) + u64::from(self.gap)) * count as u64 - u64::from(self.gap)
        };
        let size = counts.map(side);
        if scale == 0 || size.iter().any(|&side| side > LARGEST_SIDE.into()) {
            let expected = format!("at least 1, and an image of at most {LARGEST_SIDE} texels a side");
            return Err(Error::option("scale", expected, format!("{scale}, for {}x{} texels", size[0], size[1])));
        }
        Ok(size.map(|side| side as u32))
    }

    /// The range, if it does not depend on the values.
    pub(super) fn fixed_range(&self) -> Option<[f32; 2]> {
        match self.range {
            ValueRange::Fixed(from, to) => Some([from, to]),
            _ => None,
        }
    }

    /// The position on the color map of values in an empty range.
    fn empty(&self) -> f32 {
        if self.range.is_symmetric() { 0.5 } else { 0.0 }
    }

    fn check(&self, tiles: &Tiles, size: [u32; 2]) -> Result<()> {
        let needed = [tiles.columns, tiles.rows].map(|n| n as u64 * (1 + u64::from(self.gap)) - u64::from(self.gap));
        // Positions in a tile are computed in 32 bits.
        let places = [(size[0], tiles.w), (size[1], tiles.h)];
        let exact = places.iter().all(|&(side, values)| 2 * u64::from(side) * values as u64 <= u32::MAX.into());
        if !exact || needed.iter().zip(size).any(|(&needed, side)| needed > side.into()) {
            let expected = format!("at least {}x{} texels for the tiles and their gaps", needed[0], needed[1]);
            return Err(Error::option("texture", expected, format!("{}x{}", size[0], size[1])));
        }
        if let ValueRange::Fixed(from, to) = self.range
            && !(from.is_finite() && to.is_finite() && from < to)
        {
            return Err(Error::option("range", "two finite numbers, the smaller first", format!("{from} to {to}")));
        }
        if self.background.iter().any(|v| !v.is_finite()) {
            return Err(Error::option("background", "four finite numbers", format!("{:?}", self.background)));
        }
        Ok(())
    }

    /// The dispatches that draw a value of this shape into a texture of `size` and `format`: two that compute the
    /// ranges, if they depend on the values, and one that draws.
    ///
    /// Errors: an unsupported format (the message lists the supported ones); a shape that cannot be drawn in this form;
    /// a texture that is too small.
    pub fn passes(&self, format: TextureFormat, size: [u32; 2], shape: &Shape) -> Result<Vec<TexturePass>> {
        let WritePasses { range, image, .. } = self.drawing(format, size, shape)?;
        Ok(range.into_iter().flatten().chain([image]).collect())
    }

    pub(super) fn drawing(&self, format: TextureFormat, size: [u32; 2], shape: &Shape) -> Result<WritePasses> {
        let Some((_, ty)) = FORMATS.iter().find(|(f, _)| *f == format) else {
            let names = FORMATS.map(|(f, _)| format!("{f:?}")).join(", ");
            return Err(Error::option("texture format", format!("one of {names}"), format!("{format:?}")));
        };
        let tiles = self.tiles(shape)?;
        self.check(&tiles, size)?;
        let elements = tiles.tiles * tiles.planes * tiles.h * tiles.w;
        let groups = if self.range.is_of_tiles() { tiles.tiles } else { 1 };
        let length = elements / groups;
        let parts = (length as f64).sqrt().ceil() as usize;
        let range = self.fixed_range().is_none().then(|| {
            let finish = match self.range.is_symmetric() {
                true => "vec2(-at_least(-least, largest), at_least(-least, largest))",
                false => "vec2(least, largest)",
            };
            let of_parts = Dispatch::new(shader!("textures/texture_range_parts"))
                .constants([("OFFSET", tiles.offset), ("GROUPS", groups), ("LENGTH", length), ("PARTS", parts)])
                .invocations(groups * parts, 64);
            let of_tiles = Dispatch::new(shader!("textures/texture_range"))
                .constants([("GROUPS", groups), ("PARTS", parts)])
                .function("finish", finish)
                .invocations(groups, 64);
            [of_parts, of_tiles].map(|dispatch| TexturePass { dispatch, binds: vec![Bind::Reads, Bind::Writes] })
        });
        let background = self.background.map(f32_literal).join(", ");
        let image = Dispatch::new(shader!("textures/texture_picture"))
            .constant("Picture", Constant::Type(ty))
            .constants([("OFFSET", tiles.offset), ("TILES", tiles.tiles), ("PLANES", tiles.planes)])
            .constants([("H", tiles.h), ("W", tiles.w), ("COLUMNS", tiles.columns), ("ROWS", tiles.rows)])
            .constants([("GAP", self.gap as usize), ("OWN_RANGES", usize::from(groups > 1)), ("BARS", tiles.bars)])
            .constants([("ANCHORS", self.colors.anchors().len())])
            .constant("COLOURS", self.colors.constant())
            .constant("EMPTY", self.empty())
            .function("background", format!("vec4<f32>({background})"))
            .function("shown", if self.linear { "decoded_rgb(t)" } else { "t" })
            .invocations(size[0] as usize * size[1] as usize, 64);
        let binds = vec![Bind::Reads, Bind::Reads, Bind::Stores(format)];
        let [part_bytes, range_bytes] = [groups * parts, groups].map(|pairs| 8 * pairs as u64);
        Ok(WritePasses { range, part_bytes, range_bytes, image: TexturePass { dispatch: image, binds } })
    }

    /// Computes the same on the CPU: red, green, blue and alpha of each texel of an image of `size`, row by row, from
    /// the values of a node of this shape.
    ///
    /// Errors: a number of values that differs from the shape; those of [`TextureWrite::passes`].
    pub fn apply(&self, values: &[f32], shape: &Shape, size: [u32; 2]) -> Result<Vec<[f32; 4]>> {
        if values.len() != shape.elements() {
            return Err(Error::option("values", format!("{}, as {shape} has", shape.elements()), values.len()));
        }
        let tiles = self.tiles(shape)?;
        self.check(&tiles, size)?;
        let Tiles { offset, planes, h, w, columns, rows, bars, .. } = tiles;
        let length = planes * h * w;
        let drawn = &values[offset..offset + tiles.tiles * length];
        let group = if self.range.is_of_tiles() { length } else { drawn.len() };
        let ranges: Vec<[f64; 2]> = drawn.chunks(group).map(|values| self.range_of(values)).collect();
        let gap = self.gap as usize;
        let [width, height] = size.map(|side| side as usize + gap);
        let linear = |[r, g, b, a]: [f64; 4]| match self.linear {
            true => [decoded(r), decoded(g), decoded(b), a],
            false => [r, g, b, a],
        };
        let background = self.background.map(f64::from);
        let color = |x: usize, y: usize| {
            let (column, row) = (((x + 1) * columns - 1) / width, ((y + 1) * rows - 1) / height);
            let [left, right] = [column, column + 1].map(|c| c * width / columns);
            let [top, bottom] = [row, row + 1].map(|r| r * height / rows);
            let tile = row * columns + column;
            if tile >= tiles.tiles || x + gap >= right || y + gap >= bottom {
                return background;
            }
            let [across, down] = [2 * (x - left) + 1, 2 * (y - top) + 1];
            let [wide, high] = [2 * (right - gap - left), 2 * (bottom - gap - top)];
            let place = down * h / high * w + across * w / wide;
            let own = &drawn[tile * length..][..length];
            let range = ranges[tile * length / group];
            let of = |plane: usize| own[plane * h * w + place];
            if (0..planes).any(|plane| of(plane).is_nan()) {
                return [1.0, 0.0, 1.0, 1.0];
            }
            let share = self.share(of(0), range);
            let is_filled = match bars {
                0 => true,
                1 => ((high - down) as f64) < share * high as f64,
                _ => (across as f64) < share * wide as f64,
            };
            let [r, g, b] = match planes {
                3 => [0, 1, 2].map(|plane| self.share(of(plane), range)),
                _ => self.colors.color(if is_filled { share } else { 0.0 }),
            };
            [r, g, b, 1.0]
        };
        let places = (0..size[1] as usize).flat_map(|y| (0..size[0] as usize).map(move |x| (x, y)));
        Ok(places.map(|(x, y)| linear(color(x, y)).map(|v| v as f32)).collect())
    }

    fn range_of(&self, values: &[f32]) -> [f64; 2] {
        if let Some(range) = self.fixed_range() {
            return range.map(f64::from);
        }
        let finite = || values.iter().filter(|v| v.is_finite()).map(|&v| f64::from(v));
        let [least, largest] = [finite().fold(f64::MAX, f64::min), finite().fold(f64::MIN, f64::max)];
        let reach = largest.max(-least);
        if self.range.is_symmetric() { [-reach, reach] } else { [least, largest] }
    }

    /// The position of a value in a range, from 0 to 1.
    fn share(&self, v: f32, [from, to]: [f64; 2]) -> f64 {
        if to > from { ((f64::from(v) - from) / (to - from)).clamp(0.0, 1.0) } else { self.empty().into() }
    }
}
