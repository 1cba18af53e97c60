//! The small network of three 3×3 convolutions that introductions to the field use, with and without pooling.

use crate::nn::Sequential;

/// Three convolutions with pooling between them: 93,322 parameters, over 99 % on MNIST.
///
/// Chollet, *Deep Learning with Python*, chapter 5.
pub fn convnet() -> Sequential {
    Sequential::new([1, 28, 28])
        .named("convnet")
        .conv2d(32, 3)
        .relu()
        .max_pool2d(2)
        .conv2d(64, 3)
        .relu()
        .max_pool2d(2)
        .conv2d(64, 3)
        .relu()
        .flatten()
        .dense(64)
        .relu()
        .dense(10)
}

/// The same without pooling, for comparison: the last convolution sees 7×7 pixels instead of 18×18, and
/// leaves 30,976 features for the dense layers instead of 576.
pub fn convnet_no_pool() -> Sequential {
    Sequential::new([1, 28, 28])
        .named("convnet-no-pool")
        .conv2d(32, 3)
        .relu()
        .conv2d(64, 3)
        .relu()
        .conv2d(64, 3)
        .relu()
        .flatten()
        .dense(64)
        .relu()
        .dense(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Summary;

    #[test]
    fn parameters_are_those_of_the_reference() {
        let summary = Summary::of(&convnet()).unwrap();
        let parameters: Vec<_> = summary.rows.iter().map(|r| r.parameters).collect();
        assert_eq!(parameters, [320, 0, 18_496, 0, 36_928, 0, 36_928, 650]);
        assert_eq!(summary.parameters, 93_322);
        let outputs: Vec<_> = summary.rows.iter().map(|r| r.output.as_slice()).collect();
        let expected: [&[usize]; 8] =
            [&[32, 26, 26], &[32, 13, 13], &[64, 11, 11], &[64, 5, 5], &[64, 3, 3], &[576], &[64], &[10]];
        assert_eq!(outputs, expected);
        assert_eq!(summary.rows[4].receptive_field, Some([18, 18]));
    }

    #[test]
    fn without_pooling_features_are_many_and_see_little() {
        let summary = Summary::of(&convnet_no_pool()).unwrap();
        let features = summary.rows.iter().find(|r| r.kind == "flatten").unwrap();
        assert_eq!((features.output.as_slice(), features.receptive_field), (&[30_976][..], Some([7, 7])));
        assert!(summary.to_string().contains("30,976"));
    }
}
