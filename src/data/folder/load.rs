//! Loading of data sets from a folder of images.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::data::folder::cache::Cache;
use crate::data::folder::decode::{Bad, Failure, Taking, decode};
use crate::data::folder::listing::{ImageFile, Listing};
use crate::data::folder::options::Options;
use crate::data::folder::split::split;
use crate::data::{Dataset, Pixels};
use crate::{Error, Result};

/// Images decoded before their records are written; bounds the memory for decoded bytes.
const DECODED_AT_ONCE: usize = 256;

/// Maximum number of bad images listed in a message.
const LISTED: usize = 10;

/// The end of the message for images that cannot be read.
pub const SKIP_REMEDY: &str = "repair or remove them, or skip them";

/// The data sets of a folder.
#[derive(Clone, Debug)]
pub struct Sets {
    /// Training set.
    pub train: Dataset,
    /// Validation set, evaluated after each epoch.
    pub validation: Option<Dataset>,
    /// Test set, evaluated at the end.
    pub test: Dataset,
    /// Notes on loading.
    pub report: Report,
}

/// Notes on loading a folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Images that were skipped because they could not be read.
    pub bad: Vec<Bad>,
    /// The number of files without an image extension, by extension.
    pub ignored: BTreeMap<String, usize>,
    /// The number of decoded images; 0 if all came from the cache.
    pub decoded: usize,
    /// The reason why the cache file was not written.
    pub uncached: Option<String>,
}

