//! Caching of decoded images.

use std::fs;

use lenslet::data::Pixels;
use lenslet::data::folder::{Options, Sets, Share};

use crate::place::{Place, files, png};

fn options() -> Options {
    Options { test: Some(Share::Count(2)), ..Options::default() }
}

fn same(a: &Sets, b: &Sets) {
    for (a, b) in [(&a.train, &b.train), (&a.test, &b.test)] {
        assert_eq!((a.bytes().unwrap(), &a.labels, &a.names), (b.bytes().unwrap(), &b.labels, &b.names));
    }
}

#[test]
fn the_second_run_decodes_nothing_and_sees_the_same() {
    let place = Place::with(&["a", "b"], 10);
    let first = place.load(&options()).unwrap();
    let second = place.load(&options()).unwrap();
    assert_eq!((first.report.decoded, second.report.decoded), (20, 0));
    same(&first, &second);
    assert_eq!(files(&place.cache()).len(), 1, "one file, and nothing left over");
}

#[test]
fn changed_images_and_options_are_decoded_again_and_take_no_more_room() {
    let place = Place::with(&["a", "b"], 10);
    place.load(&options()).unwrap();
    // The new file has the same length but another modification time.
    let before = fs::metadata(place.path("a/3.png")).unwrap().modified().unwrap();
    while fs::metadata(place.path("a/3.png")).unwrap().modified().unwrap() == before {
        place.put("a/3.png", &png(4, 4, [99; 3]));
    }
    let changed = place.load(&options()).unwrap();
    assert_eq!(changed.report.decoded, 20);
    assert!(changed.train.images.in_memory().unwrap().chunks(16).any(|image| image == [99; 16]));
    place.put("a/new.png", &png(4, 4, [98; 3]));
    assert_eq!(place.load(&options()).unwrap().report.decoded, 21);
    assert_eq!(files(&place.cache()).len(), 1);
    let other = Options { resize: lenslet::data::folder::Resize::Crop, ..options() };
    assert_eq!(place.load(&other).unwrap().report.decoded, 21);
    assert_eq!(place.load(&options()).unwrap().report.decoded, 0);
}

#[test]
fn damaged_files_are_made_again() {
    let place = Place::with(&["a", "b"], 10);
    let whole = place.load(&options()).unwrap();
    let file = files(&place.cache()).remove(0);
    let bytes = fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        bytes
    };
    let n = bytes.len();
    let damages =
        [vec![], bytes[..n / 2].to_vec(), bytes[..n - 1].to_vec(), flipped(5), flipped(n - 40), flipped(n - 14)];
    for damage in damages {
        fs::write(&file, damage).unwrap();
        let sets = place.load(&options()).unwrap();
        assert_eq!(sets.report.decoded, 20);
        same(&sets, &whole);
        assert_eq!(fs::read(&file).unwrap(), bytes);
    }
}

#[test]
fn a_cache_folder_that_cannot_be_written_costs_time_alone() {
    let place = Place::with(&["a", "b"], 10);
    // A file in place of the folder: no user can write there.
    fs::write(place.cache(), b"").unwrap();
    for _ in 0..2 {
        let sets = place.load(&options()).unwrap();
        assert_eq!((sets.report.decoded, sets.train.len()), (20, 16));
        let reason = sets.report.uncached.unwrap();
        assert!(reason.contains("cache: cannot create: "), "{reason}");
    }
    // A set larger than memory cannot do without the cache.
    place.refuses(&Options { memory: 100, ..options() }, &["cache: cannot create: "]);
}

#[test]
fn sets_of_more_bytes_than_memory_stay_in_the_file() {
    let place = Place::with(&["a", "b"], 10);
    let resident = place.load(&options()).unwrap();
    fs::remove_dir_all(place.cache()).unwrap();
    for decoded in [20, 0] {
        let sets = place.load(&Options { memory: 100, ..options() }).unwrap();
        assert_eq!(sets.report.decoded, decoded);
        assert!(matches!(sets.train.images, Pixels::File(_)) && sets.train.images.in_memory().is_none());
        assert_eq!(sets.train.images.len(), 16 * 16);
        same(&sets, &resident);
        let part = sets.train.subset(&[5, 3]).unwrap();
        assert_eq!(*part.bytes().unwrap(), [resident.train.image(5), resident.train.image(3)].concat());
    }
    let sets = place.load(&Options { memory: 100, ..options() }).unwrap();
    let file = files(&place.cache()).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[16] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = sets.train.bytes().unwrap_err().to_string();
    let reason = "offset 16: expected the 16 bytes of an image as written, found other bytes; remove the file";
    assert!(error.contains(reason), "{error}");
}
