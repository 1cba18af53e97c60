//! Per-channel mean and standard deviation of a data set.

use crate::data::Dataset;
use crate::{Error, Result};

/// Bytes of images processed together.
const PART: usize = 1 << 20;

impl Dataset {
    /// The mean and standard deviation of each channel over all pixels of the images with these indices, with white =
    /// 1: the arguments of [`Layer::normalize`](crate::nn::Layer::normalize). The standard deviation is that of the
    /// population (divisor N). The sums are exact integers, so both are within one unit in the last place of the exact
    /// values. Panics if an index is not below [`Dataset::len`].
    ///
    /// Errors: no indices; those of [`Dataset::read`].
    pub fn moments(&self, numbers: &[u32]) -> Result<Vec<[f64; 2]>> {
        if numbers.is_empty() {
            return Err(Error::option("images", "at least one", "none"));
        }
        let [channels, h, w] = self.shape;
        let (image, mut sums) = (self.image_len(), vec![[0u64; 2]; channels]);
        let together = (PART / image).clamp(1, numbers.len());
        let mut bytes = vec![0; together * image];
        for numbers in numbers.chunks(together) {
            let bytes = &mut bytes[..numbers.len() * image];
            self.read(numbers, bytes)?;
            for (number, plane) in bytes.chunks(h * w).enumerate() {
                let [sum, squares] = &mut sums[number % channels];
                *sum += plane.iter().map(|&v| u64::from(v)).sum::<u64>();
                *squares += plane.iter().map(|&v| u64::from(v) * u64::from(v)).sum::<u64>();
            }
        }
        let n = numbers.len() as u128 * (h * w) as u128;
        let moments = |[sum, squares]: [u64; 2]| {
            let spread = n * u128::from(squares) - u128::from(sum).pow(2);
            [sum as f64 / n as f64 / 255.0, (spread as f64).sqrt() / n as f64 / 255.0]
        };
        Ok(sums.into_iter().map(moments).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_each_channel_of_the_images_asked_for() {
        // Two channels of two pixels each.
        let data = Dataset::new(vec![0, 255, 7, 7, 51, 102, 7, 9, 3, 4, 5, 6], vec![0; 3], [2, 1, 2], 1).unwrap();
        let near = |found: Vec<[f64; 2]>, expected: [[f64; 2]; 2]| {
            let pairs = found.iter().flatten().zip(expected.as_flattened());
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-15), "{found:?} {expected:?}");
        };
        near(data.moments(&[0]).unwrap(), [[0.5, 0.5], [7.0 / 255.0, 0.0]]);
        near(data.moments(&[1, 1]).unwrap(), [[0.3, 0.1], [8.0 / 255.0, 1.0 / 255.0]]);
        assert!(data.moments(&[]).unwrap_err().to_string().contains("images: expected at least one"));
    }

    #[test]
    fn many_images_are_looked_at_part_by_part() {
        let images: Vec<u8> = (0..5 * 700_000).map(|i| (i % 256) as u8).collect();
        let mean = images.iter().map(|&v| f64::from(v)).sum::<f64>() / images.len() as f64;
        let squares = images.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / images.len() as f64;
        let data = Dataset::new(images, vec![0; 5], [1, 700, 1000], 1).unwrap();
        let [found_mean, deviation] = data.moments(&[4, 0, 2, 1, 3]).unwrap()[0];
        assert!((found_mean * 255.0 - mean).abs() < 1e-9);
        assert!((deviation * 255.0 - (squares - mean * mean).sqrt()).abs() < 1e-6);
    }
}
