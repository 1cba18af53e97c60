//! Networks as files: a table with the input's shape and a list of layers, in TOML.
//!
//! A layer's own list of options says which keys it has; `value` reads and writes the values of each type, `section` the
//! keys of a table; `read` and `write` are the two directions.

mod read;
mod section;
mod value;
mod write;

use std::path::Path;

use crate::nn::Network;
use crate::{Error, Result};

impl Network {
    /// The network that a text in TOML describes.
    ///
    /// ```
    /// use lenslet::nn::Network;
    ///
    /// let text = "
    ///     input = [1, 28, 28]
    ///     layer = [
    ///         { kind = 'conv2d', filters = 8, sise = 3 },
    ///     ]";
    /// let error = Network::from_toml(text).unwrap_err().to_string();
    /// assert!(error.starts_with("line 4: layer 1 (conv2d): unknown key \"sise\" (did you mean \"size\"?)"), "{error}");
    /// ```
    ///
    /// Errors, with line, layer and key: text that is not TOML; keys that are unknown or missing; values of the wrong type
    /// or out of range; layers that do not fit each other (the network is built once).
    pub fn from_toml(text: &str) -> Result<Self> {
        read::network(text, "network").map_err(|fault| fault.at(text, None))
    }

    /// The network that a file describes. Without a name in it, it has the file's.
    ///
    /// Errors: the file cannot be read; those of [`Network::from_toml`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read(path).map_err(Error::io(path, "read"))?;
        let text = String::from_utf8(text).map_err(|_| Error::data(path, "expected TOML, found what is not text"))?;
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        read::network(&text, stem.unwrap_or("network")).map_err(|fault| fault.at(&text, Some(path)))
    }

    /// The network as a text in TOML, a line for each layer, without options that have their defaults. A network that can
    /// be built is read back as the same.
    pub fn to_toml(&self) -> String {
        write::network(self)
    }
}

#[cfg(test)]
mod tests;
