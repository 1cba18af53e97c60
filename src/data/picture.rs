//! A picture file as a network takes it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, Rgb, RgbImage};

use crate::{Error, Result};

/// Bytes of the largest decoded picture.
const MOST_BYTES: u64 = 512 << 20;

/// What is made of a picture on its way to a network. Nothing is guessed: a dark digit on white paper stays one unless
/// `invert` says otherwise.
///
/// In this order: turned upright as EXIF says; laid over the background where it is transparent; resized, with a triangle
/// filter as wide as what shrinks into a pixel; mixed to grey; inverted; scaled to `[0, 1]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preparation {
    /// How it gets the network's size.
    pub resize: Resize,
    /// What is behind transparent pictures and beside padded ones.
    pub background: Colour,
    /// Whether coloured pictures may be mixed to grey, by Rec. 601's weights 0.299, 0.587 and 0.114.
    pub grey: bool,
    /// Whether each value is taken from 1.
    pub invert: bool,
}

/// How a picture gets the network's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// The whole picture, with another ratio of its sides.
    #[default]
    Stretch,
    /// The largest part in its centre that has the ratio.
    Crop,
    /// The whole picture in the centre, with the background beside it.
    Pad,
}

const RESIZES: [(Resize, &str); 3] = [(Resize::Stretch, "stretch"), (Resize::Crop, "crop"), (Resize::Pad, "pad")];

impl FromStr for Resize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = RESIZES.iter().find(|(_, name)| *name == text).map(|(resize, _)| *resize);
        found.ok_or_else(|| Error::option("resize", "stretch, crop or pad", text))
    }
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(RESIZES.iter().find(|(resize, _)| resize == self).map_or("", |(_, name)| name))
    }
}

/// Red, green and blue: `black`, `white`, `grey`, or as `#rrggbb`. Black by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

const COLOURS: [(&str, u8); 3] = [("black", 0), ("grey", 128), ("white", 255)];

impl FromStr for Colour {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = COLOURS.iter().find(|(name, _)| *name == text).map(|(_, value)| Colour([*value; 3]));
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && !digits.starts_with('+'));
        let numbered = || {
            let [_, bytes @ ..] = u32::from_str_radix(digits?, 16).ok()?.to_be_bytes();
            Some(Colour(bytes))
        };
        named.or_else(numbered).ok_or_else(|| Error::option("colour", "black, white, grey or #rrggbb", text))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b] = self.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

