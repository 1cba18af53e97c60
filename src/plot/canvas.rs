//! A canvas for antialiased shapes and text on a white background.

use std::path::Path;

use ab_glyph::{Font, FontRef, OutlineCurve, Point};
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Mask, Paint, PathBuilder, Pixmap, PremultipliedColorU8, Rect, Stroke, Transform,
};

use crate::formats::replace_file;
use crate::{Error, Result};

/// An sRGB-encoded color: red, green, blue.
pub type Ink = [u8; 3];

/// Colors of Okabe and Ito, distinguishable with any kind of color vision.
pub const BLUE: Ink = [0, 114, 178];
pub const VERMILLION: Ink = [213, 94, 0];
pub const GREEN: Ink = [0, 158, 115];
/// Text colors, from the most to the least prominent.
pub const BLACK: Ink = [25, 25, 25];
pub const GRAY: Ink = [95, 95, 95];
pub const PALE: Ink = [228, 228, 228];
pub const WHITE: Ink = [255; 3];

/// Pixels per unit of length of a drawing.
pub const SCALE: u32 = 2;

/// Maximum width and height in pixels.
const MOST: f32 = 16_384.0;

/// The horizontal anchor of a text. Vertically it is centered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Middle,
    Right,
}

/// An image, complete or being drawn.
///
/// Units: coordinates are in units of two pixels, x to the right and y down.
pub struct Canvas {
    pixels: Pixmap,
    font: FontRef<'static>,
    clip: Option<Mask>,
}

impl Canvas {
    /// A white image.
    ///
    /// Errors: more than 16,384 pixels wide or high.
    pub(super) fn new(width: f32, height: f32) -> Result<Self> {
        let [w, h] = [width, height].map(|side| (side * SCALE as f32).ceil());
        let refuse = || Error::option("image", format!("at most {MOST}x{MOST} pixels"), format!("{w}x{h}"));
        let fits = w >= 1.0 && h >= 1.0 && w <= MOST && h <= MOST;
        let mut pixels = fits.then(|| Pixmap::new(w as u32, h as u32)).flatten().ok_or_else(refuse)?;
        pixels.fill(Color::WHITE);
        let font = FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).expect("a font that is compiled in");
        Ok(Self { pixels, font, clip: None })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [u32; 2] {
        [self.pixels.width(), self.pixels.height()]
    }

    /// The pixels, row by row.
    pub fn pixels(&self) -> Vec<Ink> {
        self.pixels.pixels().iter().map(|p| [p.red(), p.green(), p.blue()]).collect()
    }

