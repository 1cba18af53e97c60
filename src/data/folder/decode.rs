//! Decoding of an image file to the bytes of a data set.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgba};
use serde::{Deserialize, Serialize};

use crate::data::folder::options::{Color, Resize};

/// Maximum size in bytes of a file, and of a decoded image.
const MOST_BYTES: u64 = 512 << 20;

/// The end of the message for a color image that may not be converted to grayscale.
pub const GRAY_REMEDY: &str = "convert it, or allow the conversion to grayscale";

/// An image that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bad {
    /// Path relative to the data folder.
    pub path: String,
    /// The reason.
    pub reason: String,
}

/// The reason why an image could not be decoded.
pub enum Failure {
    /// Invalid content: permanent as long as the file does not change.
    Content(String),
    /// An I/O error.
    File(io::Error),
}

/// The conversion of a decoded image to a network's input.
#[derive(Clone, Copy)]
pub struct Taking {
    /// The method of resizing.
    pub resize: Resize,
    /// The color behind transparent pixels and around padded images.
    pub background: Color,
    /// Whether color images may be converted to grayscale.
    pub gray: bool,
}

/// Decodes an image file to bytes `[C, H, W]`.
pub fn decode(path: &Path, shape: [usize; 3], taking: Taking) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![];
    File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(Failure::File)?;
    pixels(&bytes, shape, taking).map_err(Failure::Content)
}

/// Decodes the content of an image file to bytes `[C, H, W]`, with C 1 or 3.
pub fn pixels(bytes: &[u8], shape: [usize; 3], taking: Taking) -> Result<Vec<u8>, String> {
    let ([channels, h, w], Taking { resize, background, gray: may_be_gray }) = (shape, taking);
    let image = read(bytes)?;
    let size = [image.width(), image.height()];
    let mut from = over(&image, background);
    drop(image);
    let mut behind = background.0.to_vec();
    if channels == 1 {
        let is_colored = |pixel: &[u8]| pixel[0] != pixel[1] || pixel[1] != pixel[2];
        if !may_be_gray && from.chunks_exact(3).any(is_colored) {
            return Err(format!("a color image for a network of one channel; {GRAY_REMEDY}"));
        }
        (from, behind) = (from.chunks_exact(3).map(gray).collect(), vec![gray(&behind)]);
    }

    let [from_w, from_h] = size.map(f64::from);
    let scale = (w as f64 / from_w).min(h as f64 / from_h);
    let [new_w, new_h] = match resize {
        Resize::Pad => [(from_w, w), (from_h, h)].map(|(of, most)| ((of * scale).round() as usize).clamp(1, most)),
        Resize::Stretch | Resize::Crop => [w, h],
    };
    let resized = resized(&from, size, [new_w, new_h], channels, resize)?;
    let (left, top) = ((w - new_w) / 2, (h - new_h) / 2);
    let mut planes = Vec::with_capacity(channels * h * w);
    for (channel, &behind) in behind.iter().enumerate() {
        let begin = planes.len();
        planes.resize(begin + h * w, behind);
        for (y, row) in resized.chunks_exact(new_w * channels).enumerate() {
            let to = &mut planes[begin + (top + y) * w + left..][..new_w];
            to.iter_mut().zip(row.chunks_exact(channels)).for_each(|(to, pixel)| *to = pixel[channel]);
        }
    }
    Ok(planes)
}

/// Decodes the content of a file and applies its EXIF orientation.
fn read(bytes: &[u8]) -> Result<DynamicImage, String> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};
    if bytes.is_empty() {
        return Err("an empty file".into());
    }
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("a file of more than {} MiB", MOST_BYTES >> 20));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    reader.limits(limits.clone());
    match reader.format() {
        // The decoder fills missing data instead of failing.
        Some(Jpeg) if !is_whole_jpeg(bytes) => return Err("a truncated JPEG file".into()),
        Some(Jpeg | Png | Bmp | Gif | WebP) => {}
        Some(other) => return Err(format!("expected JPEG, PNG, BMP, GIF or WebP by its first bytes, found {other:?}")),
        None => return Err("expected JPEG, PNG, BMP, GIF or WebP by its first bytes, found none of them".into()),
    }
    let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    limits.reserve(decoder.total_bytes()).map_err(|_| {
        let (w, h) = decoder.dimensions();
        format!("an image of {w}x{h}, more than {} MiB when decoded", MOST_BYTES >> 20)
    })?;
    // Damaged EXIF data counts as no rotation.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// RGB pixels, row by row, composited over the background.
fn over(image: &DynamicImage, background: Color) -> Vec<u8> {
    if !image.color().has_alpha() {
        return image.to_rgb8().into_raw();
    }
    let mix = |pixel: &Rgba<u8>| {
        let [red, green, blue, alpha] = pixel.0.map(u32::from);
        let mix = |v: u32, behind: u8| ((v * alpha + u32::from(behind) * (255 - alpha) + 127) / 255) as u8;
        [mix(red, background.0[0]), mix(green, background.0[1]), mix(blue, background.0[2])]
    };
    image.to_rgba8().pixels().flat_map(mix).collect()
}

/// Pixels of `channels` bytes, row by row, resized.
fn resized(
    from: &[u8],
    [w, h]: [u32; 2],
    [new_w, new_h]: [usize; 2],
    channels: usize,
    resize: Resize,
) -> Result<Vec<u8>, String> {
    if [w as usize, h as usize] == [new_w, new_h] {
        return Ok(from.to_vec());
    }
    let kind = if channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let mut options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    if resize == Resize::Crop {
        options = options.fit_into_destination(None);
    }
    let from = ImageRef::new(w, h, from, kind).map_err(|e| e.to_string())?;
    let mut to = Image::new(new_w as u32, new_h as u32, kind);
    Resizer::new().resize(&from, &mut to, &options).map_err(|e| e.to_string())?;
    Ok(to.into_vec())
}

fn gray(rgb: &[u8]) -> u8 {
    let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
}

/// Whether the markers of a JPEG file lead to its end marker.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    let mut at = 0;
    loop {
        // Entropy-coded data follows some segments; in it 0xff precedes only a zero or a restart marker.
        match bytes.get(at..at + 2) {
            None => return false,
            Some([0xff, 0xd9]) => return true,
            Some([0xff, 0x01 | 0xd0..=0xd8]) => at += 2,
            Some([0xff, 0xc0..=0xfe]) => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
            }
            Some(_) => at += 1,
        }
    }
}
