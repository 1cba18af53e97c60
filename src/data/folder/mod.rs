//! Data sets of picture files: a folder for each class.
//!
//! ```text
//! DIR/cat/1.jpg  DIR/dog/7.png  ...                       split by the seed
//! DIR/train/cat/1.jpg  ...  DIR/test/dog/7.png  ...       split by the folders; also validation, valid or val
//! ```
//!
//! The second form is that of a folder `train` with folders in it, beside no others than these. A set without a folder
//! of its own is split from `train`.
//!
//! **Classes** are the names of the folders, in the order of their bytes: capitals come before small letters, `10`
//! before `2`. Folders within a class belong to it; links are followed.
//!
//! **Pictures** are the files named `.jpg`, `.jpeg`, `.png`, `.bmp`, `.gif` or `.webp`, in small letters or capitals;
//! which of these formats one has, its content says. Of several pictures in a file the first counts. Hidden files and
//! folders, whose names begin with a dot, and files of other names are left out and counted.
//!
//! **Pixels**: turned upright as EXIF says; colours of 16 bits narrowed to 8; what is transparent shows the background;
//! grey, for networks of one channel, by Rec. 601's weights 0.299, 0.587 and 0.114; resized by a triangle filter that is
//! as wide as what shrinks into a pixel. Colour profiles are not applied. A step scales the bytes to `[0, 1]`.
//!
//! **Splits**: each picture has a number in `[0, 1)`, which depends on the seed, its class and its path within the class,
//! and on nothing else. With shares, the numbers below that of the test set are tested, the next ones validated: a picture
//! stays in its set, whatever else comes or goes, on any machine. With counts, each class tests the lowest numbers,
//! validates the next, and trains on the highest: so many pictures as come or go, so many at most cross from one set to the
//! next.
//!
//! **Cache**: what was decoded is kept in a file of the user's cache folder (`LENSLET_CACHE` names another), for the next
//! run with the same pictures, size and options; one that is out of date or damaged is made again. A set of more bytes
//! than [`Options::memory`] stays in that file.

#[cfg(feature = "pictures")]
mod cache;
#[cfg(feature = "pictures")]
pub(super) mod decode;
#[cfg(feature = "pictures")]
mod listing;
#[cfg(feature = "pictures")]
mod load;
mod options;
#[cfg(feature = "pictures")]
mod split;

#[cfg(feature = "pictures")]
pub use load::{Bad, Report, Sets, load};
pub use options::{Colour, Options, Resize, Share};
