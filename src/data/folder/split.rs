//! The split of a folder's images into sets.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::data::folder::listing::{ImageFile, Listing};
use crate::data::folder::options::{Options, Share};
use crate::{Error, Result};

const NAMES: [&str; 3] = ["train", "validation", "test"];
const TRAIN: usize = 0;
const VALIDATION: usize = 1;
const TEST: usize = 2;

/// Default fractions of the validation and test sets.
const VALIDATED: f64 = 0.1;
const TESTED: f64 = 0.2;

/// The end of the message for a class with too few images.
pub const COUNTS_REMEDY: &str = "add images, or set other counts";

/// The images of the training, validation and test set, each sorted by path. The validation set may be empty.
///
/// Errors: fractions and counts mixed for the images of one folder; a class with too few images.
pub fn split(dir: &Path, listing: &Listing, options: &Options, seed: u64) -> Result<[Vec<ImageFile>; 3]> {
    let mut asked = [options.train, options.validation, options.test];
    let has_folder = |set: usize| set != TRAIN && listing.sets[set].is_some();
    let drawn: Vec<usize> = (0..3).filter(|&set| !has_folder(set)).collect();
    let counts = drawn.iter().any(|&set| matches!(asked[set], Some(Share::Count(n)) if n > 0));
    for &set in &drawn {
        asked[set] = match (set, asked[set], counts) {
            (_, Some(Share::Count(0)), _) => Some(Share::Count(0)),
            (_, Some(Share::Part(part)), true) => {
                let expected = "a count, because another set of these images is given as a count";
                return Err(Error::option(NAMES[set], expected, Share::Part(part)));
            }
            (TEST, None, true) => {
                return Err(Error::option(
                    NAMES[TEST],
                    "a count such as 500, because another set is given as a count",
                    "none",
                ));
            }
            (VALIDATION, None, false) => Some(Share::Part(VALIDATED)),
            (TEST, None, false) => Some(Share::Part(TESTED)),
            (_, given, _) => given,
        };
    }
    for set in [TRAIN, TEST] {
        if let Some(none @ (Share::Count(0) | Share::Part(0.0))) = asked[set] {
            return Err(Error::option(NAMES[set], "at least 1 image of each class", none));
        }
    }
    let part = |set: usize| match asked[set] {
        Some(Share::Part(part)) if drawn.contains(&set) => part,
        _ => 0.0,
    };
    let whole: f64 = (0..3).map(part).sum();
    // Decimal fractions that add up to 1 may exceed it in binary.
    if whole > 1.0 + 1e-9 {
        return Err(Error::option("fractions of the images", "a sum of at most 1", whole));
    }

    let mut taken = [vec![], vec![], vec![]];
    for (class, name) in listing.names.iter().enumerate() {
        let numbered = |set: usize| {
            let images = listing.sets[set].iter().flatten().filter(|image| usize::from(image.class) == class);
            let mut numbered: Vec<(u64, &ImageFile)> = images.map(|p| (number(seed, name, &p.within), p)).collect();
            numbered.sort_by(|a, b| (a.0, &a.1.path).cmp(&(b.0, &b.1.path)));
            numbered
        };
        let too_few = |set: usize, wanted: usize, there: usize| {
            let reason = format!("class \"{name}\": {}: expected {wanted} images, found {there}", NAMES[set]);
            Error::data(dir, reason + "; " + COUNTS_REMEDY)
        };
        for set in [VALIDATION, TEST].into_iter().filter(|&set| has_folder(set)) {
            let own = numbered(set);
            let count = match asked[set] {
                None => own.len(),
                Some(Share::Count(count)) => count,
                Some(Share::Part(part)) => own.partition_point(|(number, _)| unit(*number) < part).max(1),
            };
            if count > own.len() {
                return Err(too_few(set, count, own.len()));
            }
            taken[set].extend(own[..count].iter().map(|(_, image)| (*image).clone()));
        }
        let pool = numbered(TRAIN);
        let below = |end: f64| pool.partition_point(|(number, _)| unit(*number) < end);
        // Range boundaries of the test, validation and training images.
        let [test, validation, train] = match counts {
            true => {
                let count = |set: usize| match asked[set] {
                    Some(Share::Count(count)) if drawn.contains(&set) => count,
                    _ => 0,
                };
                let held_out = count(TEST).saturating_add(count(VALIDATION));
                let wanted = held_out.saturating_add(count(TRAIN).max(1));
                if wanted > pool.len() {
                    let all = format!("class \"{name}\": expected {wanted} images for all sets");
                    return Err(Error::data(dir, format!("{all}, found {}; reduce the counts", pool.len())));
                }
                let first = if asked[TRAIN].is_some() { pool.len() - count(TRAIN) } else { held_out };
                [count(TEST), held_out, first]
            }
            false => {
                let held_out = part(TEST) + part(VALIDATION);
                let first = asked[TRAIN].map_or(held_out, |_| (1.0 - part(TRAIN)).max(held_out));
                [below(part(TEST)), below(held_out), below(first)]
            }
        };
        let ranges = [train..pool.len(), test..validation, 0..test];
        for &set in &drawn {
            // A small fraction of few images may be empty. Only the validation set may be.
            if ranges[set].is_empty() && set != VALIDATION {
                return Err(too_few(set, 1, 0));
            }
            taken[set].extend(pool[ranges[set].clone()].iter().map(|(_, image)| (*image).clone()));
        }
    }
    taken.iter_mut().for_each(|images| images.sort_by(|a, b| a.path.cmp(&b.path)));
    Ok(taken)
}

/// The hash of an image under a seed: the first eight bytes of a SHA-256.
fn number(seed: u64, class: &str, within: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update((class.len() as u64).to_le_bytes());
    hash.update(class);
    hash.update(within);
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The hash mapped to `[0, 1)` exactly, from its highest 53 bits.
fn unit(number: u64) -> f64 {
    (number >> 11) as f64 / (1u64 << 53) as f64
}
