//! A cache file of decoded images in the user's cache folder: records, then a JSON table of contents and its length.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::folder::decode::Bad;
use crate::data::pixels;
use crate::data::pixels::Records;
use crate::formats::replace_file;
use crate::{Error, Result, gpu};

/// The last bytes of each file: the length of the JSON table, its CRC-32, four zeros, and this signature.
const MAGIC: [u8; 4] = *b"LLP1";
const END: u64 = 16;

/// The cache file of one image folder.
pub struct Cache {
    path: PathBuf,
    /// The source files and options that the records were made from. A file with another key is out of date.
    key: String,
    /// Record size in bytes.
    record: usize,
}

/// The table of contents after the records.
#[derive(Serialize, Deserialize)]
pub struct Contents {
    key: String,
    /// The CRC-32 of each record.
    pub checks: Vec<u32>,
    /// Images that could not be decoded and have no record.
    pub bad: Vec<Bad>,
}

impl Cache {
    /// The cache file `name` in `folder`, by default in the user's cache folder. `None` if the system has no such
    /// folder.
    pub fn new(folder: Option<&Path>, name: &str, key: String, record: usize) -> Option<Self> {
        let folder = folder.map(Path::to_path_buf).or_else(|| gpu::cache_path("pictures"))?;
        Some(Self { path: folder.join(name), key, record })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The records and table of contents; `None` if the file is missing, out of date or damaged.
    pub fn open(&self) -> Option<(Records, Contents)> {
        let mut file = File::open(&self.path).ok()?;
        let contents = self.contents(&mut file).ok()??;
        Some((Records::new(&self.path, file, self.record, contents.checks.clone()), contents))
    }

    fn contents(&self, file: &mut File) -> io::Result<Option<Contents>> {
        let length = file.metadata()?.len();
        let mut end = [0; END as usize];
        file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
        file.read_exact(&mut end)?;
        let [size, rest @ ..]: [[u8; 4]; 4] = std::array::from_fn(|i| [0, 1, 2, 3].map(|k| end[4 * i + k]));
        let text = u64::from(u32::from_le_bytes(size));
        if rest[1..] != [[0; 4], MAGIC] || text + END > length {
            return Ok(None);
        }
        let mut bytes = vec![0; text as usize];
        file.seek(SeekFrom::Start(length - END - text))?;
        file.read_exact(&mut bytes)?;
        let is_whole = pixels::check(&bytes) == u32::from_le_bytes(rest[0]);
        let contents: Option<Contents> = if is_whole { serde_json::from_slice(&bytes).ok() } else { None };
        let fits = |contents: &Contents| {
            contents.key == self.key && (contents.checks.len() * self.record) as u64 == length - END - text
        };
        Ok(contents.filter(fits))
    }

    /// Rewrites the file. `fill` passes the records one by one to its argument and returns the images that have none.
    ///
    /// Errors: the folder cannot be written; the disk is full. An older file is then left unchanged.
    pub fn replace(
        &self,
        fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<Vec<Bad>>,
    ) -> Result<()> {
        let folder = self.path.parent().expect("it has a file name");
        fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        replace_file(&self.path, |out| {
            let mut checks = vec![];
            let bad = fill(&mut |record| {
                checks.push(pixels::check(record));
                out.write_all(record)
            })?;
            let contents = Contents { key: self.key.clone(), checks, bad };
            let text = serde_json::to_vec(&contents)?;
            let size = u32::try_from(text.len()).map_err(io::Error::other)?;
            out.write_all(&text)?;
            out.write_all(&size.to_le_bytes())?;
            out.write_all(&pixels::check(&text).to_le_bytes())?;
            out.write_all(&[0; 4])?;
            out.write_all(&MAGIC)
        })
    }
}
