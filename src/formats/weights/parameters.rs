//! Parameters in safetensors files.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::formats::weights::tensors::{Tensor, Tensors};
use crate::nn::{Layout, ParameterSpec, Stored};
use crate::{Error, Result};

/// Maximum number of differences listed in a message.
const TOLD: usize = 3;

/// Writes the parameters in `flat` to a file, sorted by name, dense weights as `[out, in]`, with `metadata` in the
/// header. Equal values give equal bytes. The file is replaced atomically.
///
/// Errors: the length of `flat` differs from the layout's; the file cannot be written.
pub fn save(path: impl AsRef<Path>, layout: &Layout, flat: &[f32], metadata: &BTreeMap<String, String>) -> Result<()> {
    crate::formats::weights::tensors::write(path, to_tensors(layout, flat)?, metadata)
}

/// Reads the parameters of a file into a flat buffer. Gaps between parameters are 0.
///
/// Errors: the file cannot be read, is damaged, or does not match the layout (a missing or extra tensor, or another
/// shape or type).
pub fn load(path: impl AsRef<Path>, layout: &Layout) -> Result<Vec<f32>> {
    from_tensors(path.as_ref(), layout, crate::formats::weights::tensors::read(path.as_ref())?.tensors)
}

/// Converts the parameters in `flat` to the tensors of a file.
///
/// Errors: the length of `flat` differs from the layout's.
pub fn to_tensors(layout: &Layout, flat: &[f32]) -> Result<Tensors> {
    check_length(layout, flat)?;
    let tensor = |(spec, range): (&ParameterSpec, Range<usize>)| {
        let values = to_file(spec, &flat[range]).collect();
        (spec.name.clone(), Tensor::F32 { shape: spec.stored_shape(), values })
    };
    Ok(layout.parameters().map(tensor).collect())
}

/// Converts the tensors of the file `path` to flat parameters. Gaps between parameters are 0.
///
/// Errors: a missing or extra tensor; another shape or type.
pub fn from_tensors(path: &Path, layout: &Layout, mut tensors: Tensors) -> Result<Vec<f32>> {
    let mut flat = vec![0.0; layout.total()];
    let mut differences = vec![];
    for (spec, range) in sorted(layout) {
        let expected = spec.stored_shape();
        match tensors.remove(&spec.name) {
            Some(Tensor::F32 { shape, values }) if shape == expected => from_file(spec, &values, &mut flat[range]),
            Some(found) => differences.push(format!("{}: expected F32 {expected}, found {found}", spec.name)),
            None => differences.push(format!("{}: expected F32 {expected}, found none", spec.name)),
        }
    }
    for (name, extra) in &tensors {
        differences.push(format!("{name}: expected none, found {extra}"));
    }
    if differences.is_empty() { Ok(flat) } else { Err(Error::data(path, another_model(&differences))) }
}

/// The SHA-256 of the parameters as stored in a file (without its header), in hexadecimal. Gaps are not included.
///
/// Errors: the length of `flat` differs from the layout's.
pub fn sha256(layout: &Layout, flat: &[f32]) -> Result<String> {
    check_length(layout, flat)?;
    let mut hash = Sha256::new();
    for (spec, range) in sorted(layout) {
        let bytes: Vec<u8> = to_file(spec, &flat[range]).flat_map(f32::to_le_bytes).collect();
        hash.update(bytes);
    }
    Ok(crate::formats::weights::hexadecimal(hash))
}

/// The parameters in file order: by name.
fn sorted(layout: &Layout) -> Vec<(&ParameterSpec, Range<usize>)> {
    let mut parameters: Vec<_> = layout.parameters().collect();
    parameters.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    parameters
}

/// A parameter's values in the element order of files.
fn to_file(spec: &ParameterSpec, values: &[f32]) -> impl Iterator<Item = f32> {
    positions(spec).map(|at| values[at])
}

/// Writes stored values to their positions in memory. `stored` has the parameter's length.
fn from_file(spec: &ParameterSpec, stored: &[f32], values: &mut [f32]) {
    positions(spec).zip(stored).for_each(|(at, &value)| values[at] = value);
}

/// The position in memory of each stored value, in order.
fn positions(spec: &ParameterSpec) -> impl Iterator<Item = usize> {
    // Without transposition, all elements form one row.
    let [rows, columns] = match (spec.stored, &spec.shape[..]) {
        (Stored::Transposed, &[rows, columns]) => [rows, columns],
        _ => [spec.shape.elements(), 1],
    };
    (0..columns).flat_map(move |column| (0..rows).map(move |row| row * columns + column))
}

/// Refuses values whose length differs from the layout's.
pub(crate) fn check_length(layout: &Layout, flat: &[f32]) -> Result<()> {
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
    use std::fs;
    use std::path::PathBuf;

    use safetensors::SafeTensors;
    use safetensors::tensor::{Dtype, TensorView};
    use serde_json::{Value, json};

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
