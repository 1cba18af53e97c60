//! Readable files in the user's cache folder (`LENSLET_CACHE` names another): what was found out about an adapter
//! (and, beside them, what `data` keeps).

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Where a file is kept, on a system that has a place for it.
pub(crate) fn path(file: &str) -> Option<PathBuf> {
    let folder =
        std::env::var_os("LENSLET_CACHE").map(PathBuf::from).or_else(|| Some(dirs::cache_dir()?.join("lenslet")));
    folder.map(|folder| folder.join(file))
}

/// The content of a file; nothing if there is none. `remedy` is what to run where it cannot be understood.
pub(super) fn read<T: DeserializeOwned + Default>(file: &str, remedy: &str) -> Result<T> {
    let Some(path) = path(file) else { return Ok(T::default()) };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            toml::from_str(&text).map_err(|e| Error::data(&path, format!("{}; {remedy}", e.to_string().trim())))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(e) => Err(Error::io(&path, "read")(e)),
    }
}

/// Replaces a file, and says where it is.
pub(super) fn write<T: Serialize>(file: &str, content: &T) -> Result<PathBuf> {
    let path =
        path(file).ok_or_else(|| Error::option("LENSLET_CACHE", "a folder, as this system names none", "nothing"))?;
    let folder = path.parent().expect("it has a file name");
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
    let text = toml::to_string(content).expect("tables of names and numbers");
    std::fs::write(&path, text).map_err(Error::io(&path, "write"))?;
    Ok(path)
}
