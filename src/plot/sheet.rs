//! Plots of a network's filters, feature maps and units.

use std::ops::Range;

use crate::gpu::TextureWrite;
use crate::gpu::texture::{ColorMap, ValueRange};
use crate::plot::canvas::{Align, BLACK, Canvas, GRAY, Ink, SCALE};
use crate::plot::{HEAD, counted, head};
use crate::shape::Shape;
use crate::{Error, Result};

const WIDTH: f32 = 880.0;
const MARGIN: f32 = 20.0;
/// Height of a caption line, and the margin below it.
const LINE: f32 = 30.0;
const AFTER: f32 = 18.0;
/// Target maximum height of a layer's tiles.
const MOST_HEIGHT: usize = 900;

/// Maximum maps, filters or units shown per layer.
const MOST: usize = 1024;
/// Maximum filters, and maximum input maps, of a table.
const MOST_TABLE: usize = 128;

/// The output of a layer for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiles {
    /// The layer's name.
    pub name: String,
    /// Its values.
    pub values: Vec<f32>,
    /// Their extents: `[1, C, H, W]` for maps, `[1, M]` for units.
    pub shape: Shape,
}

/// A drawing of values, with its size in pixels and caption.
struct Section {
    text: String,
    size: [u32; 2],
    texels: Vec<[f32; 4]>,
    /// The color map and the range of values, if it has a color bar.
    key: Option<(ColorMap, [f32; 2])>,
}

/// Draws the filters of a convolution, `[K, C, R, S]` in a range of the flat parameters: in color if C is 3, one tile
/// each if C is 1, else as a table of filters by input maps. Negative values are blue, positive values red.
///
/// Errors: no filters.
pub fn filters(name: &str, layer: &str, parameters: &[f32], range: Range<usize>, shape: &Shape) -> Result<Canvas> {
    let &[k, c, r, s] = &shape[..] else {
        return Err(Error::option("shape of filters", "[K, C, R, S]", shape));
    };
    let refuse = || Error::option("range of filters", format!("{} of the parameters", shape.elements()), shape);
    let all = parameters.get(range).filter(|values| values.len() == shape.elements()).ok_or_else(refuse)?;
    let [k_shown, c_shown] = if c == 1 || c == 3 { [k.min(MOST), c] } else { [k, c].map(|n| n.min(MOST_TABLE)) };
    // The longer side of a table is horizontal.
    let is_turned = c_shown != 1 && c_shown != 3 && k_shown > c_shown;
    let place = |i: usize| if is_turned { (i % k_shown, i / k_shown) } else { (i / c_shown, i % c_shown) };
    let tile = |i: usize| &all[(place(i).0 * c + place(i).1) * r * s..][..r * s];
    let values: Vec<f32> = (0..k_shown * c_shown).flat_map(tile).copied().collect();
    let [least, largest] = least_and_largest(&values);
    let reach = largest.max(-least).max(f32::MIN_POSITIVE);
    let (tiles, planes, columns, of) = match c {
        3 => (k_shown, 3, near_row(k_shown, s), "a tile for each filter"),
        1 => (k_shown, 1, near_row(k_shown, s), "a tile for each filter"),
        _ if is_turned => (k_shown * c_shown, 1, k_shown, "a column for each filter, a row for each map that it reads"),
        _ => (k_shown * c_shown, 1, c_shown, "a row for each filter, a column for each map that it reads"),
    };
    let write = TextureWrite::filters(0..values.len(), [tiles, planes, r, s])
        .range(ValueRange::Fixed(-reach, reach))
        .columns(columns);
    let drawn = drawn(write, &values, &[values.len()].into(), [tiles, columns], [r, s])?;
    let left_out = match k_shown < k || c_shown < c {
        true => format!(", the first {k_shown} of {c_shown}"),
        false => String::new(),
    };
    let text = format!("{layer}: {} of {c} x {r} x {s}{left_out}", counted(k as u64, "filter", "filters"));
    let key = (c != 3).then_some((ColorMap::Diverging, [-reach, reach]));
    let numbers = format!("{of};  weights from {} to {}", signed(least), signed(largest));
    sheet(name, &numbers, vec![Section { text, key, ..drawn }])
}