    /// Writes a PNG file atomically.
    ///
    /// Errors: the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        use image::codecs::png::{CompressionType, FilterType, PngEncoder};
        let mut file = vec![];
        let [width, height] = self.size();
        let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Default, FilterType::NoFilter);
        let encoded = image::ImageEncoder::write_image(
            encoder,
            self.pixels().as_flattened(),
            width,
            height,
            image::ExtendedColorType::Rgb8,
        );
        encoded.map_err(|error| Error::data(path.as_ref(), error.to_string()))?;
        replace_file(path, |out| out.write_all(&file))
    }

    /// Restricts later drawing to this rectangle; `None` removes the restriction.
    pub(super) fn clip(&mut self, rectangle: Option<[f32; 4]>) {
        self.clip = rectangle.and_then(|[x, y, w, h]| {
            let mut mask = Mask::new(self.pixels.width(), self.pixels.height())?;
            let path = PathBuilder::from_rect(Rect::from_xywh(x, y, w, h)?);
            mask.fill_path(&path, FillRule::Winding, true, scaled());
            Some(mask)
        });
    }

    pub(super) fn rectangle(&mut self, [x, y, w, h]: [f32; 4], ink: Ink) {
        if let Some(rectangle) = Rect::from_xywh(x, y, w, h) {
            self.pixels.fill_rect(rectangle, &paint(ink), scaled(), self.clip.as_ref());
        }
    }

    /// Draws a polyline through these points.
    pub(super) fn line(&mut self, points: &[[f32; 2]], width: f32, ink: Ink) {
        let mut path = PathBuilder::new();
        for (number, &[x, y]) in points.iter().enumerate() {
            if number == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
        }
        let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
        if let Some(path) = path.finish() {
            self.pixels.stroke_path(&path, &paint(ink), &stroke, scaled(), self.clip.as_ref());
        }
    }

    pub(super) fn dot(&mut self, [x, y]: [f32; 2], radius: f32, ink: Ink) {
        if let Some(path) = PathBuilder::from_circle(x, y, radius) {
            let (paint, rule) = (paint(ink), FillRule::Winding);
            self.pixels.fill_path(&path, &paint, rule, scaled(), self.clip.as_ref());
        }
    }

    /// Draws a line of text.
    pub(super) fn text(&mut self, text: &str, at: [f32; 2], size: f32, ink: Ink, align: Align) {
        self.turned(text, at, size, ink, align, 0.0);
    }

    /// Draws a line of text, rotated clockwise by `degrees`.
    pub(super) fn turned(&mut self, text: &str, [x, y]: [f32; 2], size: f32, ink: Ink, align: Align, degrees: f32) {
        let unit = self.unit(size);
        let left = match align {
            Align::Left => 0.0,
            Align::Middle => -0.5,
            Align::Right => -1.0,
        } * self.width(text, size);
        let mut path = PathBuilder::new();
        // Capitals and digits of this font are 0.693 of its size high.
        let baseline = 0.3465 * size / unit;
        let place = |p: Point, pen: f32| (pen + p.x, baseline - p.y);
        let mut pen = left / unit;
        for glyph in text.chars().map(|c| self.font.glyph_id(c)) {
            let mut end = None;
            for curve in self.font.outline(glyph).map_or(vec![], |outline| outline.curves) {
                let (from, to) = match curve {
                    OutlineCurve::Line(from, to)
                    | OutlineCurve::Quad(from, _, to)
                    | OutlineCurve::Cubic(from, _, _, to) => (place(from, pen), place(to, pen)),
                };
                if end != Some(from) {
                    path.move_to(from.0, from.1);
                }
                match curve {
                    OutlineCurve::Line(..) => path.line_to(to.0, to.1),
                    OutlineCurve::Quad(_, by, _) => {
                        let by = place(by, pen);
                        path.quad_to(by.0, by.1, to.0, to.1);
                    }
                    OutlineCurve::Cubic(_, a, b, _) => {
                        let (a, b) = (place(a, pen), place(b, pen));
                        path.cubic_to(a.0, a.1, b.0, b.1, to.0, to.1);
                    }
                }
                end = Some(to);
            }
            pen += self.font.h_advance_unscaled(glyph);
        }
        let transform = scaled().pre_translate(x, y).pre_rotate(degrees).pre_scale(unit, unit);
        if let Some(path) = path.finish() {
            let (paint, clip) = (paint(ink), self.clip.as_ref());
            self.pixels.fill_path(&path, &paint, FillRule::Winding, transform, clip);
            // The font is a light one; stroking its outline gives regular weight.
            let stroke = Stroke { width: 0.028 * size / unit, line_join: LineJoin::Round, ..Stroke::default() };
            self.pixels.stroke_path(&path, &paint, &stroke, transform, clip);
        }
    }

    /// The width of a text.
    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        let advance = |c| self.font.h_advance_unscaled(self.font.glyph_id(c));
        text.chars().map(advance).sum::<f32>() * self.unit(size)
    }

    /// The text, truncated to a maximum width.
    pub(super) fn cut(&self, text: &str, size: f32, most: f32) -> String {
        if self.width(text, size) <= most {
            return text.into();
        }
        let mut short: String = text.into();
        while short.pop().is_some() && self.width(&short, size) + self.width("…", size) > most {}
        short + "…"
    }

    /// The length of a font design unit.
    fn unit(&self, size: f32) -> f32 {
        size / self.font.units_per_em().unwrap_or(1000.0)
    }

    /// Draws a color bar from 0 at its left to 1 at its right.
    pub(super) fn ramp(&mut self, at: [f32; 2], width: f32, height: f32, color: impl Fn(f64) -> Ink) {
        let [width, height] = [width, height].map(|side| (side * SCALE as f32) as usize);
        let texel = |i: usize| {
            let [r, g, b] = color(i as f64 / (width.max(2) - 1) as f64).map(|v| f32::from(v) / 255.0);
            [r, g, b, 1.0]
        };
        let row: Vec<[f32; 4]> = (0..width).map(texel).collect();
        self.texels(at, width, &row.repeat(height));
    }

    /// Draws opaque texels, row by row, one pixel each. Texels outside the canvas are omitted.
    pub(super) fn texels(&mut self, [x, y]: [f32; 2], width: usize, texels: &[[f32; 4]]) {
        let [left, top] = [x, y].map(|v| (v * SCALE as f32).round() as usize);
        let line = self.pixels.width() as usize;
        for (row, texels) in texels.chunks(width.max(1)).enumerate() {
            let to = self.pixels.pixels_mut().chunks_mut(line).nth(top + row).and_then(|line| line.get_mut(left..));
            for (to, texel) in to.into_iter().flatten().zip(texels) {
                let [r, g, b, _] = texel.map(|v| (v * 255.0).round() as u8);
                *to = PremultipliedColorU8::from_rgba(r, g, b, 255).expect("opaque");
            }
        }
    }
}

fn scaled() -> Transform {
    Transform::from_scale(SCALE as f32, SCALE as f32)
}

fn paint([r, g, b]: Ink) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(r, g, b, 255);
    paint
}