impl Preparation {
    /// The values `[C, H, W]` in `[0, 1]` of a JPEG, PNG, BMP, GIF or WebP file; of several pictures in it, the first.
    ///
    /// Errors: a file that cannot be read or decoded; a coloured picture for a network of one channel, unless
    /// [`grey`](Self::grey) says so; a network of neither one nor three channels.
    pub fn read(&self, path: impl AsRef<Path>, shape: [usize; 3]) -> Result<Vec<f32>> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
        self.decode(&bytes, shape).map_err(|reason| Error::data(path, reason))
    }

    fn decode(&self, bytes: &[u8], shape: [usize; 3]) -> Result<Vec<f32>, String> {
        let [channels, h, w] = shape;
        if channels != 1 && channels != 3 {
            return Err(format!("expected a network of 1 or 3 channels for a picture file, found one of {channels}"));
        }
        let picture = over(&decoded(bytes)?, self.background);
        let is_coloured = |Rgb([r, g, b]): &Rgb<u8>| r != g || g != b;
        if channels == 1 && !self.grey && picture.pixels().any(is_coloured) {
            let reason =
                "a coloured picture, for a network of one channel: say --grey to mix red, green and blue to grey";
            return Err(reason.into());
        }
        let picture = self.resized(picture, [w as u32, h as u32]);
        let value = |pixel: &Rgb<u8>, channel: usize| {
            let [r, g, b] = pixel.0.map(u32::from);
            let byte = if channels == 1 { (299 * r + 587 * g + 114 * b + 500) / 1000 } else { pixel.0[channel].into() };
            let v = byte as f32 / 255.0;
            if self.invert { 1.0 - v } else { v }
        };
        Ok((0..channels).flat_map(|channel| picture.pixels().map(move |pixel| value(pixel, channel))).collect())
    }

    fn resized(&self, picture: RgbImage, [w, h]: [u32; 2]) -> RgbImage {
        let [from_w, from_h] = [picture.width(), picture.height()].map(f64::from);
        let [across, down] = [f64::from(w) / from_w, f64::from(h) / from_h];
        let part = |whole: f64, share: f64| ((whole * share).round() as u32).clamp(1, whole as u32);
        match self.resize {
            Resize::Stretch => triangle(&picture, [w, h]),
            Resize::Crop => {
                let [cut_w, cut_h] = [part(from_w, down / across), part(from_h, across / down)];
                let [x, y] = [(picture.width() - cut_w) / 2, (picture.height() - cut_h) / 2];
                triangle(&imageops::crop_imm(&picture, x, y, cut_w, cut_h).to_image(), [w, h])
            }
            Resize::Pad => {
                let [new_w, new_h] = [part(w.into(), down / across), part(h.into(), across / down)];
                let mut padded = RgbImage::from_pixel(w, h, Rgb(self.background.0));
                let [x, y] = [(w - new_w) / 2, (h - new_h) / 2];
                imageops::replace(&mut padded, &triangle(&picture, [new_w, new_h]), x.into(), y.into());
                padded
            }
        }
    }
}

fn triangle(picture: &RgbImage, [w, h]: [u32; 2]) -> RgbImage {
    match picture.dimensions() == (w, h) {
        true => picture.clone(),
        false => imageops::resize(picture, w, h, FilterType::Triangle),
    }
}