/// Draws the feature maps of an image by layer, each scaled from its minimum (dark) to its maximum (bright). Layers
/// without maps are omitted. `image` is drawn unscaled.
///
/// Errors: no maps; a number of values that differs from the shape.
pub fn responses(name: &str, image: &Tiles, layers: &[Tiles]) -> Result<Canvas> {
    let with_maps = layers.iter().filter(|layer| layer.shape.len() == 4).collect::<Vec<_>>();
    if with_maps.is_empty() {
        return Err(Error::option("network", "a layer with maps, as convolutions have", "only layers of units"));
    }
    let mut sections = vec![shown(image)?];
    for layer in &with_maps {
        let [_, c, h, w] = layer.shape.nchw("maps").map_err(|e| Error::option("maps", e, &layer.shape))?;
        let (count, values) = (c.min(MOST), &layer.values[..layer.values.len().min(c.min(MOST) * h * w)]);
        let write = TextureWrite::maps().columns(near_row(count, w));
        let drawn = drawn(write, values, &[1, count, h, w].into(), [count, near_row(count, w)], [h, w])?;
        let [least, largest] = least_and_largest(&layer.values);
        let maps = counted(c as u64, "map", "maps");
        let text = format!("{}: {maps} of {h} x {w}, values from {} to {}", layer.name, signed(least), signed(largest));
        sections.push(Section { text, ..drawn });
    }
    sheet(
        name,
        "what each layer makes of the image, each map from its least value (dark) to its largest (bright)",
        sections,
    )
}

/// Draws images in rows of `[N, C, H, W]`, each row with its name.
///
/// Errors: a number of values that differs from the shape.
pub fn images(name: &str, numbers: &str, rows: &[Tiles]) -> Result<Canvas> {
    let section = |row: &Tiles| {
        let [n, c, h, w] = row.shape.nchw("images").map_err(|e| Error::option("images", e, &row.shape))?;
        let (write, tiles) = match c {
            3 => (TextureWrite::images(), n),
            _ => (TextureWrite::maps().colors(ColorMap::Gray).range(ValueRange::Fixed(0.0, 1.0)), n * c),
        };
        let drawn = drawn(write.columns(tiles), &row.values, &[1, n * c, h, w].into(), [tiles, tiles], [h, w])?;
        Ok(Section { text: row.name.clone(), ..drawn })
    };
    sheet(name, numbers, rows.iter().map(section).collect::<Result<_>>()?)
}

/// Draws the mean activation of each map and the activation of each unit for an image, on one scale per layer from zero
/// (white) to the largest magnitude; negative values are blue, positive values red.
///
/// Errors: a number of values that differs from the shape.
pub fn activations(name: &str, image: &Tiles, layers: &[Tiles]) -> Result<Canvas> {
    let mut sections = vec![shown(image)?];
    for layer in layers {
        let &[_, units, ref map @ ..] = &layer.shape[..] else { continue };
        let size = map.iter().product::<usize>().max(1);
        let mean = |map: &[f32]| map.iter().sum::<f32>() / map.len() as f32;
        let means: Vec<f32> = layer.values.chunks(size).map(mean).collect();
        let silent = means.iter().filter(|v| **v == 0.0).count();
        let [least, largest] = least_and_largest(&means);
        let reach = largest.max(-least).max(f32::MIN_POSITIVE);
        let count = means.len().min(MOST);
        let columns = count.min(60);
        let write =
            TextureWrite::maps().colors(ColorMap::Diverging).range(ValueRange::Fixed(-reach, reach)).columns(columns);
        let drawn = drawn(write, &means[..count], &[1, count, 1, 1].into(), [count, columns], [1, 1])?;
        let kind = if map.is_empty() { ["unit", "units"] } else { ["map", "maps"] };
        let of = counted(units as u64, kind[0], kind[1]);
        let text = format!("{}: {of}, {silent} silent, from {} to {}", layer.name, signed(least), signed(largest));
        sections.push(Section { text, key: Some((ColorMap::Diverging, [-reach, reach])), ..drawn });
    }
    sheet(
        name,
        "a cell for each map (its mean) and each unit; blue is below zero, red above, white is silent",
        sections,
    )
}

