//! The pixels of a data set: in memory, or in a file that is read on demand.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flate2::Crc;

use crate::{Error, Result};

/// The pixels of all images of a set, C·H·W bytes each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// In memory, image after image without gaps. Clones share the buffer.
    Memory(Arc<Vec<u8>>),
    /// In a file, which may be larger than memory.
    File(Records),
}

impl Pixels {
    /// Size of all images in bytes.
    pub fn len(&self) -> usize {
        match self {
            Pixels::Memory(bytes) => bytes.len(),
            Pixels::File(records) => records.numbers.len() * records.store.record,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes, if they are in memory.
    pub fn in_memory(&self) -> Option<&[u8]> {
        match self {
            Pixels::Memory(bytes) => Some(bytes),
            Pixels::File(_) => None,
        }
    }

    /// Copies the images with these indices, of `image` bytes each, to `into`.
    pub(super) fn read(&self, numbers: &[u32], image: usize, into: &mut [u8]) -> Result<()> {
        match self {
            Pixels::Memory(bytes) => {
                let from = numbers.iter().map(|&i| &bytes[i as usize * image..][..image]);
                into.chunks_exact_mut(image).zip(from).for_each(|(to, from)| to.copy_from_slice(from));
                Ok(())
            }
            Pixels::File(records) => records.read(numbers, into),
        }
    }

    /// The images with these indices; a file is not read.
    pub(super) fn subset(&self, numbers: &[u32], image: usize) -> Pixels {
        match self {
            Pixels::Memory(bytes) => {
                let images = numbers.iter().flat_map(|&i| &bytes[i as usize * image..][..image]);
                images.copied().collect::<Vec<_>>().into()
            }
            Pixels::File(records) => {
                let numbers = numbers.iter().map(|&i| records.numbers[i as usize]).collect();
                Pixels::File(Records { store: records.store.clone(), numbers })
            }
        }
    }
}

impl From<Vec<u8>> for Pixels {
    fn from(bytes: Vec<u8>) -> Self {
        Pixels::Memory(Arc::new(bytes))
    }
}

/// Images in a file.
#[derive(Clone, Debug)]
pub struct Records {
    store: Arc<Store>,
    /// The record number of each image.
    numbers: Vec<u32>,
}

/// A file that begins with records of equal size.
#[derive(Debug)]
struct Store {
    path: PathBuf,
    file: Mutex<File>,
    /// Record size in bytes.
    record: usize,
    /// The CRC-32 of each record.
    checks: Vec<u32>,
}

impl Records {
    /// The records of `record` bytes at the start of a file, with the CRC-32 of each.
    pub fn new(path: impl AsRef<Path>, file: File, record: usize, checks: Vec<u32>) -> Self {
        let numbers = (0..checks.len() as u32).collect();
        let (path, file) = (path.as_ref().to_path_buf(), Mutex::new(file));
        Self { store: Arc::new(Store { path, file, record, checks }), numbers }
    }

    /// Copies images in file order, so that the file is read sequentially.
    fn read(&self, numbers: &[u32], into: &mut [u8]) -> Result<()> {
        let Store { path, file, record, checks } = &*self.store;
        let mut places: Vec<(u32, &mut [u8])> =
            numbers.iter().map(|&i| self.numbers[i as usize]).zip(into.chunks_exact_mut(*record)).collect();
        places.sort_unstable_by_key(|(number, _)| *number);
        let mut file = file.lock().expect("no panic while the lock is held");
        for (number, to) in places {
            let at = u64::from(number) * *record as u64;
            let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(to));
            match read {
                Ok(()) if check(to) == checks[number as usize] => {}
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                    return Err(Error::io(path, "read")(error));
                }
                _ => {
                    let damage = format!("offset {at}: expected the {record} bytes of an image as written");
                    return Err(Error::data(path, damage + ", found other bytes; remove the file, it is rewritten"));
                }
            }
        }
        Ok(())
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.store, &other.store);
        a.path == b.path && a.record == b.record && a.checks == b.checks && self.numbers == other.numbers
    }
}

impl Eq for Records {}

/// The CRC-32 of a record.
pub fn check(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}
