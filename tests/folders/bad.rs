//! Invalid folders and images.

use std::fs;

use image::{ImageFormat, Rgb, RgbImage};
use lenslet::data::folder::{Options, Share, load};

use crate::place::{FORMATS, Place, encoded, png};

/// Only one image per class is tested, the rest is used for training.
fn one_tested() -> Options {
    Options { test: Some(Share::Count(1)), ..Options::default() }
}

fn skipping() -> Options {
    Options { skip_bad: true, ..one_tested() }
}

#[test]
fn bad_images_are_listed_or_left_out_if_asked() {
    let place = Place::with(&["a", "b"], 20);
    let noise = RgbImage::from_fn(40, 40, |x, y| Rgb([(x * 97 + y * 31) as u8, (x * y) as u8, (x ^ y) as u8]));
    place.put("a/bad0.png", b"");
    place.put("a/bad1.png", b"not an image at all");
    place.put("a/bad2.png", b"II*\0 a TIFF file");
    for (i, (extension, format)) in FORMATS.into_iter().enumerate() {
        let file = encoded(&noise.clone().into(), format);
        place.put(&format!("a/bad{}.{extension}", 3 + i), &file[..file.len() * 2 / 3]);
        place.put(&format!("b/good{i}.{extension}"), &file);
        // Only a header.
        place.put(&format!("b/head{i}.{extension}"), &file[..24]);
    }
    // Bytes after the end of a JPEG are ignored.
    let jpeg = encoded(&noise.into(), ImageFormat::Jpeg);
    place.put("b/good9.jpg", &[&jpeg[..], b"trailer"].concat());

    let some_tested = Options { test: Some(Share::Count(20)), ..Options::default() };
    place.refuses(
        &some_tested,
        &[
            "data: 13 of 59 images cannot be read:",
            "\n  a/bad0.png: an empty file\n",
            "\n  a/bad1.png: expected JPEG, PNG, BMP, GIF or WebP by its first bytes, found none of them\n",
            "\n  a/bad2.png: expected JPEG, PNG, BMP, GIF or WebP by its first bytes, found Tiff\n",
            "\n  a/bad3.jpg: a truncated JPEG file\n",
            "\n  and 3 more\n",
            "\nrepair or remove them, or skip them",
        ],
    );
    // The second time the cache is used.
    for _ in 0..2 {
        let sets = place.load(&Options { skip_bad: true, ..some_tested.clone() }).unwrap();
        assert_eq!(sets.report.bad.len(), 13, "{:?}", sets.report.bad);
        assert_eq!(sets.train.len() + sets.test.len(), 46);
        let left_out = |bad: &str| sets.report.bad.iter().any(|found| found.path == bad);
        assert!(["a/bad7.webp", "b/head0.jpg"].into_iter().all(left_out));
        assert_eq!(sets.report.decoded, 0, "the refusal above has decoded them already");
    }
}

