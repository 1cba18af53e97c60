//! A training between two steps, in a file: to go on to the same bytes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::formats::weights::tensors::Tensors;
use crate::formats::weights::{from_tensors, tensors, to_tensors};
use crate::nn::Layout;
use crate::train::course::{Position, Snapshot};
use crate::train::plateau::Watch;
use crate::train::report::{EpochReport, StepReport};
use crate::{Error, Result};

/// A run between two of its steps. [`Trainer::resume`](crate::train::Trainer::resume) goes on from it, on the same device to the
/// same bytes as if it had never been stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Parameters and what the optimizer keeps.
    pub snapshot: Snapshot,
    /// Names of what the optimizer keeps, and of the gradients of an update under way.
    pub(in crate::train) states: Vec<String>,
    pub(in crate::train) course: Past,
}

/// What a run has behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::train) struct Past {
    /// Where the run began: later in the trainer's life than at its beginning, if it had trained before.
    pub first: Position,
    /// Over the steps of the epoch under way.
    pub sums: Sums,
    /// What the rate is multiplied by on a plateau.
    pub watch: Watch,
    /// The whole epochs.
    pub epochs: Vec<EpochReport>,
}

/// Of the steps of an epoch.
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

/// What the file says about its tensors.
#[derive(Serialize, Deserialize)]
struct Progress {
    at: Position,
    #[serde(flatten)]
    past: Past,
}

/// Names of tensors in the file: `model.conv1.weight`, `optimizer.velocity.conv1.weight`.
const MODEL: &str = "model.";

fn state_prefix(state: &str) -> String {
    format!("optimizer.{state}.")
}

impl Checkpoint {
    /// Steps that led here.
    pub fn steps(&self) -> u64 {
        self.snapshot.steps()
    }

    /// The whole epochs of the run so far.
    pub fn epochs(&self) -> &[EpochReport] {
        &self.course.epochs
    }

    /// Writes it to a file, which appears whole or not at all. `layout` is the trainer's.
    ///
    /// Errors: the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, layout: &Layout) -> Result<()> {
        let mut all = prefixed(MODEL, to_tensors(layout, &self.snapshot.parameters)?);
        for (name, values) in self.states.iter().zip(&self.snapshot.states) {
            let mut values = values.clone();
            values.resize(layout.total(), 0.0);
            let mut state = to_tensors(layout, &values)?;
            untrained(layout).for_each(|name| drop(state.remove(name)));
            all.extend(prefixed(&state_prefix(name), state));
        }
        let progress = Progress { at: self.snapshot.at, past: self.course.clone() };
        let progress = serde_json::to_string(&progress).expect("plain values");
        let sha256 = tensors::sha256(&all, &progress);
        let metadata = BTreeMap::from([("progress".to_string(), progress), ("sha256".to_string(), sha256)]);
        tensors::write(path, all, &metadata)
    }

    /// Reads a file. `layout` is the trainer's, `states` are the names of what its optimizer keeps.
    ///
    /// Errors: it cannot be read, is damaged or not of this network and optimizer.
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
        let Progress { at, past } = serde_json::from_str(progress).map_err(|e| Error::data(path, e.to_string()))?;
        let parameters = from_tensors(path, layout, taken(MODEL, &mut all))?;
        let zeros = to_tensors(layout, &vec![0.0; layout.total()])?;
        let mut kept = vec![];
        for name in states {
            let mut state = taken(&state_prefix(name), &mut all);
            state.extend(untrained(layout).filter_map(|name| Some((name.clone(), zeros.get(name)?.clone()))));
            let mut values = from_tensors(path, layout, state)?;
            values.truncate(layout.trained());
            kept.push(values);
        }
        if let Some(name) = all.keys().next() {
            return Err(Error::data(path, format!("not of this network and optimizer: holds {name}")));
        }
        let states = states.iter().map(|name| name.to_string()).collect();
        Ok(Self { snapshot: Snapshot::new(parameters, kept, at), states, course: past })
    }
}

fn prefixed(prefix: &str, tensors: Tensors) -> Tensors {
    tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect()
}

/// Those whose names begin so, without that.
fn taken(prefix: &str, tensors: &mut Tensors) -> Tensors {
    let names: Vec<String> = tensors.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
    names.iter().filter_map(|name| Some((name[prefix.len()..].to_string(), tensors.remove(name)?))).collect()
}

/// The parameters that the optimizer keeps nothing for.
fn untrained(layout: &Layout) -> impl Iterator<Item = &String> {
    layout.parameters().filter(|(_, range)| range.end > layout.trained()).map(|(spec, _)| &spec.name)
}
