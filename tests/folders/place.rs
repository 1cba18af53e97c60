//! A folder of generated images.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use lenslet::data::folder::{Options, Sets, load};
use tempfile::TempDir;

pub const FORMATS: [(&str, ImageFormat); 5] = [
    ("jpg", ImageFormat::Jpeg),
    ("png", ImageFormat::Png),
    ("bmp", ImageFormat::Bmp),
    ("gif", ImageFormat::Gif),
    ("webp", ImageFormat::WebP),
];

/// A temporary folder for images, and one for their cache.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// An empty folder.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        Self { folder }
    }

    /// A folder with `count` gray images per class.
    pub fn with(classes: &[&str], count: usize) -> Self {
        let place = Self::new();
        for class in classes {
            for i in 0..count {
                place.put(&format!("{class}/{i}.png"), &png(4, 4, [i as u8; 3]));
            }
        }
        place
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }

    /// Writes a file, creating its folders.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    pub fn load(&self, options: &Options) -> lenslet::Result<Sets> {
        load(self.data(), [1, 4, 4], 1, &self.cached(options), &|_, _| ())
    }

    /// The options with the cache of this folder, unless another is given.
    pub fn cached(&self, options: &Options) -> Options {
        let cache = options.cache.clone().unwrap_or_else(|| self.cache());
        Options { cache: Some(cache), ..options.clone() }
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// The message of a failed load, checked to have these parts.
    pub fn refuses(&self, options: &Options, parts: &[&str]) {
        let error = self.load(options).unwrap_err().to_string();
        parts.iter().for_each(|part| assert!(error.contains(part), "{error:?} lacks {part:?}"));
    }
}

/// An encoded image file.
pub fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG file of one color.
pub fn png(w: u32, h: u32, color: [u8; 3]) -> Vec<u8> {
    encoded(&RgbImage::from_pixel(w, h, Rgb(color)).into(), ImageFormat::Png)
}

/// The decoded values of one image: alone in its class, as the only training image.
pub fn pixels(name: &str, file: &[u8], shape: [usize; 3], options: &Options) -> lenslet::Result<Vec<u8>> {
    let place = Place::new();
    for set in ["train", "test"] {
        place.put(&format!("{set}/a/{name}"), file);
        place.put(&format!("{set}/b/other.png"), &png(1, 1, [0; 3]));
    }
    let none = Some(lenslet::data::folder::Share::Count(0));
    let options = Options { validation: none, ..options.clone() };
    let sets = load(place.data(), shape, 1, &place.cached(&options), &|_, _| ())?;
    assert_eq!(sets.train.labels, [0, 1]);
    Ok(sets.train.image(0).to_vec())
}

/// The files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
