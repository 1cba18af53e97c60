//! Data sets: labeled images as bytes, and loaders that read them from files.
//!
//! A [`Dataset`] stores bytes. It is uploaded to the GPU once; conversion to floats, shuffling and augmentation run
//! there for each minibatch. A set larger than memory stays in a [file](Pixels::File).

mod augment;
pub mod folder;
pub mod idx;
#[cfg(feature = "images")]
pub mod image;
mod mnist;
mod moments;
mod normalize;
pub(crate) mod order;
pub mod pixels;

pub use mnist::{FOLDER_REMEDY, Mnist};
pub use normalize::Normalize;
pub use pixels::Pixels;

use std::borrow::Cow;

use crate::error::{Error, Result};
pub use crate::ops::{Augment, Fill, Flip};

/// Labeled images of one size.
///
/// Shapes: N images of `[C, H, W]`, packed without gaps: byte `((n·C + c)·H + h)·W + w`.
/// Units: pixels 0 to 255; labels 0 to `classes - 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The pixels of all images, N·C·H·W bytes.
    pub images: Pixels,
    /// The class of each image, N bytes.
    pub labels: Vec<u8>,
    /// Channels, height, width of one image.
    pub shape: [usize; 3],
    /// Number of classes; a class may have no image.
    pub classes: usize,
    /// Class names, one each; empty if the classes are only numbered.
    pub names: Vec<String>,
}

/// The dimensions of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Number of images.
    pub len: usize,
    /// Channels, height, width of one image.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

impl Dataset {
    /// Creates a data set from images in memory.
    ///
    /// Shapes: `images` N·C·H·W bytes, `labels` N bytes, `shape` `[C, H, W]`.
    /// Errors: no images, a zero in `shape`, `classes` outside 1 to 256, an `images` whose length is not N·C·H·W, a
    /// label that is not below `classes`.
    pub fn new(images: Vec<u8>, labels: Vec<u8>, shape: [usize; 3], classes: usize) -> Result<Self> {
        Self::of(images.into(), labels, shape, classes)
    }

    /// Creates a data set from pixels in memory or in a file. See [`Dataset::new`].
    pub fn of(images: Pixels, labels: Vec<u8>, shape: [usize; 3], classes: usize) -> Result<Self> {
        let [c, h, w] = shape;
        if shape.contains(&0) {
            return Err(Error::option("shape", "channels, height and width of at least 1", format!("[{c},{h},{w}]")));
        }
        if !(1..=256).contains(&classes) {
            return Err(Error::option("classes", "1 to 256, as a label is one byte", classes));
        }
        if labels.is_empty() {
            return Err(Error::option("labels", "at least 1", 0));
        }
        let n = labels.len();
        let expected = [c, h, w].iter().try_fold(n, |bytes, &size| bytes.checked_mul(size));
        if expected != Some(images.len()) {
            let bytes = expected.map_or("more than memory can hold".to_string(), |bytes| bytes.to_string());
            let expected = format!("{n}·{c}·{h}·{w} = {bytes} bytes (labels × shape)");
            return Err(Error::option("images", expected, format!("{} bytes", images.len())));
        }
        if let Some(i) = first_label_over(&labels, classes) {
            return Err(Error::option(format!("labels[{i}]"), allowed_labels(classes), labels[i]));
        }
        Ok(Self { images, labels, shape, classes, names: vec![] })
    }

    /// Sets the class names, in order.
    ///
    /// Errors: the number of names differs from the number of classes.
    pub fn named(self, names: impl Into<Vec<String>>) -> Result<Self> {
        let names = names.into();
        if names.len() != self.classes {
            let expected = format!("{}, one for each class", self.classes);
            return Err(Error::option("names of classes", expected, names.len()));
        }
        Ok(Self { names, ..self })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image; always false after [`Dataset::new`].
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The dimensions of the set.
    pub fn spec(&self) -> Spec {
        Spec { len: self.len(), shape: self.shape, classes: self.classes }
    }

    /// The images with these indices, in this order; `None` if there are none. Panics if an index is not below
    /// [`Dataset::len`].
    pub fn subset(&self, numbers: &[u32]) -> Option<Dataset> {
        let (images, names) = (self.images.subset(numbers, self.image_len()), self.names.clone());
        let labels = numbers.iter().map(|&i| self.labels[i as usize]).collect();
        (!numbers.is_empty()).then_some(Dataset { images, labels, shape: self.shape, classes: self.classes, names })
    }

    /// Image size in bytes: C·H·W.
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The pixels of image `i` of a set in memory, C·H·W bytes. Panics if `i` is not below [`Dataset::len`], or if the
    /// set is in a file; [`Dataset::read`] works for both.
    pub fn image(&self, i: usize) -> &[u8] {
        let bytes = self.image_len();
        &self.images.in_memory().expect("a set in memory")[i * bytes..][..bytes]
    }

    /// The pixels of all images, read from the file if necessary.
    ///
    /// Errors: as [`Dataset::read`].
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        if let Some(bytes) = self.images.in_memory() {
            return Ok(bytes.into());
        }
        let (mut bytes, all) = (vec![0; self.images.len()], (0..self.len() as u32).collect::<Vec<_>>());
        self.read(&all, &mut bytes)?;
        Ok(bytes.into())
    }

