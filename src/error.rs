//! The library's error type.
//!
//! A message names the failed item, the expected and the found value, and a remedy.

use std::path::{Path, PathBuf};

/// Errors of the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation rejects the shapes of its inputs, or has no gradient and is asked for one.
    #[error("{op}{}: {reason}", quoted(.node))]
    Shape {
        /// The operation's name.
        op: &'static str,
        /// The node's name; empty if it has none.
        node: String,
        /// The violated rule, with both operands.
        reason: String,
    },

    /// An invalid graph: see [`crate::Graph::verify`].
    #[error("graph: {0}")]
    Graph(String),

    /// An option or argument outside its allowed range.
    #[error("{option}: expected {expected}, found {found}")]
    Option {
        /// The option's name as the user writes it.
        option: String,
        /// The allowed values.
        expected: String,
        /// The given value.
        found: String,
    },

    /// A file with invalid content.
    #[error("{}: {reason}", .path.display())]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// The position, the expected and the found content.
        reason: String,
    },

    /// An invalid description of a network.
    #[error("{}{line}: {reason}", .path.as_ref().map_or("line ".into(), |path| format!("{}:", path.display())))]
    Network {
        /// The file, if there is one.
        path: Option<PathBuf>,
        /// The line, counted from 1.
        line: usize,
        /// The layer and key, the allowed and the found value.
        reason: String,
    },

    /// An I/O error of the operating system.
    #[error("{}: cannot {action}: {reason}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The failed action: "read", "write", "create".
        action: &'static str,
        /// The system's message. It is part of this error's message and therefore not its source: an error chain would
        /// print it twice.
        reason: std::io::Error,
    },

    /// No device matches the request.
    #[error("{0}")]
    NoDevice(String),

    /// A limit of the device is exceeded. Detected before anything runs.
    #[error("{what} needs {limit} of {needed}, the device has {available}{}", way_out(.hint))]
    Limit {
        /// The buffer or dispatch.
        what: String,
        /// The limit's name in WebGPU.
        limit: &'static str,
        /// The required value.
        needed: u64,
        /// The device's value.
        available: u64,
        /// A remedy; may be empty.
        hint: String,
    },

    /// An unexpected failure of the driver or of WebGPU.
    #[error("{what}: {reason}")]
    Gpu {
        /// The kernel, buffer or call.
        what: String,
        /// The driver's message.
        reason: String,
    },

    /// The device is lost (unplugged, driver reset, destroyed by the app).
    #[error("the GPU device was lost: {0}")]
    DeviceLost(String),

    /// A loss or weight is no longer finite.
    #[error(
        "the loss or a weight is {value} at step {step} (epoch {epoch}){}; lower the learning rate or check the data",
        first_in(.first)
    )]
    NotFinite {
        /// The value.
        value: f32,
        /// Step, counted from 1 over the whole run.
        step: u64,
        /// Epoch, counted from 1.
        epoch: u32,
        /// The operation and layer where it first occurred, and the step; may be empty.
        first: String,
    },
}

/// The library's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Option`].
    pub fn option(option: impl Into<String>, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Option { option: option.into(), expected: expected.into(), found: found.to_string() }
    }

    /// Adds the path of a layer to an error, if the error does not name it yet.
    pub(crate) fn in_layer(self, layer: &str) -> Self {
        match self {
            Self::Shape { op, node, reason } if node.is_empty() => Self::Shape { op, node: layer.into(), reason },
            Self::Option { option, expected, found } if !option.contains(layer) => {
                Self::Option { option: format!("layer \"{layer}\": {option}"), expected, found }
            }
            other => other,
        }
    }

    /// An [`Error::Data`].
    pub fn data(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Data { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// A closure for `map_err` that converts an [`std::io::Error`].
    pub fn io(path: impl AsRef<Path>, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |reason| Self::Io { path, action, reason }
    }
}

/// A suggestion for a misspelled name; empty if no name is similar to `found`.
pub(crate) fn did_you_mean<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let distance = |name: &&str| strsim::damerau_levenshtein(name, found);
    // A part of a name is similar too: conv for conv2d.
    let is_like = |(distance, name): &(usize, &str)| {
        *distance <= (name.len() / 3).max(1) || found.len() > 2 && (name.contains(found) || found.contains(name))
    };
    let near = names.into_iter().map(|name| (distance(&name), name)).filter(is_like).min();
    near.map_or(String::new(), |(_, name)| format!(" (did you mean \"{name}\"?)"))
}

fn quoted(node: &str) -> String {
    if node.is_empty() { String::new() } else { format!(" \"{node}\"") }
}

fn first_in(first: &str) -> String {
    if first.is_empty() { String::new() } else { format!(", first in {first}") }
}

fn way_out(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("; {hint}") }
}
