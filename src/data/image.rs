//! Conversion of an image file to a network's input.

use std::path::Path;

pub use crate::data::folder::decode::GRAY_REMEDY;
use crate::data::folder::decode::{Failure, Taking, decode, pixels};
use crate::data::folder::{Color, Resize};
use crate::{Error, Result};

/// The conversion of an image to a network's input. Nothing is detected automatically: dark ink on white paper is
/// inverted only if `invert` is set.
///
/// Steps, in order: apply the EXIF orientation; composite transparent pixels over the background; convert to grayscale;
/// resize with an antialiasing triangle filter; invert; scale to `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preparation {
    /// The method of resizing to the network's input.
    pub resize: Resize,
    /// The color behind transparent pixels and around padded images.
    pub background: Color,
    /// Whether color images may be converted to grayscale by Rec. 601 (0.299 R + 0.587 G + 0.114 B).
    pub gray: bool,
    /// Whether values v are replaced by 1 - v.
    pub invert: bool,
}

impl Default for Preparation {
    /// Stretched, on black, no conversion to grayscale.
    fn default() -> Self {
        Self { resize: Resize::Stretch, background: Color([0; 3]), gray: false, invert: false }
    }
}

impl Preparation {
    /// Reads a JPEG, PNG, BMP, GIF or WebP file as values `[C, H, W]` in `[0, 1]`. Only the first image of a file is
    /// used. Gives the same values as [`folder`](crate::data::folder) for the same file.
    ///
    /// Errors: the file cannot be read or decoded; a color image for a network of one channel without
    /// [`gray`](Self::gray); a network with neither one nor three channels.
    pub fn read(&self, path: impl AsRef<Path>, shape: [usize; 3]) -> Result<Vec<f32>> {
        let path = path.as_ref();
        check(shape).map_err(|reason| Error::data(path, reason))?;
        match decode(path, shape, self.taking()) {
            Ok(bytes) => Ok(self.values(&bytes)),
            Err(Failure::Content(reason)) => Err(Error::data(path, reason)),
            Err(Failure::File(reason)) => Err(Error::io(path, "read")(reason)),
        }
    }

    /// Decodes the content of an image file. See [`Preparation::read`].
    ///
    /// Errors: as for [`Preparation::read`], as text.
    pub fn decode(&self, bytes: &[u8], shape: [usize; 3]) -> Result<Vec<f32>, String> {
        check(shape)?;
        Ok(self.values(&pixels(bytes, shape, self.taking())?))
    }

    fn taking(&self) -> Taking {
        let Self { resize, background, gray, .. } = *self;
        Taking { resize, background, gray }
    }

    fn values(&self, bytes: &[u8]) -> Vec<f32> {
        let value = |&byte: &u8| f32::from(if self.invert { 255 - byte } else { byte }) / 255.0;
        bytes.iter().map(value).collect()
    }
}

