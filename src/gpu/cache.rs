//! Human-readable files in the user's cache folder (`LENSLET_CACHE` overrides it): measurements and findings about
//! adapters, next to the image cache of `data`.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// The path of a cache file, on a system with a cache folder.
pub(crate) fn path(file: &str) -> Option<PathBuf> {
    let folder =
        std::env::var_os("LENSLET_CACHE").map(PathBuf::from).or_else(|| Some(dirs::cache_dir()?.join("lenslet")));
    folder.map(|folder| folder.join(file))
}

/// Reads a file; gives the default value if it does not exist. `remedy` is the command to run if the file is malformed.
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

/// Replaces a file and returns its path.
pub(super) fn write<T: Serialize>(file: &str, content: &T) -> Result<PathBuf> {
    let path =
        path(file).ok_or_else(|| Error::option("LENSLET_CACHE", "a folder, as this system names none", "nothing"))?;
    let folder = path.parent().expect("it has a file name");
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
    let text = toml::to_string(content).expect("tables of names and numbers");
    std::fs::write(&path, text).map_err(Error::io(&path, "write"))?;
    Ok(path)
}
