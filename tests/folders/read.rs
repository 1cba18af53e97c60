//! Decoded values of images.

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use lenslet::data::folder::{Color, Options, Resize};

use crate::place::{FORMATS, encoded, pixels, png};

/// A 4x4 image, red in the upper half and blue in the lower half.
fn halves() -> RgbImage {
    RgbImage::from_fn(4, 4, |_, y| if y < 2 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) })
}

fn near(found: &[u8], expected: &[u8], most: u8) {
    assert_eq!(found.len(), expected.len());
    let apart = found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(apart <= most, "{found:?} is {apart} from {expected:?}");
}

#[test]
fn all_five_formats_become_planes_of_red_green_and_blue() {
    let rows = |above: u8, below: u8| [[above; 8], [below; 8]].concat();
    let expected = [rows(255, 0), rows(0, 0), rows(0, 255)].concat();
    for (extension, format) in FORMATS {
        let file = encoded(&halves().into(), format);
        // The format is detected from the content, not the extension.
        for name in [format!("x.{extension}"), "x.PNG".to_string()] {
            let found = pixels(&name, &file, [3, 4, 4], &Options::default()).unwrap();
            // JPEG mixes colors of adjacent pixels.
            near(&found, &expected, if format == ImageFormat::Jpeg { 100 } else { 0 });
        }
    }
}

#[test]
fn gray_mixes_colors_and_copies_grey() {
    let colors = [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([77; 3], 77), ([255; 3], 255)];
    for (color, expected) in colors {
        assert_eq!(pixels("x.png", &png(3, 2, color), [1, 2, 2], &Options::default()).unwrap(), [expected; 4]);
    }
}

#[test]
fn sixteen_bits_are_narrowed_to_the_nearest() {
    for (value, expected) in [(0u16, 0u8), (127, 0), (129, 1), (257 * 200, 200), (65_535, 255), (65_400, 254)] {
        let image = ImageBuffer::<Luma<u16>, _>::from_pixel(2, 2, Luma([value]));
        let file = encoded(&DynamicImage::ImageLuma16(image), ImageFormat::Png);
        let found = pixels("x.png", &file, [3, 2, 2], &Options::default()).unwrap();
        assert_eq!(found, [expected; 12], "{value}");
    }
}

#[test]
fn what_is_transparent_shows_the_background() {
    let image = RgbaImage::from_fn(2, 1, |x, _| Rgba([200, 100, 0, if x == 0 { 0 } else { 51 }]));
    let file = encoded(&image.into(), ImageFormat::Png);
    let options = Options { background: Color([10, 20, 30]), ..Options::default() };
    assert_eq!(pixels("x.png", &file, [3, 1, 2], &options).unwrap(), [10, 48, 20, 36, 30, 24]);
}

#[test]
fn shrinking_averages_and_growing_interpolates() {
    // Stripes of one pixel: without antialiasing the result would be black or white.
    let stripes = RgbImage::from_fn(64, 64, |x, _| Rgb([if x % 2 == 0 { 0 } else { 255 }; 3]));
    let found = pixels("x.png", &encoded(&stripes.into(), ImageFormat::Png), [1, 8, 8], &Options::default()).unwrap();
    near(&found, &[128; 64], 6);
    let two = RgbImage::from_fn(2, 1, |x, _| Rgb([if x == 0 { 0 } else { 200 }; 3]));
    let found = pixels("x.png", &encoded(&two.into(), ImageFormat::Png), [1, 1, 4], &Options::default()).unwrap();
    near(&found, &[0, 50, 150, 200], 1);
}

#[test]
fn stretched_cropped_and_padded() {
    // Black, white, white, black.
    let image = RgbImage::from_fn(8, 2, |x, _| Rgb([if (2..6).contains(&x) { 255 } else { 0 }; 3]));
    let file = encoded(&image.into(), ImageFormat::Png);
    let of = |resize| {
        let options = Options { resize, background: Color([9; 3]), ..Options::default() };
        pixels("x.png", &file, [1, 4, 4], &options).unwrap()
    };
    let stretched = of(Resize::Stretch);
    assert!(stretched.chunks(4).all(|row| row[0] < 90 && row[1] > 160 && row[2] > 160 && row[3] < 90), "{stretched:?}");
    near(&of(Resize::Crop), &[255; 16], 20);
    let padded = of(Resize::Pad);
    assert_eq!((&padded[..4], &padded[8..]), (&[9; 4][..], &[9; 8][..]), "one row of 4, its upper half left");
    assert_eq!(padded[4..8], stretched[..4]);
}

#[test]
fn a_photo_is_turned_upright() {
    // Dark on the left, bright on the right, stored rotated as cameras do: orientation 6, a quarter turn clockwise.
    let upright = RgbImage::from_fn(16, 32, |x, _| Rgb([if x < 8 { 20 } else { 220 }; 3]));
    let stored = image::imageops::rotate270(&upright);
    let jpeg = encoded(&stored.into(), ImageFormat::Jpeg);
    let tiff: [&[u8]; 3] = [b"MM\0\x2a\0\0\0\x08\0\x01", b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0", b"\0\0\0\0"];
    let exif = [b"Exif\0\0".to_vec(), tiff.concat()].concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let with_exif = [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat();
    // The triangle filter of a pixel extends into its neighbor.
    let found = pixels("x.jpg", &with_exif, [1, 2, 2], &Options::default()).unwrap();
    near(&found, &[49, 191, 49, 191], 4);
    let lying = pixels("x.jpg", &jpeg, [1, 2, 2], &Options::default()).unwrap();
    near(&lying, &[191, 191, 49, 49], 4);
}
