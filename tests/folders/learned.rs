//! Training of a small network on image files.

use image::{ImageFormat, Rgb, RgbImage};
use lenslet::data::folder::{Options, load};
use lenslet::nn::Sequential;
use lenslet::optim::Adam;
use lenslet::{Device, ShaderChecks, Trainer};

use crate::common;
use crate::place::{FORMATS, Place, encoded};

/// A disc, a square or a bar with varying position, color and background.
fn shape(class: usize, i: u32) -> RgbImage {
    let random =
        |salt: u32, most: u32| ((i * 7919 + salt * 104_729 + 13).wrapping_mul(2_654_435_761) >> 8) & (0xffff % most);
    let random = |salt, most: u32| random(salt, 0x1_0000) % most;
    let (x0, y0, radius) = (14 + random(1, 12) as i32, 14 + random(2, 12) as i32, 6 + random(3, 4) as i32);
    let color = Rgb([4, 5, 6].map(|salt| 150 + random(salt, 100) as u8));
    RgbImage::from_fn(40, 40, |x, y| {
        let (dx, dy) = ((x as i32 - x0).abs(), (y as i32 - y0).abs());
        let inside = match class {
            0 => dx * dx + dy * dy <= radius * radius,
            1 => (dx.max(dy) <= radius) && dx.max(dy) > radius - 3,
            _ => dx <= radius && dy <= 1,
        };
        if inside { color } else { Rgb([20 + random(7, 60) as u8; 3]) }
    })
}

#[test]
fn shapes_are_learned_from_files_of_five_formats() {
    let place = Place::new();
    for (class, name) in ["disc", "frame", "line"].into_iter().enumerate() {
        for i in 0..90 {
            let (extension, format): (&str, ImageFormat) = FORMATS[i as usize % 5];
            place.put(&format!("{name}/{i}.{extension}"), &encoded(&shape(class, i).into(), format));
        }
    }
    let sets = load(place.data(), [3, 16, 16], 1, &place.cached(&Options::default()), &|_, _| ()).unwrap();
    assert_eq!(sets.train.names, ["disc", "frame", "line"]);
    let model = Sequential::new([3, 16, 16]).conv2d(8, 3).relu().max_pool2d(2).conv2d(8, 3).relu().flatten().dense(3);
    let gpu = common::gpu(ShaderChecks::Trusted).map(Device::Gpu);
    for device in [Device::Cpu].into_iter().chain(gpu) {
        let mut trainer = Trainer::new(&device, &model, Adam::new(0.003)).unwrap().batch_size(16);
        let report = trainer.fit((&sets.train, sets.validation.as_ref().unwrap()), 8).unwrap();
        let validated = report.epochs.last().unwrap().validation.as_ref().unwrap();
        let images: usize = validated.confusion.iter().flatten().sum();
        assert_eq!(images, sets.validation.as_ref().unwrap().len());
        let tested = trainer.evaluate(&sets.test).unwrap();
        assert!(tested.accuracy > 0.9, "{}: {}", device.name(), tested.accuracy);
    }
}
