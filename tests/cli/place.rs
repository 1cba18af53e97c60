//! A temporary folder with a small data set in which commands are run and their output is checked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::pictures;

pub const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
pub const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
pub const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
pub const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// A temporary folder with a small data set in `data`.
pub struct Place {
    pub folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { folder: TempDir::new().unwrap() };
        write_data(&place.path("data"));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command with these arguments, separated by spaces.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lenslet"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path()).stdin(Stdio::null());
        for variable in ["LENSLET_DEVICE", "LENSLET_ASSETS", "LENSLET_TRACE"] {
            command.env_remove(variable);
        }
        // Without it Mesa prints warnings to standard error.
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        command.env("LENSLET_CACHE", self.path("cache"));
        command
    }

    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed; returns standard output and standard error.
    pub fn succeeds(&self, arguments: &str) -> [String; 2] {
        succeeded(arguments, self.run(arguments))
    }

    /// Runs a command that must succeed and print one JSON object per line.
    pub fn json(&self, arguments: &str) -> Vec<Value> {
        let [out, _] = self.succeeds(arguments);
        objects(&out)
    }

    /// Runs a command that must fail with this exit status and one message with these parts, leaving all files
    /// unchanged.
    pub fn refuses(&self, arguments: &str, status: i32, parts: &[&str]) {
        let before = files(self.folder.path());
        self.refused(arguments, self.run(arguments), status, parts);
        assert!(files(self.folder.path()) == before, "{arguments}: files have changed");
    }

    pub fn refused(&self, arguments: &str, output: Output, status: i32, parts: &[&str]) {
        let [out, err] = texts(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments}: {err}");
        assert!(out.is_empty(), "{arguments} prints {out}");
        assert!(!err.contains("panicked"), "{arguments}: {err}");
        assert_eq!(err.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{arguments}: {err}");
        let said: Vec<&str> =
            err.lines().flat_map(|line| line.split(": ")).filter(|words| words.contains("os error")).collect();
        assert!(said.len() < 2, "{arguments}: {err:?} gives the system's reason twice");
        for part in parts {
            assert!(err.contains(part), "{arguments}: {err:?} lacks {part:?}");
        }
    }
}

pub fn texts(output: &Output) -> [String; 2] {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8(bytes.clone()).unwrap())
}

pub fn succeeded(arguments: &str, output: Output) -> [String; 2] {
    let [out, err] = texts(&output);
    assert!(output.status.success(), "{arguments}: {:?} {err}", output.status.code());
    assert!(!err.contains("panicked"), "{arguments}: {err}");
    [out, err]
}

pub fn objects(out: &str) -> Vec<Value> {
    let object = |line: &str| match serde_json::from_str(line) {
        Ok(value @ Value::Object(_)) => value,
        other => panic!("{line:?} is no object: {other:?}"),
    };
    out.lines().map(object).collect()
}

pub fn has(object: &Value, fields: &[&str]) {
    fields.iter().for_each(|field| assert!(object.get(field).is_some(), "{object} lacks {field:?}"));
}

/// Every file below a folder with its content.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
            all.insert(path, vec![]);
        } else {
            all.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    all
}

pub fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let magic = 0x0800 + dims.len() as u32;
    let header = [magic].iter().chain(dims).flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    [&header, data].concat()
}

/// Writes the four files of a data set with 320 training and 90 test images.
pub fn write_data(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (images, labels, count) in [(TRAIN_IMAGES, TRAIN_LABELS, 320), (TEST_IMAGES, TEST_LABELS, 90)] {
        let (pixels, classes) = pictures::pictures(count, [1, 28, 28], 10);
        fs::write(folder.join(images), idx(&[count as u32, 28, 28], &pixels)).unwrap();
        fs::write(folder.join(labels), idx(&[count as u32], &classes)).unwrap();
    }
}
