//! Preview of training images after augmentation.

use crate::data::{Augment, Dataset};
use crate::device::{Device, Session};
use crate::graph::Graph;
use crate::shape::TensorType;
use crate::{Error, Result};

/// The images with these indices, each augmented `times` times; the variants of an image are consecutive. Variant t of
/// the image at position i of `numbers` is the image that step t of a run with this seed computes for row i of its
/// batch. It is computed by the training's own operation, and converted to bytes.
///
/// Errors: options out of range; an index that is not below the set's length; no indices or no variants; more than 2³²
/// images; a limit of the device is exceeded.
pub fn augmented(
    device: impl Into<Device>,
    data: &Dataset,
    augment: Augment,
    numbers: &[u32],
    times: usize,
    seed: u64,
) -> Result<Dataset> {
    if let Some(number) = numbers.iter().find(|number| **number as usize >= data.len()) {
        return Err(Error::option("image", format!("a number below {}", data.len()), number));
    }
    let Some(set) = data.subset(numbers).filter(|_| times > 0) else {
        return Err(Error::option("images", "at least one, varied at least once", numbers.len() * times));
    };
    let (n, [c, h, w]) = (set.len(), set.shape);
    let mut graph = Graph::new();
    let images = graph.input("images", TensorType::u8([n, c, h, w]))?;
    let order = graph.input("order", TensorType::u32([n * times]))?;
    let step = graph.input("step", TensorType::u32([1]))?;
    let x = graph.gather_images(images, order, step, n)?;
    let y = graph.augment(x, step, augment, seed)?;
    graph.output(y);
    let mut session = Session::new(&device.into(), &graph)?;
    session.write(images, &*set.bytes()?)?;
    session.write(order, (0..n as u32).cycle().take(n * times).collect::<Vec<_>>().as_slice())?;
    let row = c * h * w;
    let mut images = vec![0; n * times * row];
    for t in 0..times {
        session.write(step, [t as u32].as_slice())?;
        session.run(1);
        for (i, image) in session.read(y)?.chunks(row).enumerate() {
            let bytes = image.iter().map(|v| (255.0 * v).round() as u8);
            images[(i * times + t) * row..][..row].iter_mut().zip(bytes).for_each(|(image, byte)| *image = byte);
        }
    }
    let labels = set.labels.iter().flat_map(|&label| vec![label; times]).collect();
    Dataset::new(images, labels, set.shape, set.classes)
}
