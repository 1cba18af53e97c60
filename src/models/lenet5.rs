//! LeNet-5 for 28×28 digits.

use crate::nn::Sequential;

/// LeNet-5: 61,706 parameters.
///
/// LeCun, Bottou, Bengio and Haffner 1998, *Gradient-based learning applied to document recognition*, section II.B, as
/// it is usually built today: every filter of the second convolution sees all maps, max pooling without weights, ReLU,
/// and a dense output layer. Two rows and columns of padding make the paper's 32×32 input of 28×28.
pub fn lenet5() -> Sequential {
    build("lenet5", 1)
}

/// LeNet-5 with `width` times as many filters and units, except the classes: for measurements of larger networks.
pub fn lenet5_of_width(width: usize) -> Sequential {
    build(&format!("lenet5-of-width-{width}"), width)
}

fn build(name: &str, width: usize) -> Sequential {
    Sequential::new([1, 28, 28])
        .named(name)
        .conv2d(6 * width, 5)
        .padding(2)
        .relu()
        .max_pool2d(2)
        .conv2d(16 * width, 5)
        .relu()
        .max_pool2d(2)
        .flatten()
        .dense(120 * width)
        .relu()
        .dense(84 * width)
        .relu()
        .dense(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Layout, Summary};

    #[test]
    fn layers_are_those_of_the_paper() {
        let summary = Summary::of(&lenet5()).unwrap();
        let rows: Vec<_> = summary
            .rows
            .iter()
            .map(|r| (r.layer.as_str(), r.kind.as_str(), r.output.clone(), r.parameters, r.receptive_field.unwrap()))
            .collect();
        let expected = [
            ("conv1", "conv2d 5x5 pad 2 relu", vec![6, 28, 28], 156, [5, 5]),
            ("pool1", "max_pool2d 2x2", vec![6, 14, 14], 0, [6, 6]),
            ("conv2", "conv2d 5x5 relu", vec![16, 10, 10], 2_416, [14, 14]),
            ("pool2", "max_pool2d 2x2", vec![16, 5, 5], 0, [16, 16]),
            ("flatten1", "flatten", vec![400], 0, [16, 16]),
            ("fc1", "dense relu", vec![120], 48_120, [28, 28]),
            ("fc2", "dense relu", vec![84], 10_164, [28, 28]),
            ("fc3", "dense", vec![10], 850, [28, 28]),
        ];
        assert_eq!(rows, expected);
        assert_eq!((summary.parameters, summary.trainable), (61_706, 61_706));
        assert_eq!(Layout::of(&lenet5()).unwrap().count(), 61_706);
    }

    #[test]
    fn multiply_adds_are_those_of_the_formulas() {
        let summary = Summary::of(&lenet5()).unwrap();
        let of = |layer: &str| summary.rows.iter().find(|r| r.layer == layer).unwrap().multiply_adds;
        assert_eq!(of("conv1"), 6 * 28 * 28 * 5 * 5);
        assert_eq!(of("conv2"), 16 * 10 * 10 * 6 * 5 * 5);
        assert_eq!([of("fc1"), of("fc2"), of("fc3")], [400 * 120, 120 * 84, 84 * 10]);
    }
}