/// Loads the data sets of a folder of images for a network with inputs `shape`, `[1, H, W]` or `[3, H, W]`. `progress`
/// is called with the number of decoded images and the total, from several threads.
///
/// Errors: another number of channels; an invalid folder (see [`folder`](super)); a class with too few images; images
/// that cannot be read, unless [`Options::skip_bad`] skips them; a class of a set without a readable image; no space in
/// the cache folder for a set of more than [`Options::memory`] bytes.
pub fn load(
    dir: impl AsRef<Path>,
    shape: [usize; 3],
    seed: u64,
    options: &Options,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Sets> {
    let dir = dir.as_ref();
    if ![1, 3].contains(&shape[0]) || shape.contains(&0) {
        let expected = "[1, H, W] for grayscale or [3, H, W] for red, green and blue";
        return Err(Error::option("shape for images", expected, format!("{shape:?}")));
    }
    let listing = Listing::read(dir)?;
    let sets = split(dir, &listing, options, seed)?;
    let mut chosen: Vec<&ImageFile> = sets.iter().flatten().collect();
    chosen.sort_by(|a, b| a.path.cmp(&b.path));
    let work = Work { dir, chosen, shape, options, progress };
    let whole = listing.sets.iter().flatten().map(Vec::len).sum::<usize>() == work.chosen.len();
    let (pixels, mut report) = work.pixels((!whole).then_some(seed))?;
    report.ignored = listing.ignored;
    if !report.bad.is_empty() && !options.skip_bad {
        return Err(Error::data(dir, listed(&report.bad, work.chosen.len())));
    }

    let is_bad = |path: &str| report.bad.binary_search_by(|bad| bad.path.as_str().cmp(path)).is_ok();
    let good: Vec<&ImageFile> = work.chosen.iter().copied().filter(|image| !is_bad(&image.path)).collect();
    let labels = good.iter().map(|image| image.class).collect();
    if good.is_empty() {
        return Err(Error::data(dir, listed(&report.bad, work.chosen.len())));
    }
    let all = Dataset::of(pixels, labels, shape, listing.names.len())?.named(listing.names)?;
    let set = |name: &str, images: &[ImageFile]| {
        let of = |image: &ImageFile| good.binary_search_by(|other| other.path.cmp(&image.path)).ok();
        let numbers: Vec<u32> = images.iter().filter_map(of).map(|i| i as u32).collect();
        let has = |class: u8| numbers.iter().any(|&i| all.labels[i as usize] == class);
        match images.iter().find(|image| !has(image.class)) {
            Some(ImageFile { class, .. }) => {
                let name_of = &all.names[usize::from(*class)];
                let class = format!("class \"{name_of}\": {name}: expected at least one readable image");
                Err(Error::data(dir, format!("{class}, found none; {}", listed(&report.bad, work.chosen.len()))))
            }
            None => Ok(all.subset(&numbers)),
        }
    };
    let [train, validation, test] = [("train", 0), ("validation", 1), ("test", 2)].map(|(name, i)| set(name, &sets[i]));
    let some = |set: Result<Option<Dataset>>| set.map(|set| set.expect("a split leaves neither of these empty"));
    Ok(Sets { train: some(train)?, validation: validation?, test: some(test)?, report })
}

/// The images to decode, and their conversion.
struct Work<'a> {
    dir: &'a Path,
    /// Sorted by path.
    chosen: Vec<&'a ImageFile>,
    shape: [usize; 3],
    options: &'a Options,
    progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl Work<'_> {
    /// The pixels of the readable images, read from the cache or written to it. `seed` is the split's seed if only a
    /// part of the folder's images is decoded.
    fn pixels(&self, seed: Option<u64>) -> Result<(Pixels, Report)> {
        let record: usize = self.shape.iter().product();
        let in_memory = (self.chosen.len() * record) as u64 <= self.options.memory;
        let cache = self.cache(seed, record);
        if let Some((records, contents)) = cache.as_ref().and_then(Cache::open) {
            let count = contents.checks.len();
            let report = Report { bad: contents.bad, ..Report::default() };
            let pixels = Pixels::File(records);
            if !in_memory {
                return Ok((pixels, report));
            }
            let (mut bytes, all) = (vec![0; count * record], (0..count as u32).collect::<Vec<_>>());
            if pixels.read(&all, record, &mut bytes).is_ok() {
                return Ok((bytes.into(), report));
            }
        }
        let mut report = Report { decoded: self.chosen.len(), ..Report::default() };
        if !in_memory {
            let none =
                || Error::option("LENSLET_CACHE", "a cache folder for images, because this system has none", "nothing");
            let cache = cache.ok_or_else(none)?;
            cache.replace(|keep| Ok(self.decode(keep)?.0))?;
            let damaged = || Error::data(cache.path(), "expected the images as written, found other bytes");
            let (records, contents) = cache.open().ok_or_else(damaged)?;
            return Ok((Pixels::File(records), Report { bad: contents.bad, ..report }));
        }
        let mut bytes = Vec::with_capacity(self.chosen.len() * record);
        let keep = &mut |record: &[u8]| {
            bytes.extend_from_slice(record);
            Ok(())
        };
        let (bad, is_lasting) = self.decode(keep).map_err(Error::io(self.dir, "read"))?;
        // An I/O error may be temporary, so its result is not cached.
        if let Some(cache) = cache.filter(|_| is_lasting) {
            let written = cache.replace(|keep| {
                bytes.chunks_exact(record).try_for_each(keep)?;
                Ok(bad.clone())
            });
            report.uncached = written.err().map(|error| error.to_string());
        }
        Ok((bytes.into(), Report { bad, ..report }))
    }

    /// Decodes all images in parallel and passes the readable ones to `keep` in order. Returns the bad images, and
    /// whether all failures are permanent.
    fn decode(&self, keep: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<(Vec<Bad>, bool)> {
        let (mut bad, mut is_lasting, done) = (vec![], true, AtomicUsize::new(0));
        let Options { resize, background, .. } = *self.options;
        let taking = Taking { resize, background, gray: true };
        for some in self.chosen.chunks(DECODED_AT_ONCE) {
            let decode = |image: &&ImageFile| {
                let decoded = decode(&self.dir.join(&image.path), self.shape, taking);
                (self.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, self.chosen.len());
                decoded
            };
            let decoded: Vec<_> = some.par_iter().map(decode).collect();
            for (image, decoded) in some.iter().zip(decoded) {
                let reason = match decoded {
                    Ok(bytes) => {
                        keep(&bytes)?;
                        continue;
                    }
                    Err(Failure::Content(reason)) => reason,
                    Err(Failure::File(error)) => {
                        is_lasting = false;
                        error.to_string()
                    }
                };
                bad.push(Bad { path: image.path.clone(), reason });
            }
        }
        Ok((bad, is_lasting))
    }

    /// The cache file of these images. Its name depends on the folder and the options, its key on the folder's
    /// contents.
    fn cache(&self, seed: Option<u64>, record: usize) -> Option<Cache> {
        let dir = self.dir.canonicalize().ok()?;
        let Options { train, validation, test, resize, background, .. } = self.options;
        let choice = seed.map(|seed| (seed, train, validation, test));
        let asked = format!("{} {:?} {resize} {background} {choice:?}", dir.display(), self.shape);
        let mut key = Sha256::new();
        key.update(env!("CARGO_PKG_VERSION"));
        for ImageFile { path, bytes, modified, .. } in &self.chosen {
            key.update(format!("{path}\0{bytes} {modified}\n"));
        }
        let name = dir.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy().into_owned());
        let name = format!("{name}-{}.pixels", &hex(Sha256::digest(asked))[..16]);
        Cache::new(self.options.cache.as_deref(), &name, hex(key.finalize()), record)
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message that lists the first bad images and the remedy.
fn listed(bad: &[Bad], all: usize) -> String {
    let mut text = format!("{} of {all} images cannot be read:", bad.len());
    for Bad { path, reason } in bad.iter().take(LISTED) {
        text += &format!("\n  {path}: {reason}");
    }
    if bad.len() > LISTED {
        text += &format!("\n  and {} more", bad.len() - LISTED);
    }
    text + "\n" + SKIP_REMEDY
}
