//! Checkpoints: the state of a run in a file, to resume it to the same bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::formats::weights::tensors::Tensors;
use crate::formats::weights::{from_tensors, tensors, to_tensors};
use crate::nn::Layout;
use crate::train::plateau::PlateauState;
use crate::train::report::{EpochReport, StepReport};
use crate::train::snapshot::{Position, Snapshot};
use crate::{Error, Result};

/// The state of a run between two steps. [`Trainer::resume`](crate::train::Trainer::resume) continues from it, on the same
/// device to the same bytes as without the interruption.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Parameters and optimizer state.
    pub snapshot: Snapshot,
    /// Names of the optimizer's states, and of the accumulated gradients.
    pub(in crate::train) states: Vec<String>,
    pub(in crate::train) history: History,
}

/// History of a run. Field names are those of checkpoint files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::train) struct History {
    /// Position at the start of the run, which is not step 0 for a trainer that had trained before.
    pub first: Position,
    /// Sums over the finished steps of the current epoch.
    pub sums: Sums,
    /// State of the plateau schedule.
    #[serde(rename = "watch")]
    pub plateau: PlateauState,
    /// Reports of the finished epochs.
    pub epochs: Vec<EpochReport>,
}

/// Sums over steps of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::train) struct Sums {
    #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
    pub loss: f64,
    pub correct: f64,
    pub counted: f64,
    pub seconds: f64,
}

impl Sums {
    pub fn add(&mut self, step: &StepReport) {
        self.loss += f64::from(step.loss) * f64::from(step.counted);
        self.correct += f64::from(step.correct);
        self.counted += f64::from(step.counted);
    }
}

/// Metadata of a checkpoint file, as JSON.
#[derive(Serialize, Deserialize)]
struct Progress {
    at: Position,
    #[serde(flatten)]
    history: History,
}

/// Prefix of parameters in the file: `model.conv1.weight`.
const MODEL: &str = "model.";

/// Prefix of an optimizer state in the file: `optimizer.velocity.conv1.weight`.
fn state_prefix(state: &str) -> String {
    format!("optimizer.{state}.")
}

impl Checkpoint {
    /// Steps before the checkpoint.
    pub fn steps(&self) -> u64 {
        self.snapshot.steps()
    }

    /// Reports of the run's finished epochs.
    pub fn epochs(&self) -> &[EpochReport] {
        &self.history.epochs
    }

    /// Writes the checkpoint to a file, which appears whole or not at all. `layout` is the trainer's.
    ///
    /// Errors: the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, layout: &Layout) -> Result<()> {
        let mut all = prefixed(MODEL, to_tensors(layout, &self.snapshot.parameters)?);
        for (name, values) in self.states.iter().zip(self.snapshot.states.iter()) {
            let mut values = Cow::from(values);
            if values.len() < layout.total() {
                values.to_mut().resize(layout.total(), 0.0);
            }
            let mut state = to_tensors(layout, &values)?;
            untrained(layout).for_each(|name| drop(state.remove(name)));
            all.extend(prefixed(&state_prefix(name), state));
        }
        let progress = Progress { at: self.snapshot.at, history: self.history.clone() };
        let progress = serde_json::to_string(&progress).expect("plain values");
        let sha256 = tensors::sha256(&all, &progress);
        let metadata = BTreeMap::from([("progress".to_string(), progress), ("sha256".to_string(), sha256)]);
        tensors::write(path, all, &metadata)
    }

    /// Reads a checkpoint file. `layout` is the trainer's, `states` are the names of its optimizer's states.
    ///
    /// Errors: the file cannot be read, is damaged, or is not of this network and optimizer.
    pub(in crate::train) fn load(path: &Path, layout: &Layout, states: &[&str]) -> Result<Self> {
        let tensors::Content { tensors: mut all, metadata } = tensors::read(path)?;
        let no_checkpoint = || Error::data(path, "expected a checkpoint, found other weights");
        let [progress, expected] = ["progress", "sha256"].map(|key| metadata.get(key).ok_or_else(no_checkpoint));
        let (progress, expected) = (progress?, expected?);
        let found = tensors::sha256(&all, progress);
        if *expected != found {
            let reason = format!("damaged: expected content of SHA-256 {expected}, found {found}");
            return Err(Error::data(path, reason));
        }
        let Progress { at, history } = serde_json::from_str(progress).map_err(|e| Error::data(path, e.to_string()))?;
        let parameters = from_tensors(path, layout, take_prefix(MODEL, &mut all))?;
        let zeros = to_tensors(layout, &vec![0.0; layout.total()])?;
        let mut values_of_states = vec![];
        for name in states {
            let mut state = take_prefix(&state_prefix(name), &mut all);
            state.extend(untrained(layout).filter_map(|name| Some((name.clone(), zeros.get(name)?.clone()))));
            let mut values = from_tensors(path, layout, state)?;
            values.truncate(layout.trained());
            values_of_states.push(values);
        }
        if let Some(name) = all.keys().next() {
            return Err(Error::data(path, format!("not of this network and optimizer: holds {name}")));
        }
        let snapshot = Snapshot { parameters: parameters.into(), states: Arc::new(values_of_states), at };
        Ok(Self { snapshot, states: states.iter().map(|name| name.to_string()).collect(), history })
    }
}

fn prefixed(prefix: &str, tensors: Tensors) -> Tensors {
    tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect()
}

/// Removes the tensors whose names start with `prefix`; returns them without it.
fn take_prefix(prefix: &str, tensors: &mut Tensors) -> Tensors {
    let names: Vec<String> = tensors.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
    names.iter().filter_map(|name| Some((name[prefix.len()..].to_string(), tensors.remove(name)?))).collect()
}

/// Names of the parameters without optimizer state.
fn untrained(layout: &Layout) -> impl Iterator<Item = &String> {
    layout.parameters().filter(|(_, range)| range.end > layout.trained()).map(|(spec, _)| &spec.name)
}