/// Draws the network's input.
fn shown(image: &Tiles) -> Result<Section> {
    let [_, c, h, w] = image.shape.nchw("an image").map_err(|e| Error::option("image", e, &image.shape))?;
    let write = match c {
        3 => TextureWrite::images(),
        _ => TextureWrite::maps().colors(ColorMap::Gray).range(ValueRange::Fixed(0.0, 1.0)),
    };
    let tiles = if c == 3 { 1 } else { c };
    let drawn = drawn(write.columns(tiles), &image.values, &image.shape, [tiles, tiles], [h, w])?;
    Ok(Section { text: image.name.clone(), ..drawn })
}

fn least_and_largest(values: &[f32]) -> [f32; 2] {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let [least, largest] = [finite().fold(f32::MAX, f32::min), finite().fold(f32::MIN, f32::max)];
    if least <= largest { [least, largest] } else { [0.0, 0.0] }
}

/// A number whose minus sign is as wide as a digit.
fn signed(v: f32) -> String {
    format!("{v:.2}").replace('-', "−")
}

/// The number of maps per row, such that rows have equal length and remain readable.
fn near_row(maps: usize, width: usize) -> usize {
    let room = (WIDTH - 2.0 * MARGIN) as usize;
    let most = (room / width.clamp(26, room)).clamp(1, 16);
    let rows = maps.div_ceil(most).max(1);
    maps.div_ceil(rows).max(1)
}

/// Draws values as tiles, with a whole number of pixels per value.
fn drawn(
    write: TextureWrite,
    values: &[f32],
    shape: &Shape,
    [tiles, columns]: [usize; 2],
    [h, w]: [usize; 2],
) -> Result<Section> {
    let rows = tiles.div_ceil(columns);
    let room = ((WIDTH - 2.0 * MARGIN) * SCALE as f32) as usize;
    let gap = 2 * SCALE as usize;
    // The scale is bounded, and is reduced until all tiles of the layer fit.
    let most = (120 * SCALE as usize / h.max(w)).clamp(1, 32);
    let most = most.min((MOST_HEIGHT * SCALE as usize / rows).saturating_sub(gap) / h).max(1);
    let scale = ((room + gap) / columns).saturating_sub(gap).checked_div(w).unwrap_or(1).clamp(1, most);
    let side = |count: usize, of: usize| (count * (of * scale + gap) - gap) as u32;
    let size = [side(columns, w), side(rows, h)];
    let write = write.gap(gap as u32).background([1.0; 4]);
    let texels = write.apply(values, shape, size)?;
    Ok(Section { text: String::new(), size, texels, key: None })
}

fn sheet(name: &str, numbers: &str, sections: Vec<Section>) -> Result<Canvas> {
    let units = |pixels: u32| pixels as f32 / SCALE as f32;
    let height: f32 = sections.iter().map(|section| LINE + units(section.size[1]) + AFTER).sum();
    let widest = sections.iter().map(|section| units(section.size[0])).fold(0.0, f32::max);
    let mut canvas = Canvas::new(WIDTH.max(widest + 2.0 * MARGIN), HEAD + height + 4.0)?;
    head(&mut canvas, name, numbers);
    let mut y = HEAD;
    for Section { text, size, texels, key } in sections {
        let text = canvas.cut(&text, 14.0, WIDTH - 2.0 * MARGIN - 220.0);
        canvas.text(&text, [MARGIN, y + LINE / 2.0], 14.0, BLACK, Align::Left);
        if let Some((colors, range)) = key {
            scale(&mut canvas, y + LINE / 2.0, colors, range);
        }
        let [left, top] = [MARGIN, y + LINE];
        canvas.texels([left, top], size[0] as usize, &texels);
        y = top + units(size[1]) + AFTER;
    }
    Ok(canvas)
}

/// Draws the color bar at the right end of a line.
fn scale(canvas: &mut Canvas, y: f32, colors: ColorMap, [from, to]: [f32; 2]) {
    let (right, width) = (WIDTH - MARGIN - 44.0, 110.0);
    let ink = |share: f64| -> Ink { colors.color(share).map(|v| (255.0 * v).round() as u8) };
    canvas.ramp([right - width, y - 5.0], width, 10.0, ink);
    canvas.text(&signed(from), [right - width - 6.0, y], 11.0, GRAY, Align::Right);
    canvas.text(&signed(to), [right + 6.0, y], 11.0, GRAY, Align::Left);
}
