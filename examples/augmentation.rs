//! A sheet of augmented training images: `cargo run --release --example augmentation -- rotate:20,zoom:0.8:1.2
//! FILE.png`. Each row starts with the original image.

use lenslet::data::{Augment, Dataset, Mnist};
use lenslet::{Device, Error, Result, infer};

const TIMES: usize = 11;
/// Magnification of the images on the sheet.
const SCALE: usize = 3;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usual = "rotate:15,shift:0.1,shear:10,zoom:0.8:1.2".to_string();
    let augment: Augment = arguments.next().unwrap_or(usual).parse()?;
    let path = arguments.next().unwrap_or("augmented.png".into());

    let digits = Mnist::bundled()?.train;
    let first = |class: u8| digits.labels.iter().position(|label| *label == class).map(|i| i as u32);
    let numbers: Vec<u32> = (0..10).filter_map(first).collect();
    let device = Device::choose("auto")?;
    let varied = infer::augmented(&device, &digits, augment, &numbers, TIMES, 1)?;
    let rows: Vec<Vec<&[u8]>> =
        numbers.iter().enumerate().map(|(row, &number)| row_of(&digits, number, &varied, row)).collect();

    let [_, h, w] = digits.shape;
    let (width, height) = ((TIMES + 1) * (w + 1) * SCALE, rows.len() * (h + 1) * SCALE);
    let sheet = image::GrayImage::from_fn(width as u32, height as u32, |x, y| {
        let [x, y] = [x, y].map(|v| v as usize / SCALE);
        let is_gap = x % (w + 1) == w || y % (h + 1) == h;
        image::Luma([if is_gap { 96 } else { rows[y / (h + 1)][x / (w + 1)][y % (h + 1) * w + x % (w + 1)] }])
    });
    sheet.save(&path).map_err(|e| Error::data(&path, format!("cannot write it: {e}")))?;
    println!("{path}: {augment}, on {}", device.name());
    Ok(())
}

fn row_of<'a>(digits: &'a Dataset, number: u32, varied: &'a Dataset, row: usize) -> Vec<&'a [u8]> {
    let variations = (0..TIMES).map(|t| varied.image(row * TIMES + t));
    [digits.image(number as usize)].into_iter().chain(variations).collect()
}
