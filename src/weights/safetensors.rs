//! Parameters in a safetensors file: 8 bytes of header length, a JSON header, the values.
//!
//! The header is written here and not by the format's own crate, which keeps metadata in no fixed order: the same
//! values must give the same bytes. Reading is that crate's.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::nn::{Layout, ParameterSpec, Stored};
use crate::{Error, Result};

/// How many differences a message tells.
const TOLD: usize = 3;

/// Writes the parameters in `flat` to a file, sorted by name, dense weights as `[out, in]`, with `metadata` in the
/// header. The same values give the same bytes. The file appears whole or not at all.
///
/// Errors: `flat` is not as long as the layout; the file cannot be written.
pub fn save(path: impl AsRef<Path>, layout: &Layout, flat: &[f32], metadata: &BTreeMap<String, String>) -> Result<()> {
    check_length(layout, flat)?;
    let header = header(layout, metadata);
    super::replace_file(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        sorted(layout).into_iter().try_for_each(|(spec, range)| out.write_all(&to_file(spec, &flat[range])))
    })
}

/// Reads the parameters of a file into a flat buffer; gaps hold 0.
///
/// Errors: the file cannot be read, is damaged, or is not of this layout (a tensor is missing, is one too many, or has
/// another shape or type). Nothing is loaded then.
pub fn load(path: impl AsRef<Path>, layout: &Layout) -> Result<Vec<f32>> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    let damaged = |reason: String| {
        Error::data(path, format!("damaged, or no safetensors file ({} bytes): {reason}", bytes.len()))
    };
    if let Some(name) = tensor_behind_the_end(&bytes) {
        return Err(damaged(format!("{name} lies behind the end of the file")));
    }
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let mut tensors: BTreeMap<String, TensorView<'_>> = file.tensors().into_iter().collect();

    let mut flat = vec![0.0; layout.total()];
    let mut differences = vec![];
    for (spec, range) in sorted(layout) {
        let expected = spec.stored_shape();
        match tensors.remove(&spec.name) {
            Some(found) if found.dtype() == Dtype::F32 && *found.shape() == *expected => {
                from_file(spec, found.data(), &mut flat[range]);
            }
            Some(found) => {
                let found = format!("{} {:?}", found.dtype(), found.shape());
                differences.push(format!("{}: expected F32 {expected}, found {found}", spec.name));
            }
            None => differences.push(format!("{}: expected F32 {expected}, found none", spec.name)),
        }
    }
    for (name, extra) in &tensors {
        differences.push(format!("{name}: expected none, found {} {:?}", extra.dtype(), extra.shape()));
    }
    if differences.is_empty() { Ok(flat) } else { Err(Error::data(path, another_model(&differences))) }
}

/// The name of a tensor whose offsets pass the end of the file. The format's crate adds up offsets of any size, which
/// can overflow; whatever else is wrong with a header it finds by itself.
fn tensor_behind_the_end(bytes: &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk()?;
    let header = rest.get(..u64::from_le_bytes(*length).try_into().ok()?)?;
    let entries: Map<String, Value> = serde_json::from_slice(header).ok()?;
    let passes = |offset: &Value| offset.as_u64().is_some_and(|offset| offset > bytes.len() as u64);
    let is_behind =
        |entry: &Value| entry.get("data_offsets").and_then(Value::as_array).is_some_and(|o| o.iter().any(passes));
    entries.into_iter().find(|(_, entry)| is_behind(entry)).map(|(name, _)| name)
}

