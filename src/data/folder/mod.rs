//! Data sets of image files: a folder for each class.
//!
//! ```text
//! DIR/cat/1.jpg  DIR/dog/7.png  ...                       split by the seed
//! DIR/train/cat/1.jpg  ...  DIR/test/dog/7.png  ...       split by the folders; also validation, valid or val
//! ```
//!
//! The second form needs a folder `train` that contains folders, with no other folders beside it than those of the
//! sets. A set without its own folder is split from `train`.
//!
//! **Classes** are the folder names, sorted by bytes: upper case before lower case, `10` before `2`. Subfolders belong
//! to their class. Links are followed.
//!
//! **Images** are files with the extension `.jpg`, `.jpeg`, `.png`, `.bmp`, `.gif` or `.webp` in lower or upper case.
//! The format is detected from the content. Only the first image of a file is used. Hidden files and folders (names
//! that begin with a dot) and other files are skipped and counted.
//!
//! **Pixels**: the EXIF orientation is applied; 16-bit channels are reduced to 8 bits; transparent pixels show the
//! background; for networks of one channel, grayscale by Rec. 601 (0.299 R + 0.587 G + 0.114 B); antialiased resizing
//! with a triangle filter. Color profiles are ignored. The training step scales bytes to `[0, 1]`.
//!
//! **Splits**: each image is hashed to a number in `[0, 1)`, which depends only on the seed, its class and its path
//! within the class. With fractions, the lowest numbers form the test set and the next ones the validation set: an
//! image stays in its set when others are added or removed, on any machine. With counts, each class tests the lowest
//! numbers, validates the next, and trains on the highest: adding or removing n images moves at most n images between
//! adjacent sets.
//!
//! **Cache**: decoded images are stored in a file in the user's cache folder (or in `LENSLET_CACHE`) and reused by runs
//! with the same images, size and options. An outdated or damaged file is rewritten. A set larger than
//! [`Options::memory`] stays in that file.

#[cfg(feature = "images")]
mod cache;
#[cfg(feature = "images")]
pub(super) mod decode;
#[cfg(feature = "images")]
mod listing;
#[cfg(feature = "images")]
mod load;
mod options;
#[cfg(feature = "images")]
mod split;

#[cfg(feature = "images")]
pub use decode::Bad;
#[cfg(feature = "images")]
pub use load::{Report, SKIP_REMEDY, Sets, load};
pub use options::{Color, Options, Resize, Share};
#[cfg(feature = "images")]
pub use split::COUNTS_REMEDY;
