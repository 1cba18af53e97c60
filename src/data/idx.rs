//! IDX files of image sets: unsigned bytes in one dimension (labels) or three (images).
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 2 | zero |
//! | 2 | 1 | element type, 0x08 for unsigned bytes |
//! | 3 | 1 | number of dimensions R |
//! | 4 | 4·R | the dimensions, slowest first, big-endian |
//! | 4 + 4·R | product of the dimensions | the elements |
//!
//! Gzip is detected from the first two bytes, not the file name. Offsets in error messages count decompressed bytes.
//! Sizes in headers are not trusted: memory grows with the bytes actually read, and decompression stops one byte after
//! the declared size.
//!
//! Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::data::{allowed_labels, first_label_over};
use crate::error::{Error, Result};

/// The signature of a gzip stream (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Grayscale images of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// `count`·`height`·`width` bytes, row after row, image after image.
    pub pixels: Vec<u8>,
    /// Number of images, at least 1.
    pub count: usize,
    /// Rows of an image, at least 1.
    pub height: usize,
    /// Columns of an image, at least 1.
    pub width: usize,
}

/// Reads an IDX file of images, plain or gzipped.
///
/// Errors: a file that cannot be read; an empty, truncated or overlong one; another magic than 0x00000803; a dimension
/// of 0 or dimensions too large for memory; a damaged gzip stream. Each names file and offset, expected and found.
pub fn read_images(path: impl AsRef<Path>) -> Result<Images> {
    let Idx { dims: [count, height, width], data, .. } = read(path.as_ref())?;
    Ok(Images { pixels: data, count, height, width })
}

/// Reads an IDX file of labels, plain or gzipped; each label is below `classes`.
///
/// Errors: as [`read_images`], with magic 0x00000801; a label that is not below `classes`.
pub fn read_labels(path: impl AsRef<Path>, classes: usize) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let idx: Idx<1> = read(path)?;
    if let Some(i) = first_label_over(&idx.data, classes) {
        let at = at(header_len(1) + i, idx.gzipped);
        let (allowed, found) = (allowed_labels(classes), idx.data[i]);
        return Err(Error::data(path, format!("{at}: label {i} (counted from 0): expected {allowed}, found {found}")));
    }
    Ok(idx.data)
}

/// The content of an IDX file of bytes.
#[derive(Debug)]
struct Idx<const RANK: usize> {
    dims: [usize; RANK],
    data: Vec<u8>,
    gzipped: bool,
}

fn read<const RANK: usize>(path: &Path) -> Result<Idx<RANK>> {
    let file = File::open(path).map_err(Error::io(path, "read"))?;
    let len = file.metadata().map_err(Error::io(path, "read"))?.len();
    parse(path, file, usize::try_from(len).unwrap_or(0))
}

/// Parses IDX bytes, plain or gzipped. `len` is the size of `file` in bytes, a hint for the first allocation.
fn parse<const RANK: usize>(path: &Path, mut file: impl Read, len: usize) -> Result<Idx<RANK>> {
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start).map_err(Error::io(path, "read"))?;
    let gzipped = start == GZIP_MAGIC;
    let file = Cursor::new(start).chain(file);
    let mut reader: Box<dyn Read> = if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };

    let dims: [usize; RANK] = header(path, &mut *reader, gzipped)?;
    let header = header_len(RANK);
    let shape = dims.map(|size| size.to_string()).join("x");
    let claim = dims.iter().try_fold(1usize, |bytes, &size| bytes.checked_mul(size));
    let Some(claim) = claim.filter(|&bytes| bytes < isize::MAX as usize) else {
        let at = at(4, gzipped);
        return Err(Error::data(path, format!("{at}: expected dimensions that fit memory, found {shape}")));
    };

    // One byte beyond the declared size detects trailing data, and makes the decoder check the gzip checksum.
    let mut data = Vec::with_capacity(claim.min(len));
    read_up_to(path, &mut *reader, gzipped, header, claim + 1, &mut data)?;
    let expected = format!("expected {claim} bytes of data ({shape} in the header)");
    if data.len() < claim {
        let at = at(header + data.len(), gzipped);
        return Err(Error::data(path, format!("{at}: truncated data: {expected}, found {}", data.len())));
    }
    if data.len() > claim {
        let at = at(header + claim, gzipped);
        return Err(Error::data(path, format!("{at}: trailing bytes: {expected}, found more")));
    }
    data.shrink_to_fit();
    Ok(Idx { dims, data, gzipped })
}

/// Reads and checks the header. Returns the dimensions, all at least 1.
fn header<const RANK: usize>(path: &Path, reader: &mut dyn Read, gzipped: bool) -> Result<[usize; RANK]> {
    let expected = header_len(RANK);
    let mut bytes = Vec::with_capacity(expected);
    read_up_to(path, reader, gzipped, 0, expected, &mut bytes)?;
    let word = |i: usize| bytes.get(4 * i..4 * i + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));

    if bytes.is_empty() {
        let what = if gzipped { "empty gzip stream" } else { "empty file" };
        return Err(Error::data(path, format!("{what}: expected an IDX header of {expected} bytes, found 0")));
    }
    // The magic number is checked before the length, since its message is more specific.
    let magic = 0x0800 + RANK as u32;
    if let Some(found) = word(0).filter(|&found| found != magic) {
        let (at, expected, found) = (at(0, gzipped), describe(magic), describe(found));
        return Err(Error::data(path, format!("{at}: expected magic {expected}, found {found}")));
    }
    let mut dims = [0; RANK];
    for (i, size) in dims.iter_mut().enumerate() {
        let Some(found) = word(i + 1) else {
            let (at, found) = (at(bytes.len(), gzipped), bytes.len());
            return Err(Error::data(path, format!("{at}: truncated header: expected {expected} bytes, found {found}")));
        };
        if found == 0 {
            let at = at(4 + 4 * i, gzipped);
            return Err(Error::data(path, format!("{at}: expected dimension {i} of at least 1, found 0")));
        }
        *size = found as usize;
    }
    Ok(dims)
}

