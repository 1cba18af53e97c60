//! One small network with each way of halving maps, to compare them on equal terms.

use crate::Padding::Same;
use crate::nn::Sequential;

/// Halved by the stride of its convolutions: 51,434 parameters, as those that pool.
///
/// Springenberg, Dosovitskiy, Brox and Riedmiller 2015 (arXiv:1412.6806), the "strided" form of their comparison.
pub fn downsample_strided() -> Sequential {
    build("downsample-strided", |s, filters| s.conv2d(filters, 3).stride(2).padding(Same).relu())
}

/// Halved by the means of windows of 2x2.
pub fn downsample_average() -> Sequential {
    build("downsample-average", |s, filters| s.conv2d(filters, 3).padding(Same).relu().avg_pool2d(2))
}

/// Halved by the maxima of windows of 2x2.
pub fn downsample_max() -> Sequential {
    build("downsample-max", |s, filters| s.conv2d(filters, 3).padding(Same).relu().max_pool2d(2))
}

/// Two convolutions with maps of half the size after each, one more, and the classes.
fn build(name: &str, halved: impl Fn(Sequential, usize) -> Sequential) -> Sequential {
    let stem = halved(Sequential::new([1, 28, 28]).named(name), 16);
    halved(stem, 48).conv2d(48, 3).padding(Same).relu().flatten().dense(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Summary;

    #[test]
    fn parameters_and_maps_are_the_same_and_the_work_is_not() {
        let of = |model| Summary::of(&model).unwrap();
        let [strided, average, max] = [downsample_strided(), downsample_average(), downsample_max()].map(of);
        for summary in [&strided, &average, &max] {
            assert_eq!(summary.parameters, 160 + 6_960 + 20_784 + 23_530);
            let last = summary.rows.iter().rfind(|row| row.kind.starts_with("conv2d")).unwrap();
            assert_eq!(last.output, [48, 7, 7]);
        }
        assert!(strided.multiply_adds < average.multiply_adds.min(max.multiply_adds));
    }
}
