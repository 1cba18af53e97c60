//! The library's one error type.
//!
//! A message names what failed and where, what was expected, what was found, and the way out.

use std::path::{Path, PathBuf};

/// Everything that can go wrong in the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Inputs that an operation's shape rule refuses, or an operation without a gradient that a gradient is asked of.
    #[error("{op}{}: {reason}", quoted(.node))]
    Shape {
        /// The operation's name.
        op: &'static str,
        /// The node's name, empty if it has none.
        node: String,
        /// The rule, with both operands.
        reason: String,
    },

    /// A graph that no device can run alike: see [`crate::Graph::verify`].
    #[error("graph: {0}")]
    Graph(String),

    /// An option or argument outside what is allowed.
    #[error("{option}: expected {expected}, found {found}")]
    Option {
        /// The option as the user spells it.
        option: String,
        /// What is allowed.
        expected: String,
        /// What was given.
        found: String,
    },

    /// A file whose content is not what it should be.
    #[error("{}: {reason}", .path.display())]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// Where in it, what was expected, what was found.
        reason: String,
    },

    /// A description of a network that is not one.
    #[error("{}{line}: {reason}", .path.as_ref().map_or("line ".into(), |path| format!("{}:", path.display())))]
    Network {
        /// The file, if it was one.
        path: Option<PathBuf>,
        /// Where, counted from 1.
        line: usize,
        /// Which layer and key, what is allowed, what was found.
        reason: String,
    },

    /// The operating system refused to read or write.
    #[error("{}: cannot {action}: {reason}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: "read", "write", "create".
        action: &'static str,
        /// The system's words. Part of the message, so not a source of its own: a chain of causes would say it twice.
        reason: std::io::Error,
    },

    /// No device answers the request.
    #[error("{0}")]
    NoDevice(String),

    /// A limit of the device is too small. Known before anything runs.
    #[error("{what} needs {limit} of {needed}, the device has {available}{}", way_out(.hint))]
    Limit {
        /// Which buffer or dispatch.
        what: String,
        /// The limit's name as WebGPU spells it.
        limit: &'static str,
        /// What the plan asks for.
        needed: u64,
        /// What the device offers.
        available: u64,
        /// The way out, may be empty.
        hint: String,
    },

    /// The driver or WebGPU refused something that should have worked.
    #[error("{what}: {reason}")]
    Gpu {
        /// Which kernel, buffer or call.
        what: String,
        /// The driver's words.
        reason: String,
    },

    /// The device is gone (unplugged, driver reset, destroyed by the app).
    #[error("the GPU device was lost: {0}")]
    DeviceLost(String),

    /// A loss or weight stopped being a finite number.
    #[error(
        "the loss or a weight is {value} at step {step} (epoch {epoch}){}; lower the learning rate or check the data",
        first_in(.first)
    )]
    NotFinite {
        /// What was read back.
        value: f32,
        /// Step, counted from 1 over the whole run.
        step: u64,
        /// Epoch, counted from 1.
        epoch: u32,
        /// The operation and the layer in which it began, and the step; may be empty.
        first: String,
    },
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An option outside what is allowed.
    pub fn option(option: impl Into<String>, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Option { option: option.into(), expected: expected.into(), found: found.to_string() }
    }

    /// The error of a layer's computation, with the layer's path if it does not name it yet.
    pub(crate) fn in_layer(self, layer: &str) -> Self {
        match self {
            Self::Shape { op, node, reason } if node.is_empty() => Self::Shape { op, node: layer.into(), reason },
            Self::Option { option, expected, found } if !option.contains(layer) => {
                Self::Option { option: format!("layer \"{layer}\": {option}"), expected, found }
            }
            other => other,
        }
    }

    /// A file whose content is wrong.
    pub fn data(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Data { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// A closure for `map_err` on an [`std::io::Error`].
    pub fn io(path: impl AsRef<Path>, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |reason| Self::Io { path, action, reason }
    }
}

/// A hint at the name that was meant, if there is one like `found`.
pub(crate) fn did_you_mean<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let distance = |name: &&str| strsim::damerau_levenshtein(name, found);
    // A name within another is a slip too: conv for conv2d.
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
