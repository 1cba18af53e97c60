//! Atomic replacement of files.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes a file atomically: at any time `path` has its old content or all of the new. The content is written under a
/// temporary name in the same folder, flushed to the disk, then renamed.
///
/// Errors: the folder is missing or cannot be written; the disk is full. The temporary file is removed.
pub fn replace_file(path: impl AsRef<Path>, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let path = path.as_ref();
    let Some(name) = path.file_name() else {
        return Err(Error::data(path, "expected the name of a file to write, found a folder"));
    };
    let temporary = Temporary(path.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id())));
    write_and_rename(&temporary.0, path, write).map_err(Error::io(path, "write"))
}

fn write_and_rename(
    temporary: &Path,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, File::create(temporary)?);
    write(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(temporary, path)?;
    // The folder is flushed too, so that the new name survives a power failure. Only Unix opens folders as files.
    #[cfg(unix)]
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all()?,
        _ => File::open(".")?.sync_all()?,
    }
    Ok(())
}

/// Removes the temporary file when dropped. After the rename it no longer exists.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_failed_write_leaves_the_old_content_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        replace_file(&path, |out| out.write_all(b"old")).unwrap();
        let error = replace_file(&path, |out| {
            out.write_all(b"new")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(error.unwrap_err().to_string().starts_with(&format!("{}: cannot write: ", path.display())));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn places_that_cannot_be_written_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("missing/a.txt"), folder.path().to_path_buf(), folder.path().join("..")] {
            let error = replace_file(&path, |out| out.write_all(b"x")).unwrap_err().to_string();
            assert!(error.starts_with(&path.display().to_string()), "{error}");
        }
        assert!(names(folder.path()).is_empty());
    }
}
