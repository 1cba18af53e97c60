//! Augmented images, as training steps see them.

use crate::data::{Augment, Dataset};
use crate::device::{Device, Session};
use crate::graph::Graph;
use crate::shape::TensorType;
use crate::{Error, Result};

/// The pictures of these numbers, each varied `times` times: those of one picture side by side. Variation t of the picture
/// at place i of `numbers` is what step t of a run with that seed makes of row i of its batch, by the operation that
/// training runs, as bytes.
///
/// Errors: options out of range; a number that is not below the set's length; no numbers, no times, or more pictures than
/// 32 bits count; a device too small.
pub fn augmented(
    device: impl Into<Device>,
    data: &Dataset,
    augment: Augment,
    numbers: &[u32],
    times: usize,
    seed: u64,
) -> Result<Dataset> {
    if let Some(number) = numbers.iter().find(|number| **number as usize >= data.len()) {
        return Err(Error::option("picture", format!("a number below {}", data.len()), number));
    }
    let Some(set) = data.subset(numbers).filter(|_| times > 0) else {
        return Err(Error::option("pictures", "at least one, varied at least once", numbers.len() * times));
    };
    let (n, [c, h, w]) = (set.len(), set.shape);
    let mut graph = Graph::new();
    let pictures = graph.input("pictures", TensorType::u8([n, c, h, w]))?;
    let order = graph.input("order", TensorType::u32([n * times]))?;
    let step = graph.input("step", TensorType::u32([1]))?;
    let x = graph.gather_images(pictures, order, step, n)?;
    let y = graph.augment(x, step, augment, seed)?;
    graph.output(y);
    let mut session = Session::new(&device.into(), &graph)?;
    session.write(pictures, &*set.bytes()?)?;
    session.write(order, (0..n as u32).cycle().take(n * times).collect::<Vec<_>>().as_slice())?;
    let row = c * h * w;
    let mut images = vec![0; n * times * row];
    for t in 0..times {
        session.write(step, [t as u32].as_slice())?;
        session.run(1);
        for (i, picture) in session.read(y)?.chunks(row).enumerate() {
            let bytes = picture.iter().map(|v| (255.0 * v).round() as u8);
            images[(i * times + t) * row..][..row].iter_mut().zip(bytes).for_each(|(image, byte)| *image = byte);
        }
    }
    let labels = set.labels.iter().flat_map(|&label| vec![label; times]).collect();
    Dataset::new(images, labels, set.shape, set.classes)
}