fn check([channels, ..]: [usize; 3]) -> Result<(), String> {
    match channels {
        1 | 3 => Ok(()),
        _ => Err(format!("expected a network with 1 or 3 input channels for an image file, found {channels}")),
    }
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageEncoder};

    use super::*;

    /// A PNG file of `pixels`, packed without gaps.
    fn png(size: [u32; 2], pixels: &[u8], color: ExtendedColorType) -> Vec<u8> {
        let mut bytes = vec![];
        let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        encoder.write_image(pixels, size[0], size[1], color).unwrap();
        bytes
    }

    fn bytes(values: Vec<f32>) -> Vec<u8> {
        values.into_iter().map(|v| (v * 255.0).round() as u8).collect()
    }

    #[test]
    fn values_are_those_of_the_file_unless_asked_otherwise() {
        let gray = png([2, 1], &[0, 200], ExtendedColorType::L8);
        let usual = Preparation::default();
        assert_eq!(bytes(usual.decode(&gray, [1, 1, 2]).unwrap()), [0, 200]);
        assert_eq!(bytes(usual.decode(&gray, [3, 1, 2]).unwrap()), [0, 200, 0, 200, 0, 200]);
        assert_eq!(bytes(Preparation { invert: true, ..usual }.decode(&gray, [1, 1, 2]).unwrap()), [255, 55]);
    }

    #[test]
    fn colors_become_gray_only_if_asked() {
        let red = png([1, 1], &[255, 0, 0], ExtendedColorType::Rgb8);
        let usual = Preparation::default();
        let refused = usual.decode(&red, [1, 1, 1]).unwrap_err();
        assert!(refused.contains("color image") && refused.ends_with(GRAY_REMEDY), "{refused}");
        assert_eq!(bytes(Preparation { gray: true, ..usual }.decode(&red, [1, 1, 1]).unwrap()), [76]);
        assert_eq!(bytes(usual.decode(&red, [3, 1, 1]).unwrap()), [255, 0, 0]);
        // Gray stored as RGB is gray.
        let stored = png([1, 1], &[9, 9, 9], ExtendedColorType::Rgb8);
        assert_eq!(bytes(usual.decode(&stored, [1, 1, 1]).unwrap()), [9]);
        assert!(
            usual.decode(&red, [2, 1, 1]).unwrap_err().contains("1 or 3 input channels for an image file, found 2")
        );
    }

    #[test]
    fn sizes_are_stretched_cropped_or_padded() {
        // Four columns with a constant value each, two rows.
        let wide = png([4, 2], &[10, 20, 30, 40, 10, 20, 30, 40], ExtendedColorType::L8);
        let of = |resize| Preparation { resize, background: Color([255; 3]), ..Preparation::default() };
        assert_eq!(bytes(of(Resize::Crop).decode(&wide, [1, 2, 2]).unwrap()), [20, 30, 20, 30]);
        let padded = bytes(of(Resize::Pad).decode(&wide, [1, 4, 4]).unwrap());
        assert_eq!(padded, [[255; 4], [10, 20, 30, 40], [10, 20, 30, 40], [255; 4]].concat());
        let stretched = bytes(of(Resize::Stretch).decode(&wide, [1, 2, 2]).unwrap());
        assert!(stretched[0] < stretched[1] && stretched[..2] == stretched[2..], "{stretched:?}");
        for resize in [Resize::Stretch, Resize::Crop, Resize::Pad] {
            for size in [[1, 1], [1, 9], [9, 1]] {
                let image = png(size, &[7; 9][..(size[0] * size[1]) as usize], ExtendedColorType::L8);
                assert_eq!(of(resize).decode(&image, [1, 3, 5]).unwrap().len(), 15);
            }
            assert_eq!(resize.to_string().parse::<Resize>().unwrap(), resize);
        }
    }

    #[test]
    fn transparent_images_lie_over_the_background() {
        let clear = png([2, 1], &[0, 0, 0, 0, 0, 0, 0, 255], ExtendedColorType::Rgba8);
        let over = |background: &str| {
            let preparation = Preparation { background: background.parse().unwrap(), ..Preparation::default() };
            bytes(preparation.decode(&clear, [1, 1, 2]).unwrap())
        };
        assert_eq!((over("white"), over("#000000")), (vec![255, 0], vec![0, 0]));
        assert!("#+12345".parse::<Color>().is_err() && "red".parse::<Color>().is_err());
        assert_eq!(Color([1, 2, 255]).to_string(), "#0102ff");
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let whole = png([9, 9], &[7; 81], ExtendedColorType::L8);
        let refused = |bytes: &[u8]| Preparation::default().decode(bytes, [1, 1, 1]).unwrap_err();
        assert!(refused(b"").contains("an empty file"));
        assert!(refused(b"no image").contains("JPEG, PNG, BMP, GIF or WebP"));
        for length in 8..whole.len() - 12 {
            assert!(!refused(&whole[..length]).is_empty());
        }
    }
}
