//! The included MNIST is the original, and every kind of bad file is refused with a message that names the file, the
//! position, and the expected and found values.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use lenslet::data::{Mnist, idx};
use md5::{Digest, Md5};
use sha2::Sha256;
use tempfile::TempDir;

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// File name, and MD5 and SHA-256 of its decompressed bytes.
const CHECKSUMS: [[&str; 3]; 4] = [
    [
        TRAIN_IMAGES,
        "6bbc9ace898e44ae57da46a324031adb",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ],
    [
        TRAIN_LABELS,
        "a25bea736e30d166cdddb491f175f624",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ],
    [
        TEST_IMAGES,
        "2646ac647ad5339dbf082846283269ea",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ],
    [
        TEST_LABELS,
        "27ae3e4e09519cfbb04c329615203637",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ],
];

// ---- the bundled data -------------------------------------------------------------------------------------------

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/mnist")
}

#[test]
fn bundled_files_have_the_known_checksums() {
    let readme = fs::read_to_string(assets().join("README.md")).unwrap();
    for [name, md5, sha256] in CHECKSUMS {
        let mut plain = Vec::new();
        GzDecoder::new(fs::File::open(assets().join(format!("{name}.gz"))).unwrap()).read_to_end(&mut plain).unwrap();
        assert_eq!(hex(&Md5::digest(&plain)), md5, "{name}");
        assert_eq!(hex(&Sha256::digest(&plain)), sha256, "{name}");
        let row = format!("| `{name}` | {} | `{md5}` | `{sha256}` |", plain.len());
        assert!(readme.contains(&row), "assets/mnist/README.md has no line {row}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn bundled_is_mnist() {
    let Mnist { train, test } = Mnist::bundled().unwrap();
    assert_eq!((train.len(), train.shape, train.classes), (60_000, [1, 28, 28], 10));
    assert_eq!((test.len(), test.shape, test.classes), (10_000, [1, 28, 28], 10));
    assert_eq!((train.images.len(), test.images.len()), (60_000 * 784, 10_000 * 784));
    // The well-known first digits: the training set starts with 5 0 4 1 9, the test set with 7 2 1 0 4.
    assert_eq!((&train.labels[..5], &test.labels[..5]), (&[5, 0, 4, 1, 9][..], &[7, 2, 1, 0, 4][..]));
    let per_class = |class| test.labels.iter().filter(|&&label| label == class).count();
    let counts: Vec<usize> = (0..10).map(per_class).collect();
    assert_eq!(counts, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    // Dark corners, ink in the middle.
    assert_eq!(train.image(0)[0], 0);
    assert!(train.image(0)[14 * 28 + 14] > 128);
}

#[test]
fn bundled_is_found_from_any_working_directory() {
    let elsewhere = TempDir::new().unwrap();
    rerun("bundled_is_mnist", |test| test.current_dir(elsewhere.path()).env_remove("LENSLET_ASSETS"));
}

#[test]
fn bundled_is_taken_from_the_environment() {
    // In the process started below.
    if std::env::var_os("LENSLET_TEST_RERUN").is_some() {
        assert_eq!(Mnist::bundled().unwrap().train.len(), 3);
        return;
    }
    let assets = TempDir::new().unwrap();
    write_set(&assets.path().join("mnist"), |name| name.to_string());
    rerun("bundled_is_taken_from_the_environment", |test| {
        test.env("LENSLET_ASSETS", assets.path()).env("LENSLET_TEST_RERUN", "1")
    });
}

/// Runs one test of this file in a separate process, since environment and working directory are per process.
fn rerun(test: &str, change: impl FnOnce(&mut Command) -> &mut Command) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = change(command.args(["--exact", test])).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{test}: {stdout}");
}

// ---- other sets -------------------------------------------------------------------------------------------------

/// An IDX file of bytes.
fn idx_bytes(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let magic = 0x0800 + dims.len() as u32;
    let header = [magic].iter().chain(dims).flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    [&header, data].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The smallest data set: three training and two test images of 2x3.
fn small(name: &str) -> Vec<u8> {
    match name {
        TRAIN_IMAGES => idx_bytes(&[3, 2, 3], &(0..18).collect::<Vec<u8>>()),
        TRAIN_LABELS => idx_bytes(&[3], &[9, 0, 4]),
        TEST_IMAGES => idx_bytes(&[2, 2, 3], &(100..112).collect::<Vec<u8>>()),
        TEST_LABELS => idx_bytes(&[2], &[1, 2]),
        _ => unreachable!(),
    }
}

/// Writes the smallest data set under other names; names that end in `.gz` are compressed.
fn write_set(dir: &Path, rename: impl Fn(&str) -> String) {
    fs::create_dir_all(dir).unwrap();
    for [name, ..] in CHECKSUMS {
        let (bytes, name) = (small(name), rename(name));
        fs::write(dir.join(&name), if name.ends_with(".gz") { gzip(&bytes) } else { bytes }).unwrap();
    }
}

#[test]
fn plain_and_gzipped_in_every_spelling_are_equal() {
    let spellings: [fn(&str) -> String; 6] = [
        |name| name.to_string(),
        |name| format!("{name}.gz"),
        |name| name.replace("-idx", ".idx"),
        |name| name.replace("-idx", ".idx") + ".gz",
        |name| format!("emnist-digits-{}.gz", name.replace("t10k", "test")),
        |name| if name.starts_with("train") { name.to_string() } else { format!("{name}.gz") },
    ];
    for rename in spellings {
        let dir = TempDir::new().unwrap();
        write_set(dir.path(), rename);
        let Mnist { train, test } = Mnist::from_dir(dir.path()).unwrap();
        assert_eq!((train.shape, train.classes, train.labels.as_slice()), ([1, 2, 3], 10, &[9, 0, 4][..]));
        assert_eq!((test.shape, test.classes, test.labels.as_slice()), ([1, 2, 3], 10, &[1, 2][..]));
        assert_eq!((train.image(1), test.image(1)), (&[6, 7, 8, 9, 10, 11][..], &[106, 107, 108, 109, 110, 111][..]));
    }
}

#[test]
fn gzip_is_told_by_content_and_not_by_name() {
    let dir = TempDir::new().unwrap();
    let packed_as_plain = dir.path().join(TRAIN_LABELS);
    fs::write(&packed_as_plain, gzip(&small(TRAIN_LABELS))).unwrap();
    let plain_as_packed = dir.path().join(format!("{TRAIN_LABELS}.gz"));
    fs::write(&plain_as_packed, small(TRAIN_LABELS)).unwrap();
    assert_eq!(idx::read_labels(packed_as_plain, 10).unwrap(), [9, 0, 4]);
    assert_eq!(idx::read_labels(plain_as_packed, 10).unwrap(), [9, 0, 4]);
}

// ---- bad files --------------------------------------------------------------------------------------------------

/// The loader's message if one file of the smallest data set has this content, with the folder removed.
fn refusal(name: &str, content: &[u8]) -> String {
    let dir = TempDir::new().unwrap();
    write_set(dir.path(), |name| name.to_string());
    fs::write(dir.path().join(name), content).unwrap();
    refusal_of(dir.path())
}

fn refusal_of(dir: &Path) -> String {
    let message = Mnist::from_dir(dir).unwrap_err().to_string();
    assert!(message.contains(dir.to_str().unwrap()), "the folder is not named: {message}");
    let inside = format!("{}{}", dir.display(), std::path::MAIN_SEPARATOR);
    message.replace(&inside, "").replace(dir.to_str().unwrap(), "DIR")
}

#[test]
fn bad_files_are_refused_with_place_expected_and_found() {
    let images = small(TRAIN_IMAGES);
    let huge = idx_bytes(&[u32::MAX; 3], &[]);
    let page = b"<!DOCTYPE html><title>404</title>";
    let cases: [(&str, &[u8], &str); 17] = [
        (TRAIN_IMAGES, &[], "empty file: expected an IDX header of 16 bytes, found 0"),
        (TRAIN_IMAGES, &gzip(&[]), "empty gzip stream: expected an IDX header of 16 bytes, found 0"),
        (TRAIN_LABELS, &[0, 0], "offset 2: truncated header: expected 8 bytes, found 2"),
        (TRAIN_IMAGES, &images[..11], "offset 11: truncated header: expected 16 bytes, found 11"),
        (
            TRAIN_IMAGES,
            &small(TRAIN_LABELS),
            "offset 0: expected magic 0x00000803 (u8, 3 dimensions), found 0x00000801 (u8, 1 dimension)",
        ),
        (
            TEST_LABELS,
            page,
            "offset 0: expected magic 0x00000801 (u8, 1 dimension), found 0x3c21444f (not an IDX file)",
        ),
        (
            TRAIN_IMAGES,
            &images[..30],
            "offset 30: truncated data: expected 18 bytes of data (3x2x3 in the header), found 14",
        ),
        (
            TRAIN_IMAGES,
            &gzip(&images[..30]),
            "offset 30 (decompressed): truncated data: expected 18 bytes of data (3x2x3 in the header), found 14",
        ),
        (
            TEST_LABELS,
            &idx_bytes(&[2], &[1, 2, 3]),
            "offset 10: trailing bytes: expected 2 bytes of data (2 in the header), found more",
        ),
        (
            TEST_LABELS,
            &gzip(&idx_bytes(&[2], &[1, 2, 3])),
            "offset 10 (decompressed): trailing bytes: expected 2 bytes of data (2 in the header), found more",
        ),
        (TRAIN_IMAGES, &idx_bytes(&[0, 2, 3], &[]), "offset 4: expected dimension 0 of at least 1, found 0"),
        (TRAIN_IMAGES, &idx_bytes(&[3, 2, 0], &[]), "offset 12: expected dimension 2 of at least 1, found 0"),
        (TRAIN_LABELS, &idx_bytes(&[0], &[]), "offset 4: expected dimension 0 of at least 1, found 0"),
        (TRAIN_IMAGES, &huge, "offset 4: expected dimensions that fit memory, found 4294967295x4294967295x4294967295"),
        (TRAIN_LABELS, &idx_bytes(&[3], &[9, 10, 4]), "offset 9: label 1 (counted from 0): expected 0 to 9, found 10"),
        (
            TRAIN_LABELS,
            &gzip(&idx_bytes(&[3], &[9, 0, 255])),
            "offset 10 (decompressed): label 2 (counted from 0): expected 0 to 9, found 255",
        ),
        (
            TRAIN_LABELS,
            &idx_bytes(&[2], &[9, 0]),
            "offset 4: expected 3 labels, one for each image of train-images-idx3-ubyte, found 2",
        ),
    ];
    for (name, content, expected) in cases {
        assert_eq!(refusal(name, content), format!("{name}: {expected}"));
    }
}

#[test]
fn damaged_gzip_is_refused() {
    let packed = gzip(&small(TRAIN_IMAGES));
    let mut bad_checksum = packed.clone();
    let checksum = packed.len() - 8;
    bad_checksum[checksum] ^= 1;
    for damaged in [&packed[..2], &packed[..packed.len() / 2], &packed[..packed.len() - 3], &bad_checksum] {
        let message = refusal(TRAIN_IMAGES, damaged);
        assert!(message.starts_with("train-images-idx3-ubyte: offset "), "{message}");
        assert!(message.contains(" (decompressed): expected gzip data, found a damaged stream: "), "{message}");
    }
}

#[test]
fn training_and_test_images_of_different_size_are_refused() {
    let message = refusal(TEST_IMAGES, &idx_bytes(&[2, 3, 2], &[0; 12]));
    let expected = "offset 8: expected images of 2x3 as in train-images-idx3-ubyte, found 3x2";
    assert_eq!(message, format!("{TEST_IMAGES}: {expected}"));
}

#[test]
fn missing_files_are_named_with_every_spelling() {
    let dir = TempDir::new().unwrap();
    write_set(dir.path(), |name| name.to_string());
    fs::remove_file(dir.path().join(TRAIN_LABELS)).unwrap();
    fs::remove_file(dir.path().join(TEST_IMAGES)).unwrap();
    assert_eq!(
        refusal_of(dir.path()),
        "DIR: expected a folder with the four IDX files of an MNIST-like set, found no train-labels-idx1-ubyte (tried \
         train-labels-idx1-ubyte, train-labels-idx1-ubyte.gz, train-labels.idx1-ubyte, train-labels.idx1-ubyte.gz, \
         emnist-digits-train-labels-idx1-ubyte, emnist-digits-train-labels-idx1-ubyte.gz); no t10k-images-idx3-ubyte \
         (tried t10k-images-idx3-ubyte, t10k-images-idx3-ubyte.gz, t10k-images.idx3-ubyte, t10k-images.idx3-ubyte.gz, \
         emnist-digits-test-images-idx3-ubyte, emnist-digits-test-images-idx3-ubyte.gz)"
    );
}

#[test]
fn a_path_that_is_no_folder_is_refused() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("mnist.zip");
    fs::write(&file, "zip").unwrap();
    let expected = "expected a folder with the four IDX files of an MNIST-like set";
    assert_eq!(refusal_of(&file), format!("DIR: {expected}, found a file"));
    assert_eq!(refusal_of(&dir.path().join("none")), format!("DIR: {expected}, found no such folder"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = TempDir::new().unwrap();
    let message = idx::read_images(dir.path()).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: cannot read: ", dir.path().display())), "{message}");
}
