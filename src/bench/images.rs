//! Images, labels and initial parameters from a counter-based hash. They are the same in any engine and language, so
//! that benchmarks of several engines do the same work and can compare losses.

use crate::Result;
use crate::data::Dataset;
use crate::nn::{Layout, Stored};

/// Number of images.
pub const IMAGES: usize = 8192;

fn hash(i: u32, seed: u32) -> u32 {
    let mut x = i ^ seed.wrapping_mul(0x9E37_79B9);
    x ^= x >> 16;
    x = x.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 13;
    x = x.wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}

/// A pseudorandom number in `[0, 1)`.
fn unit(i: u32, seed: u32) -> f32 {
    (hash(i, seed) >> 8) as f32 / 16_777_216.0
}

/// A data set of [`IMAGES`] images of this shape: noise with two bright rows, which indicate the class of four images
/// in five.
///
/// Errors: an invalid number of classes.
pub fn images(shape: [usize; 3], classes: usize) -> Result<Dataset> {
    let number = classes.clamp(1, 256) as u32;
    let [_, h, w] = shape;
    let pixels: usize = shape.iter().product();
    let class = |n: u32| hash(n, 2) % number;
    let pixel = |at: usize| {
        let row = (at % (h * w) / w) as u32;
        let first = 2 * class((at / pixels) as u32) + 4;
        let bright = if row == first || row == first + 1 { 128 } else { 0 };
        (hash(at as u32, 1) & 127) as u8 + bright
    };
    let label = |n: u32| if hash(n, 3).is_multiple_of(5) { hash(n, 4) % number } else { class(n) } as u8;
    let images = (0..IMAGES * pixels).map(pixel).collect();
    Dataset::new(images, (0..IMAGES as u32).map(label).collect(), shape, classes)
}

/// Initial values of all parameters, flat. The k-th tensor with two or more axes is uniform in ±1/√fan_in, in the
/// element order of weight files; all others keep the values of `layout` (biases 0).
pub fn parameters(layout: &Layout) -> Vec<f32> {
    let mut flat = layout.initial(1);
    let mut tensor = 0;
    for (spec, range) in layout.parameters() {
        if spec.shape.len() < 2 {
            continue;
        }
        let bound = 1.0 / (spec.fans[0] as f32).sqrt();
        let (rows, columns) = (spec.shape[0], range.len() / spec.shape[0]);
        for (at, value) in flat[range].iter_mut().enumerate() {
            let stored = match spec.stored {
                Stored::AsIs => at,
                Stored::Transposed => at % columns * rows + at / columns,
            };
            *value = (2.0 * unit(stored as u32, 100 + tensor) - 1.0) * bound;
        }
        tensor += 1;
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_those_of_the_rule() {
        let data = images([1, 28, 28], 10).unwrap();
        assert_eq!((data.len(), data.classes), (IMAGES, 10));
        let bright = |n: usize, row: usize| data.image(n)[row * 28..][..28].iter().all(|&p| p >= 128);
        let class = |n: usize| (hash(n as u32, 2) % 10) as usize;
        assert!((0..50).all(|n| (0..28).all(|r| bright(n, r) == (r / 2 == class(n) + 2))));
        let told = (0..IMAGES).filter(|&n| usize::from(data.labels[n]) == class(n)).count();
        assert!((0.79..0.85).contains(&(told as f64 / IMAGES as f64)), "{told}");
    }

    #[test]
    fn parameters_are_in_the_order_of_weight_files() {
        let layout = Layout::of(&crate::models::lenet5()).unwrap();
        let flat = parameters(&layout);
        let of = |name: &str| {
            let (_, range) = layout.parameters().find(|(s, _)| s.name == name).unwrap();
            &flat[range]
        };
        let value = |j: u32, k: u32, fan_in: f32| (2.0 * unit(j, 100 + k) - 1.0) * (1.0 / fan_in.sqrt());
        assert_eq!(of("conv1.weight")[7], value(7, 0, 25.0));
        // In memory as [in, out] = [400, 120]; files have [out, in].
        assert_eq!(of("fc1.weight")[120 * 3 + 5], value(5 * 400 + 3, 2, 400.0));
        assert!(of("fc1.bias").iter().all(|&b| b == 0.0));
    }
}