#[test]
fn a_image_that_claims_to_be_huge_is_bad_before_it_takes_memory() {
    let place = Place::with(&["a", "b"], 5);
    // The size is at byte 16, and a checksum follows the header's 13 bytes.
    let mut file = png(1, 1, [0; 3]);
    file[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let mut crc = flate2::Crc::new();
    crc.update(&file[12..29]);
    file[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    place.put("a/huge.png", &file);
    place.refuses(&one_tested(), &["a/huge.png: an image of 65536x65536, more than 512 MiB when decoded"]);
}

#[test]
fn a_class_that_only_has_bad_images_is_refused_even_if_they_are_left_out() {
    let place = Place::with(&["a", "b"], 5);
    (0..4).for_each(|i| place.put(&format!("c/{i}.png"), b"?"));
    place.refuses(
        &skipping(),
        &["class \"c\": train: expected at least one readable image, found none; 4 of 14 images"],
    );
    let place = Place::new();
    (0..8).for_each(|i| place.put(&format!("{}/{i}.png", ["a", "b"][i % 2]), b"?"));
    place.refuses(&skipping(), &["8 of 8 images cannot be read:"]);
}

#[test]
fn folders_without_classes_are_refused() {
    let refuses = |place: &Place, parts: &[&str]| place.refuses(&one_tested(), parts);
    let expected = "expected a folder per class with JPEG, PNG, BMP, GIF or WebP files";
    refuses(&Place::new(), &[expected, "found no folder in it"]);
    refuses(&Place::with(&["only"], 3), &[expected, "found only one class: only"]);
    let place = Place::with(&["a", "b"], 3);
    place.put("c/readme.txt", b"x");
    fs::create_dir_all(place.path("d/deeper")).unwrap();
    refuses(&place, &["expected images in the folder of each class, found none in c, d; add some or remove it"]);
    let place = Place::new();
    (0..257).for_each(|i| fs::create_dir(place.path(&format!("class{i}"))).unwrap());
    refuses(&place, &["expected at most 256 classes, found 257 folders"]);
    let place = Place::with(&["train/a", "train/b", "test/a", "test/c"], 3);
    refuses(&place, &["test: expected the classes of train: a, b; found a, c"]);
    let place = Place::with(&["train/a", "train/b", "val/a", "val/b", "valid/a", "valid/b"], 3);
    refuses(&place, &["expected one folder of validation, valid, val, found several"]);
    let file = Place::with(&["a", "b"], 3).path("a/0.png");
    assert!(load(file, [1, 4, 4], 1, &one_tested(), &|_, _| ()).is_err());
    let error = load("/no/such", [1, 4, 4], 1, &one_tested(), &|_, _| ()).unwrap_err().to_string();
    assert!(error.starts_with("/no/such: cannot read: "), "{error}");
    let error = load(Place::new().data(), [2, 4, 4], 1, &one_tested(), &|_, _| ()).unwrap_err().to_string();
    assert_eq!(
        error,
        "shape for images: expected [1, H, W] for grayscale or [3, H, W] for red, green and blue, found [2, 4, 4]"
    );
}

#[test]
fn what_is_no_image_by_its_name_is_left_out_and_counted() {
    let place = Place::with(&["a", "b"], 4);
    for name in ["a/Thumbs.db", "a/notes.txt", "b/more.TXT", "b/plain", "stray.png", "a/._0.png", ".hidden/0.png"] {
        place.put(name, b"?");
    }
    let report = place.load(&one_tested()).unwrap().report;
    let ignored: Vec<(&str, usize)> = report.ignored.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(ignored, [(".db", 1), (".png", 1), (".txt", 2), ("plain", 1)]);
}

#[test]
fn classes_may_differ_by_case_alone_and_256_are_allowed() {
    let place = Place::with(&["b", "B", "a"], 3);
    let sets = place.load(&one_tested()).unwrap();
    // On case-insensitive file systems there are two classes.
    assert!(sets.train.names == ["B", "a", "b"] || sets.train.names.len() == 2);
    let place = Place::new();
    (0..256).for_each(|i| (0..2).for_each(|n| place.put(&format!("{i:03}/{n}.png"), &png(1, 1, [i as u8; 3]))));
    let sets = place.load(&one_tested()).unwrap();
    assert_eq!((sets.train.classes, sets.train.labels[255], sets.train.image(255)[0]), (256, 255, 255));
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;
    let place = Place::with(&["a", "b"], 4);
    symlink(place.path("a/0.png"), place.path("b/link.png")).unwrap();
    assert_eq!(place.load(&one_tested()).unwrap().train.len(), 7);
    symlink(place.path("gone.png"), place.path("b/broken.png")).unwrap();
    place.refuses(&one_tested(), &["1 of 10 images cannot be read:\n  b/broken.png: No such file"]);
    fs::remove_file(place.path("b/broken.png")).unwrap();
    symlink(place.path("a"), place.path("a/round")).unwrap();
    place.refuses(&one_tested(), &["a/round: expected a folder, found a cyclic link to ", "data/a"]);
}