/// SHA-256 of the parameters as a file holds them (what follows the header), in hexadecimal. Gaps do not count.
///
/// Errors: `flat` is not as long as the layout.
pub fn sha256(layout: &Layout, flat: &[f32]) -> Result<String> {
    check_length(layout, flat)?;
    let mut hash = Sha256::new();
    for (spec, range) in sorted(layout) {
        hash.update(to_file(spec, &flat[range]));
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The order in files: by name.
fn sorted(layout: &Layout) -> Vec<(&ParameterSpec, Range<usize>)> {
    let mut parameters: Vec<_> = layout.parameters().collect();
    parameters.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    parameters
}

/// The header, padded with spaces to whole 8 bytes.
fn header(layout: &Layout, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut entries = Map::new();
    if !metadata.is_empty() {
        entries.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for (spec, range) in sorted(layout) {
        let begin = end;
        end += 4 * range.len();
        let info = json!({ "data_offsets": [begin, end], "dtype": "F32", "shape": *spec.stored_shape() });
        entries.insert(spec.name.clone(), info);
    }
    let mut text = Value::Object(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    text
}

/// A parameter's bytes in files.
fn to_file(spec: &ParameterSpec, values: &[f32]) -> Vec<u8> {
    positions(spec).flat_map(|at| values[at].to_le_bytes()).collect()
}

/// The reverse of [`to_file`]; `bytes` has the right length.
fn from_file(spec: &ParameterSpec, bytes: &[u8], values: &mut [f32]) {
    for (at, &bytes) in positions(spec).zip(bytes.as_chunks().0) {
        values[at] = f32::from_le_bytes(bytes);
    }
}

/// For each value of a file in turn, where it is in memory.
fn positions(spec: &ParameterSpec) -> impl Iterator<Item = usize> {
    // As it is: one row of everything.
    let [rows, columns] = match (spec.stored, &spec.shape[..]) {
        (Stored::Transposed, &[rows, columns]) => [rows, columns],
        _ => [spec.shape.elements(), 1],
    };
    (0..columns).flat_map(move |column| (0..rows).map(move |row| row * columns + column))
}

fn check_length(layout: &Layout, flat: &[f32]) -> Result<()> {
    let refuse = || Error::option("parameters", format!("{} values, as the layout has", layout.total()), flat.len());
    if flat.len() == layout.total() { Ok(()) } else { Err(refuse()) }
}

fn another_model(differences: &[String]) -> String {
    let told = differences.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("; ");
    let rest = differences.len().saturating_sub(TOLD);
    let rest = if rest > 0 { format!("; and {rest} more") } else { String::new() };
    format!("not the weights of this model: {told}{rest}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::models;
    use crate::nn::Sequential;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn saved(folder: &tempfile::TempDir, model: &Sequential) -> (PathBuf, Layout, Vec<f32>) {
        let path = folder.path().join("model.safetensors");
        let layout = Layout::of(model).unwrap();
        let flat = layout.initial(3);
        let metadata = ["model", "seed", "epochs"].map(|key| (key.to_string(), "3".to_string()));
        save(&path, &layout, &flat, &metadata.into()).unwrap();
        (path, layout, flat)
    }

    #[test]
    fn what_is_saved_is_loaded_and_saved_again_to_the_same_bytes() {
        let folder = folder();
        let (path, layout, flat) = saved(&folder, &models::lenet5());
        let first = fs::read(&path).unwrap();
        assert_eq!(load(&path, &layout).unwrap(), flat);
        saved(&folder, &models::lenet5());
        assert_eq!(fs::read(&path).unwrap(), first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn files_hold_what_others_expect() {
        let folder = folder();
        let (path, layout, flat) = saved(&folder, &Sequential::new([1, 4, 4]).conv2d(2, 3).flatten().dense(3));
        let bytes = fs::read(path).unwrap();
        assert_eq!(bytes[8], b'{');
        let (header, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header % 8, 0);
        assert_eq!(metadata.metadata().as_ref().unwrap()["model"], "3");
        assert_eq!(metadata.offset_keys(), ["conv1.bias", "conv1.weight", "fc1.bias", "fc1.weight"]);

        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("conv1.weight").unwrap().shape(), [2, 1, 3, 3]);
        let dense = file.tensor("fc1.weight").unwrap();
        assert_eq!((dense.dtype(), dense.shape()), (Dtype::F32, &[3, 8][..]));
        let found: Vec<_> = dense.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        let (_, range) = layout.parameters().find(|(spec, _)| spec.name == "fc1.weight").unwrap();
        let weight = &flat[range];
        assert_eq!(found[8 + 5], weight[5 * 3 + 1], "weight [out, in] = [1, 5] of the file");
    }

    #[test]
    fn weights_of_another_model_are_refused_with_names_and_shapes() {
        let folder = folder();
        let (path, ..) = saved(&folder, &models::convnet());
        let error = |model: Sequential| load(&path, &Layout::of(&model).unwrap()).unwrap_err().to_string();
        let message = error(models::lenet5());
        assert!(message.starts_with(&path.display().to_string()), "{message}");
        for part in
            ["not the weights of this model", "conv1.weight: expected F32 [6, 1, 5, 5], found F32 [32, 1, 3, 3]"]
        {
            assert!(message.contains(part), "{message}");
        }
        assert!(message.contains("more"), "{message}");

        let smaller = Sequential::new([1, 28, 28]).conv2d(32, 3).max_pool2d(2).conv2d(64, 3).max_pool2d(2);
        let message = error(smaller.clone());
        assert!(message.contains("conv3.bias: expected none, found F32 [64]"), "{message}");
        let larger = models::convnet().named("fc2").dense(5);
        let message = error(larger);
        assert!(message.contains("fc3.bias: expected F32 [5], found none"), "{message}");
    }

    #[test]
    fn another_type_is_refused() {
        let folder = folder();
        let path = folder.path().join("half.safetensors");
        let layout = Layout::of(&Sequential::new([2]).dense(1).bias(false)).unwrap();
        let half = TensorView::new(Dtype::F16, vec![1, 2], &[0; 4]).unwrap();
        fs::write(&path, safetensors::serialize([("fc1.weight", half)], None).unwrap()).unwrap();
        let message = load(&path, &layout).unwrap_err().to_string();
        assert!(message.contains("fc1.weight: expected F32 [1, 2], found F16 [1, 2]"), "{message}");
    }

    #[test]
    fn damaged_files_are_refused_wherever_they_end() {
        let folder = folder();
        let (path, layout, _) = saved(&folder, &Sequential::new([3]).dense(2));
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let message = load(&path, &layout).unwrap_err().to_string();
            assert!(message.contains("damaged") && message.contains(&format!("{length} bytes")), "{message}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        fs::write(&path, longer).unwrap();
        assert!(load(&path, &layout).unwrap_err().to_string().contains("damaged"));
        let missing = load(folder.path().join("none"), &layout).unwrap_err().to_string();
        assert!(missing.contains("none: cannot read: "), "{missing}");
    }

    #[test]
    fn offsets_beyond_the_file_are_refused() {
        let folder = folder();
        let path = folder.path().join("huge.safetensors");
        let layout = Layout::of(&Sequential::new([3]).dense(2)).unwrap();
        // Eight tensors of the largest size that the format can say reach just below 2^64 bytes.
        let size = (1u64 << 61) - 1;
        let entry = |i: u64| {
            let offsets = [i * size, (i + 1) * size];
            (format!("t{i}"), json!({ "dtype": "U8", "shape": [size], "data_offsets": offsets }))
        };
        let many = Value::Object((0..8).map(entry).collect());
        let one = json!({ "t": { "dtype": "F32", "shape": [1], "data_offsets": [u64::MAX - 4, u64::MAX] } });
        for header in [many, one].map(|header| header.to_string()) {
            let length = (header.len() as u64).to_le_bytes();
            fs::write(&path, [&length[..], header.as_bytes(), &[0; 4]].concat()).unwrap();
            let message = load(&path, &layout).unwrap_err().to_string();
            assert!(message.contains("damaged") && message.contains("behind the end"), "{message}");
        }
        fs::write(&path, [0xff; 64]).unwrap();
        assert!(load(&path, &layout).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn the_hash_is_of_the_values_in_the_file() {
        let folder = folder();
        let (path, layout, mut flat) = saved(&folder, &models::lenet5());
        let bytes = fs::read(path).unwrap();
        let values = Sha256::digest(&bytes[bytes.len() - 4 * layout.count()..]);
        let expected: String = values.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sha256(&layout, &flat).unwrap(), expected);
        flat[157] = 1.0;
        assert_eq!(sha256(&layout, &flat).unwrap(), expected, "a gap does not count");
        flat[0] += 1.0;
        assert_ne!(sha256(&layout, &flat).unwrap(), expected);
        assert!(sha256(&layout, &flat[1..]).unwrap_err().to_string().contains("values"));
    }
}