/// Appends up to `limit` bytes to `into`, fewer only at the end of the file. `offset` is the number of decompressed
/// bytes already read.
fn read_up_to(
    path: &Path,
    reader: &mut dyn Read,
    gzipped: bool,
    offset: usize,
    limit: usize,
    into: &mut Vec<u8>,
) -> Result<()> {
    match reader.take(limit as u64).read_to_end(into) {
        Ok(_) => Ok(()),
        // An error without an OS code comes from the decoder: the stream is damaged, not the disk.
        Err(error) if gzipped && error.raw_os_error().is_none() => {
            let at = at(offset + into.len(), gzipped);
            Err(Error::data(path, format!("{at}: expected gzip data, found a damaged stream: {error}")))
        }
        Err(error) => Err(Error::io(path, "read")(error)),
    }
}

/// The header size: the magic number and `rank` dimensions.
fn header_len(rank: usize) -> usize {
    4 + 4 * rank
}

fn at(offset: usize, gzipped: bool) -> String {
    format!("offset {offset}{}", if gzipped { " (decompressed)" } else { "" })
}

/// A magic number in hexadecimal, with its meaning.
fn describe(magic: u32) -> String {
    let [zero0, zero1, kind, rank] = magic.to_be_bytes();
    let kind = match (zero0, zero1, kind) {
        (0, 0, 0x08) => "u8",
        (0, 0, 0x09) => "i8",
        (0, 0, 0x0b) => "i16",
        (0, 0, 0x0c) => "i32",
        (0, 0, 0x0d) => "f32",
        (0, 0, 0x0e) => "f64",
        _ => return format!("0x{magic:08x} (not an IDX file)"),
    };
    format!("0x{magic:08x} ({kind}, {rank} dimension{})", if rank == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use flate2::{Compression, write::GzEncoder};

    use super::{Idx, describe, parse};
    use crate::error::Result;

    fn images(bytes: &[u8]) -> Result<Idx<3>> {
        parse(Path::new("x"), bytes, bytes.len())
    }

    fn idx(dims: [u32; 3], data: &[u8]) -> Vec<u8> {
        let dims = dims.iter().flat_map(|size| size.to_be_bytes());
        [0, 0, 8, 3].into_iter().chain(dims).chain(data.iter().copied()).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_magic_is_told_in_words() {
        assert_eq!(describe(0x0801), "0x00000801 (u8, 1 dimension)");
        assert_eq!(describe(0x0d04), "0x00000d04 (f32, 4 dimensions)");
        assert_eq!(describe(0x3c21_444f), "0x3c21444f (not an IDX file)");
    }

    #[test]
    fn gzip_of_several_members_is_one_file() {
        let plain = idx([2, 2, 3], &[7; 12]);
        let two = [gzip(&plain[..9]), gzip(&plain[9..])].concat();
        assert_eq!(images(&two).unwrap().data, [7; 12]);
    }

    #[test]
    fn a_huge_claim_allocates_nothing() {
        // 2^62 bytes are declared: allocating them would abort the test.
        let error = images(&idx([1 << 31, 1 << 30, 2], &[1, 2, 3])).unwrap_err().to_string();
        assert!(error.contains("expected 4611686018427387904 bytes"), "{error}");
        assert!(images(&gzip(&idx([1 << 31, 1 << 30, 2], &[1, 2, 3]))).is_err());
    }

    #[test]
    fn decompression_stops_after_the_claim() {
        // 8 MiB of zeros where one byte is declared.
        let bomb = gzip(&idx([1, 1, 1], &vec![0; 8 << 20]));
        let error = images(&bomb).unwrap_err().to_string();
        assert_eq!(
            error,
            "x: offset 17 (decompressed): trailing bytes: expected 1 bytes of data (1x1x1 in the header), found more"
        );
    }

    #[test]
    fn no_damage_panics_or_passes_unseen() {
        let plain = idx([3, 4, 5], &(0..60).collect::<Vec<u8>>());
        let packed = gzip(&plain);
        let intact = images(&plain).unwrap().data;
        assert_eq!(images(&packed).unwrap().data, intact);
        for file in [&plain, &packed] {
            for len in 0..file.len() {
                assert!(images(&file[..len]).is_err(), "cut to {len} of {}", file.len());
            }
            for bit in 0..8 * file.len() {
                let mut damaged = file.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                // Changes to the time or OS byte of the gzip header are harmless; the checksum covers the rest.
                if let Ok(found) = images(&damaged) {
                    assert!(bit / 8 >= 16 || found.data == intact, "bit {bit}");
                    assert!(file == &plain || found.data == intact, "bit {bit}");
                }
            }
        }
    }

    #[test]
    fn noise_never_panics() {
        let mut state = 1u32;
        for round in 0..2000 {
            let mut bytes: Vec<u8> = (0..round % 64)
                .map(|_| {
                    // Numerical Recipes' linear congruential generator.
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            for start in [&[][..], &[0, 0, 8, 3], &[0, 0, 8, 1], &[0x1f, 0x8b, 8, 0]] {
                bytes.splice(..start.len().min(bytes.len()), start.iter().copied());
                let _ = images(&bytes);
                let _ = parse::<1>(Path::new("x"), &bytes[..], bytes.len());
            }
        }
    }
}
