//! The image files of a folder, class by class.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::{Error, Result};

/// Extensions of image files.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "gif", "webp"];

/// Folder names of the sets, in the order training, validation, test.
const SETS: [&[&str]; 3] = [&["train"], &["validation", "valid", "val"], &["test"]];

const EXPECTED: &str = "expected a folder per class with JPEG, PNG, BMP, GIF or WebP files (cat/1.jpg, \
                        dog/7.png), or such folders within train, validation and test";

/// An image file.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageFile {
    pub class: u8,
    /// Path relative to the data folder, separated by `/`.
    pub path: String,
    /// Path relative to the class folder.
    pub within: String,
    pub bytes: u64,
    /// Modification time in nanoseconds since 1970.
    pub modified: u128,
}

/// The contents of a data folder.
#[derive(Debug)]
pub struct Listing {
    /// Class names, in order.
    pub names: Vec<String>,
    /// Image files of the training, validation and test folder, sorted by path; `None` without such a folder.
    pub sets: [Option<Vec<ImageFile>>; 3],
    /// The number of skipped files by extension.
    pub ignored: BTreeMap<String, usize>,
}

impl Listing {
    /// Lists a folder.
    ///
    /// Errors: the folder is missing or cannot be read; fewer than two classes or more than 256; an empty class; sets
    /// with different classes; a cycle of links.
    pub fn read(dir: &Path) -> Result<Self> {
        match dir.metadata() {
            Ok(what) if what.is_dir() => {}
            Ok(_) => return Err(Error::data(dir, format!("{EXPECTED}; found a file"))),
            Err(error) => return Err(Error::io(dir, "read")(error)),
        }
        let mut walk = Walk { root: dir, ignored: BTreeMap::new(), above: vec![] };
        let set = |name: &String| SETS.iter().position(|names| names.contains(&name.as_str()));
        let folders = folders(&entries(dir)?);
        let by_sets = folders.iter().all(|name| set(name).is_some())
            && folders.iter().any(|name| name == "train")
            && !self::folders(&entries(&dir.join("train"))?).is_empty();
        if !by_sets {
            let (names, images) = walk.classes("")?;
            return Ok(Self { names, sets: [Some(images), None, None], ignored: walk.ignored });
        }
        let (names, images) = walk.classes("train/")?;
        let mut sets = [Some(images), None, None];
        for (number, folder) in folders.iter().filter_map(|name| Some((set(name).filter(|&set| set > 0)?, name))) {
            let (found, images) = walk.classes(&format!("{folder}/"))?;
            if found != names {
                let (classes, found) = (names.join(", "), found.join(", "));
                let reason = format!("expected the classes of train: {classes}; found {found}");
                return Err(Error::data(dir.join(folder), reason));
            }
            if sets[number].replace(images).is_some() {
                let reason = format!("expected one folder of {}, found several", SETS[number].join(", "));
                return Err(Error::data(dir, reason));
            }
        }
        Ok(Self { names, sets, ignored: walk.ignored })
    }
}

/// A recursive walk through folders.
struct Walk<'a> {
    root: &'a Path,
    ignored: BTreeMap<String, usize>,
    /// The canonical paths of the enclosing folders, to detect cycles.
    above: Vec<PathBuf>,
}

/// The kind of a folder entry.
enum Entry {
    Folder,
    /// An image file; `None` if its metadata cannot be read.
    Image(Option<Metadata>),
    Other,
}

impl Walk<'_> {
    /// The classes below `prefix`, and their images.
    fn classes(&mut self, prefix: &str) -> Result<(Vec<String>, Vec<ImageFile>)> {
        let dir = self.root.join(prefix);
        let found = entries(&dir)?;
        let names = folders(&found);
        match &names[..] {
            [] => return Err(Error::data(dir, format!("{EXPECTED}; found no folder in it"))),
            [one] => return Err(Error::data(dir, format!("{EXPECTED}; found only one class: {one}"))),
            many if many.len() <= 256 => {}
            many => {
                return Err(Error::data(dir, format!("expected at most 256 classes, found {} folders", many.len())));
            }
        }
        found.iter().filter(|(_, entry)| !matches!(entry, Entry::Folder)).for_each(|(name, _)| self.ignore(name));
        let mut images: Vec<ImageFile> = vec![];
        let mut empty = vec![];
        for (class, name) in names.iter().enumerate() {
            let before = images.len();
            self.images(&format!("{prefix}{name}"), class as u8, "", &mut images)?;
            if images.len() == before {
                empty.push(name.as_str());
            }
        }
        if !empty.is_empty() {
            let reason = format!("expected images in the folder of each class, found none in {}", empty.join(", "));
            return Err(Error::data(dir, reason + "; add some or remove it"));
        }
        images.sort_by(|a, b| a.path.cmp(&b.path));
        Ok((names, images))
    }

    /// Collects the images of a class from a folder and its subfolders.
    fn images(&mut self, folder: &str, class: u8, within: &str, into: &mut Vec<ImageFile>) -> Result<()> {
        let dir = self.root.join(folder);
        let real = fs::canonicalize(&dir).map_err(Error::io(&dir, "read"))?;
        if self.above.contains(&real) {
            return Err(Error::data(dir, format!("expected a folder, found a cyclic link to {}", real.display())));
        }
        self.above.push(real);
        for (name, entry) in entries(&dir)? {
            let (path, within) = (format!("{folder}/{name}"), format!("{within}{name}"));
            match entry {
                Entry::Folder => self.images(&path, class, &format!("{within}/"), into)?,
                Entry::Image(what) => {
                    let since =
                        |what: &Metadata| Some(what.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos());
                    let modified = what.as_ref().and_then(since).unwrap_or(0);
                    let bytes = what.map_or(0, |what| what.len());
                    into.push(ImageFile { class, path, within, bytes, modified });
                }
                Entry::Other => self.ignore(&name),
            }
        }
        self.above.pop();
        Ok(())
    }

    /// Counts a skipped file.
    fn ignore(&mut self, name: &str) {
        let kind = extension(name).map_or_else(|| name.to_string(), |extension| format!(".{extension}"));
        *self.ignored.entry(kind).or_default() += 1;
    }
}

/// The entries of a folder, sorted by name. Hidden entries are skipped, links are followed.
fn entries(dir: &Path) -> Result<Vec<(String, Entry)>> {
    let mut found = vec![];
    for entry in fs::read_dir(dir).map_err(Error::io(dir, "read"))? {
        let entry = entry.map_err(Error::io(dir, "read"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_image = extension(&name).is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()));
        let entry = match fs::metadata(entry.path()) {
            Ok(what) if what.is_dir() => Entry::Folder,
            Ok(what) if is_image => Entry::Image(Some(what)),
            Err(_) if is_image => Entry::Image(None),
            _ => Entry::Other,
        };
        if !name.starts_with('.') {
            found.push((name, entry));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

/// The names of the subfolders among `entries`.
fn folders(entries: &[(String, Entry)]) -> Vec<String> {
    entries.iter().filter(|(_, entry)| matches!(entry, Entry::Folder)).map(|(name, _)| name.clone()).collect()
}

/// The extension of a file name, in lower case.
fn extension(name: &str) -> Option<String> {
    Path::new(name).extension().map(|extension| extension.to_string_lossy().to_lowercase())
}