fn decoded(bytes: &[u8]) -> Result<DynamicImage, String> {
    let words = |error: image::ImageError| error.to_string();
    let mut reader =
        ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    if reader.format().is_none() {
        let found = if bytes.is_empty() { "an empty file" } else { "none of them" };
        return Err(format!("expected JPEG, PNG, BMP, GIF or WebP by its first bytes, found {found}"));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(words)?;
    let (w, h) = decoder.dimensions();
    let too_large = |_| format!("expected a picture of up to {} MiB, found {w}x{h} pixels", MOST_BYTES >> 20);
    limits.reserve(decoder.total_bytes()).map_err(too_large)?;
    if w == 0 || h == 0 {
        return Err(format!("expected a picture, found {w}x{h} pixels"));
    }
    // A picture whose EXIF data is damaged is upright.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(words)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Over the background where it is transparent.
fn over(picture: &DynamicImage, Colour(background): Colour) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let picture = picture.to_rgba8();
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, alpha] = picture.get_pixel(x, y).0.map(u32::from);
        let mix = |v: u32, behind: u8| ((v * alpha + u32::from(behind) * (255 - alpha) + 127) / 255) as u8;
        Rgb([mix(r, background[0]), mix(g, background[1]), mix(b, background[2])])
    })
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageEncoder};

    use super::*;

    /// A PNG file of pixels of so many bytes.
    fn png(size: [u32; 2], pixels: &[u8], colour: ExtendedColorType) -> Vec<u8> {
        let mut bytes = vec![];
        let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        encoder.write_image(pixels, size[0], size[1], colour).unwrap();
        bytes
    }

    fn bytes(values: Vec<f32>) -> Vec<u8> {
        values.into_iter().map(|v| (v * 255.0).round() as u8).collect()
    }

    #[test]
    fn values_are_those_of_the_file_unless_asked_otherwise() {
        let grey = png([2, 1], &[0, 200], ExtendedColorType::L8);
        let usual = Preparation::default();
        assert_eq!(bytes(usual.decode(&grey, [1, 1, 2]).unwrap()), [0, 200]);
        assert_eq!(bytes(usual.decode(&grey, [3, 1, 2]).unwrap()), [0, 200, 0, 200, 0, 200]);
        assert_eq!(bytes(Preparation { invert: true, ..usual }.decode(&grey, [1, 1, 2]).unwrap()), [255, 55]);
    }

    #[test]
    fn colours_become_grey_only_if_asked() {
        let red = png([1, 1], &[255, 0, 0], ExtendedColorType::Rgb8);
        let usual = Preparation::default();
        let refused = usual.decode(&red, [1, 1, 1]).unwrap_err();
        assert!(refused.contains("coloured") && refused.contains("--grey"), "{refused}");
        assert_eq!(bytes(Preparation { grey: true, ..usual }.decode(&red, [1, 1, 1]).unwrap()), [76]);
        assert_eq!(bytes(usual.decode(&red, [3, 1, 1]).unwrap()), [255, 0, 0]);
        // Grey that is stored in colours is grey.
        let stored = png([1, 1], &[9, 9, 9], ExtendedColorType::Rgb8);
        assert_eq!(bytes(usual.decode(&stored, [1, 1, 1]).unwrap()), [9]);
        assert!(usual.decode(&red, [2, 1, 1]).unwrap_err().contains("one of 2"));
    }

    #[test]
    fn sizes_are_stretched_cropped_or_padded() {
        // Four columns of one value each, two rows.
        let wide = png([4, 2], &[10, 20, 30, 40, 10, 20, 30, 40], ExtendedColorType::L8);
        let of = |resize| Preparation { resize, background: Colour([255; 3]), ..Preparation::default() };
        assert_eq!(bytes(of(Resize::Crop).decode(&wide, [1, 2, 2]).unwrap()), [20, 30, 20, 30]);
        let padded = bytes(of(Resize::Pad).decode(&wide, [1, 4, 4]).unwrap());
        assert_eq!(padded, [[255; 4], [10, 20, 30, 40], [10, 20, 30, 40], [255; 4]].concat());
        let stretched = bytes(of(Resize::Stretch).decode(&wide, [1, 2, 2]).unwrap());
        assert!(stretched[0] < stretched[1] && stretched[..2] == stretched[2..], "{stretched:?}");
        for resize in [Resize::Stretch, Resize::Crop, Resize::Pad] {
            for size in [[1, 1], [1, 9], [9, 1]] {
                let picture = png(size, &[7; 9][..(size[0] * size[1]) as usize], ExtendedColorType::L8);
                assert_eq!(of(resize).decode(&picture, [1, 3, 5]).unwrap().len(), 15);
            }
            assert_eq!(resize.to_string().parse::<Resize>().unwrap(), resize);
        }
    }

    #[test]
    fn transparent_pictures_lie_over_the_background() {
        let clear = png([2, 1], &[0, 0, 0, 0, 0, 0, 0, 255], ExtendedColorType::Rgba8);
        let over = |background: &str| {
            let preparation = Preparation { background: background.parse().unwrap(), ..Preparation::default() };
            bytes(preparation.decode(&clear, [1, 1, 2]).unwrap())
        };
        assert_eq!((over("white"), over("#000000")), (vec![255, 0], vec![0, 0]));
        assert!("#+12345".parse::<Colour>().is_err() && "red".parse::<Colour>().is_err());
        assert_eq!(Colour([1, 2, 255]).to_string(), "#0102ff");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let whole = png([9, 9], &[7; 81], ExtendedColorType::L8);
        let refused = |bytes: &[u8]| Preparation::default().decode(bytes, [1, 1, 1]).unwrap_err();
        assert!(refused(b"").contains("an empty file"));
        assert!(refused(b"no picture").contains("JPEG, PNG, BMP, GIF or WebP"));
        for length in 8..whole.len() - 12 {
            assert!(!refused(&whole[..length]).is_empty());
        }
    }
}
