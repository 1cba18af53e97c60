//! MNIST and data sets in its file format.

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::data::{Dataset, idx};
use crate::error::{Error, Result};

/// The end of the message if the included files are not found.
pub const FOLDER_REMEDY: &str = "set LENSLET_ASSETS to the assets folder, or choose another folder with the four files";

/// The number of classes: digits, or the clothing categories of Fashion-MNIST.
const CLASSES: usize = 10;

/// File name stems of a set's image and label file, in order of preference: MNIST and Fashion-MNIST; MNIST in some
/// archives; EMNIST digits. Each may end in `.gz`.
const TRAIN_IMAGES: Stems =
    ["train-images-idx3-ubyte", "train-images.idx3-ubyte", "emnist-digits-train-images-idx3-ubyte"];
const TRAIN_LABELS: Stems =
    ["train-labels-idx1-ubyte", "train-labels.idx1-ubyte", "emnist-digits-train-labels-idx1-ubyte"];
const TEST_IMAGES: Stems = ["t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte", "emnist-digits-test-images-idx3-ubyte"];
const TEST_LABELS: Stems = ["t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte", "emnist-digits-test-labels-idx1-ubyte"];

type Stems = [&'static str; 3];

/// A data set of the MNIST family, split into training and test set.
///
/// Shapes: `[1, H, W]` in both sets, with H and W from the files (28 and 28 in MNIST).
/// Units: pixels 0 (background) to 255 (ink); 10 classes, labels 0 to 9.
/// Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998, section III.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mnist {
    /// Training set; 60,000 images in MNIST.
    pub train: Dataset,
    /// Test set; 10,000 images in MNIST.
    pub test: Dataset,
}

impl Mnist {
    /// The MNIST files included with this crate in `assets/mnist`.
    ///
    /// Searched in order, independently of the working directory where possible: `$LENSLET_ASSETS/mnist`; then
    /// `assets/mnist` in the crate's sources, in the executable's folder or above it, and in the working directory.
    /// Errors: no folder contains any of the files; those of [`Mnist::from_dir`].
    pub fn bundled() -> Result<Self> {
        let executable = env::current_exe().unwrap_or_default();
        Self::first_of(&bundled_places(env::var_os("LENSLET_ASSETS").map(PathBuf::from), &executable))
    }

    /// Reads the four IDX files of a folder, plain or gzipped: MNIST, Fashion-MNIST, EMNIST digits, or images of
    /// another size with 10 classes.
    ///
    /// File names: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`,
    /// `t10k-labels-idx1-ubyte`; or `.idx` instead of `-idx`; or EMNIST's `emnist-digits-…`. With or without `.gz`; the
    /// plain file is preferred. EMNIST stores images transposed; they are not transposed back.
    /// Errors: the folder or a file is missing; a file is damaged (see [`idx::read_images`]); a label above 9;
    /// different numbers of labels and images; different image sizes in the training and test set.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let expected = "expected a folder with the four IDX files of an MNIST-like set";
        match dir.metadata() {
            Ok(what) if what.is_dir() => {}
            Ok(_) => return Err(Error::data(dir, format!("{expected}, found a file"))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::data(dir, format!("{expected}, found no such folder")));
            }
            Err(error) => return Err(Error::io(dir, "read")(error)),
        }
        let files = [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS].map(|stems| (stems, find(dir, &stems)));
        let missing = files.iter().filter(|(_, found)| found.is_none()).map(|(stems, _)| {
            let tried: Vec<String> = spellings(stems).collect();
            format!("{} (tried {})", stems[0], tried.join(", "))
        });
        let missing: Vec<String> = missing.collect();
        let [(_, Some(train_images)), (_, Some(train_labels)), (_, Some(test_images)), (_, Some(test_labels))] = files
        else {
            return Err(Error::data(dir, format!("{expected}, found no {}", missing.join("; no "))));
        };

        let train = part(&train_images, &train_labels)?;
        let test = part(&test_images, &test_labels)?;
        let ([_, h, w], [_, test_h, test_w]) = (train.shape, test.shape);
        if train.shape != test.shape {
            let expected = format!("expected images of {h}x{w} as in {}", train_images.display());
            return Err(Error::data(test_images, format!("offset 8: {expected}, found {test_h}x{test_w}")));
        }
        Ok(Self { train, test })
    }

    /// Whether a folder contains any of the four files.
    pub fn is_in(dir: impl AsRef<Path>) -> bool {
        [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS].iter().any(|stems| find(dir.as_ref(), stems).is_some())
    }

    fn first_of(places: &[PathBuf]) -> Result<Self> {
        // The published crate has the folder without the data, so the folder alone is not enough.
        if let Some(dir) = places.iter().find(|dir| Self::is_in(dir)) {
            return Self::from_dir(dir);
        }
        let looked: Vec<String> = places.iter().map(|dir| dir.display().to_string()).collect();
        let reason = "expected the MNIST files included with lenslet, found no folder with IDX files";
        Err(Error::data("assets/mnist", format!("{reason}; looked in {}; {FOLDER_REMEDY}", looked.join(", "))))
    }
}