    /// Copies the images with these indices to `into`, C·H·W bytes each. Panics if an index is not below
    /// [`Dataset::len`].
    ///
    /// Errors: `into` has another length; the set's file cannot be read or is damaged.
    /// Errors: `into` is of another length; the set is in a file that cannot be read, or is damaged.
    pub fn read(&self, numbers: &[u32], into: &mut [u8]) -> Result<()> {
        let bytes = numbers.len() * self.image_len();
        if into.len() != bytes {
            return Err(Error::option("room for images", format!("{bytes} bytes"), into.len()));
        }
        self.images.read(numbers, self.image_len(), into)
    }
}

/// The position of the first label that is not below `classes`.
fn first_label_over(labels: &[u8], classes: usize) -> Option<usize> {
    labels.iter().position(|&label| usize::from(label) >= classes)
}

/// The range of valid labels, for messages.
fn allowed_labels(classes: usize) -> String {
    format!("0 to {}", classes - 1)
}

#[cfg(test)]
mod tests {
    use super::Dataset;

    fn error(images: usize, labels: &[u8], shape: [usize; 3], classes: usize) -> String {
        Dataset::new(vec![0; images], labels.to_vec(), shape, classes).unwrap_err().to_string()
    }

    #[test]
    fn images_are_packed() {
        let data = Dataset::new((0..24).collect(), vec![1, 0], [3, 2, 2], 2).unwrap();
        assert_eq!((data.len(), data.is_empty(), data.image_len()), (2, false, 12));
        assert_eq!(data.image(0), (0..12).collect::<Vec<u8>>());
        assert_eq!(data.image(1), (12..24).collect::<Vec<u8>>());
        let mut both = [0; 24];
        data.read(&[1, 0], &mut both).unwrap();
        assert_eq!(both.to_vec(), (12..24).chain(0..12).collect::<Vec<u8>>());
        assert_eq!(data.read(&[1], &mut both).unwrap_err().to_string(), "room for images: expected 12 bytes, found 24");
    }

    #[test]
    fn names_are_kept_and_there_is_one_for_each_class() {
        let data = Dataset::new(vec![1, 2], vec![1, 0], [1, 1, 1], 2).unwrap();
        let error = data.clone().named(["cat".to_string()]).unwrap_err().to_string();
        assert_eq!(error, "names of classes: expected 2, one for each class, found 1");
        let data = data.named(["cat".to_string(), "dog".to_string()]).unwrap();
        assert_eq!(data.subset(&[1]).unwrap().names, ["cat", "dog"]);
    }

    #[test]
    fn all_256_classes_fit_a_label() {
        assert!(Dataset::new(vec![0], vec![255], [1, 1, 1], 256).is_ok());
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let cases = [
            (error(3, &[0, 1], [1, 1, 2], 2), "images: expected 2·1·1·2 = 4 bytes (labels × shape), found 3 bytes"),
            (error(5, &[0, 1], [1, 1, 2], 2), "images: expected 2·1·1·2 = 4 bytes (labels × shape), found 5 bytes"),
            (error(0, &[], [1, 1, 2], 2), "labels: expected at least 1, found 0"),
            (error(2, &[0, 3], [1, 1, 1], 3), "labels[1]: expected 0 to 2, found 3"),
            (error(0, &[0], [1, 0, 2], 2), "shape: expected channels, height and width of at least 1, found [1,0,2]"),
            (error(1, &[0], [1, 1, 1], 0), "classes: expected 1 to 256, as a label is one byte, found 0"),
            (error(1, &[0], [1, 1, 1], 257), "classes: expected 1 to 256, as a label is one byte, found 257"),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
        }
        assert!(error(1, &[0], [usize::MAX, 2, 1], 1).contains("more than memory can hold"));
    }
}
