//! Named tensors in a safetensors file: 8 bytes of header length, a JSON header, the values.
//!
//! The header is written here, because the crate `safetensors` stores metadata in an unspecified order, and equal
//! values must give equal bytes. Files are read with that crate.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::shape::Shape;
use crate::{Error, Result};

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// Float values, the only type that is written.
    F32 {
        /// Shape.
        shape: Shape,
        /// Values in row-major order.
        values: Vec<f32>,
    },
    /// A tensor of another type, as text for messages.
    Other(String),
}

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// The contents of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// The tensors.
    pub tensors: Tensors,
    /// The header's metadata.
    pub metadata: BTreeMap<String, String>,
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tensor::F32 { shape, .. } => write!(f, "F32 {shape}"),
            Tensor::Other(words) => f.write_str(words),
        }
    }
}

/// Writes float tensors to a file, sorted by name, with `metadata` in the header. Equal values give equal bytes. The
/// file is replaced atomically.
///
/// Errors: the file cannot be written.
pub fn write(path: impl AsRef<Path>, tensors: Tensors, metadata: &BTreeMap<String, String>) -> Result<()> {
    let header = header(&tensors, metadata);
    crate::formats::replace_file(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        floats(&tensors).flat_map(|(_, _, values)| values).try_for_each(|value| out.write_all(&value.to_le_bytes()))
    })
}

/// Reads a file.
///
/// Errors: the file cannot be read or is damaged.
pub fn read(path: &Path) -> Result<Content> {
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    let damaged = |reason: String| {
        Error::data(path, format!("damaged, or no safetensors file ({} bytes): {reason}", bytes.len()))
    };
    if let Some(name) = tensor_behind_the_end(&bytes) {
        return Err(damaged(format!("{name} lies behind the end of the file")));
    }
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let tensors = file.tensors().into_iter().map(|(name, view)| (name, read_tensor(&view))).collect();
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
    let metadata = header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok(Content { tensors, metadata })
}

/// The SHA-256 of names, shapes and values, and of `words`, in hexadecimal.
pub fn sha256(tensors: &Tensors, words: &str) -> String {
    let mut hash = Sha256::new_with_prefix(words);
    for (name, shape, values) in floats(tensors) {
        hash.update(format!("\n{name} {shape}\n"));
        hash.update(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    }
    crate::formats::weights::hexadecimal(hash)
}

fn read_tensor(view: &TensorView<'_>) -> Tensor {
    if view.dtype() != Dtype::F32 {
        return Tensor::Other(format!("{} {:?}", view.dtype(), view.shape()));
    }
    let values = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    Tensor::F32 { shape: view.shape().into(), values }
}

fn floats(tensors: &Tensors) -> impl Iterator<Item = (&String, &Shape, &Vec<f32>)> {
    tensors.iter().filter_map(|(name, tensor)| match tensor {
        Tensor::F32 { shape, values } => Some((name, shape, values)),
        Tensor::Other(_) => None,
    })
}

/// The header, padded with spaces to a multiple of 8 bytes.
fn header(tensors: &Tensors, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut entries = Map::new();
    if !metadata.is_empty() {
        entries.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for (name, shape, values) in floats(tensors) {
        let begin = end;
        end += 4 * values.len();
        entries.insert(name.clone(), json!({ "data_offsets": [begin, end], "dtype": "F32", "shape": **shape }));
    }
    let mut text = Value::Object(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    text
}

/// The name of a tensor whose offsets exceed the file. The crate `safetensors` adds unchecked offsets, which can
/// overflow; it detects all other errors of a header.
fn tensor_behind_the_end(bytes: &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk()?;
    let header = rest.get(..u64::from_le_bytes(*length).try_into().ok()?)?;
    let entries: Map<String, Value> = serde_json::from_slice(header).ok()?;
    let passes = |offset: &Value| offset.as_u64().is_some_and(|offset| offset > bytes.len() as u64);
    let is_behind =
        |entry: &Value| entry.get("data_offsets").and_then(Value::as_array).is_some_and(|o| o.iter().any(passes));
    entries.into_iter().find(|(_, entry)| is_behind(entry)).map(|(name, _)| name)
}