/// Candidate folders of the included data, in order.
fn bundled_places(assets: Option<PathBuf>, executable: &Path) -> Vec<PathBuf> {
    let above = executable.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
    let mut places: Vec<PathBuf> = assets.map(|dir| dir.join("mnist")).into_iter().collect();
    places.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/mnist"));
    places.extend(above.map(|dir| dir.join("assets/mnist")));
    places.push(PathBuf::from("./assets/mnist"));
    let mut seen = std::collections::HashSet::new();
    places.retain(|dir| seen.insert(dir.clone()));
    places
}

/// Candidate names of a file, in order of preference.
fn spellings(stems: &Stems) -> impl Iterator<Item = String> {
    stems.iter().flat_map(|stem| [stem.to_string(), format!("{stem}.gz")])
}

fn find(dir: &Path, stems: &Stems) -> Option<PathBuf> {
    spellings(stems).map(|name| dir.join(name)).find(|path| path.is_file())
}

fn part(images: &Path, labels: &Path) -> Result<Dataset> {
    let (image_file, label_file) = (images, labels);
    let images = idx::read_images(image_file)?;
    let labels = idx::read_labels(label_file, CLASSES)?;
    if labels.len() != images.count {
        let expected = format!("expected {} labels, one for each image of {}", images.count, image_file.display());
        return Err(Error::data(label_file, format!("offset 4: {expected}, found {}", labels.len())));
    }
    Dataset::new(images.pixels, labels, [1, images.height, images.width], CLASSES)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{FOLDER_REMEDY, Mnist, bundled_places};

    #[test]
    fn the_environment_comes_first_and_the_working_directory_last() {
        let places = bundled_places(Some(PathBuf::from("given")), Path::new("/opt/lenslet/bin/lenslet"));
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/mnist");
        let above =
            ["/opt/lenslet/bin/assets/mnist", "/opt/lenslet/assets/mnist", "/opt/assets/mnist", "/assets/mnist"];
        assert_eq!(places[0], Path::new("given/mnist"));
        assert_eq!(places[1], manifest);
        assert!(above.iter().all(|dir| places.contains(&PathBuf::from(dir))), "{places:?}");
        assert_eq!(places.last().unwrap(), Path::new("./assets/mnist"));
    }

    #[test]
    fn without_the_data_every_place_and_the_way_out_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let places = [dir.path().join("a"), dir.path().to_path_buf()];
        let error = Mnist::first_of(&places).unwrap_err().to_string();
        for part in [places[0].to_str().unwrap(), places[1].to_str().unwrap(), FOLDER_REMEDY, "LENSLET_ASSETS"] {
            assert!(error.contains(part), "{part:?} not in: {error}");
        }
    }
}
