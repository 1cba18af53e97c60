//! The configuration of a run: everything needed to repeat it.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::data::{Augment, folder};
use crate::device::Device;
use crate::graph::Precision;
use crate::nn::Model;
use crate::optim::{AnyOptimizer, Clip, Clipped, Group, Grouped, Sgd};
use crate::train::callbacks::EarlyStopping;
use crate::train::{ClassWeights, Fit, Schedule, Trainer};

/// Configuration of a run, as `config.toml` in its folder holds it.
///
/// A new setting of a run is a field here, which [`Config::trainer`] or [`Config::fit`] hands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the network.
    pub model: String,
    /// `mnist`, or the folder of the data.
    pub data: String,
    /// Passes over the training images.
    pub epochs: u32,
    /// Upper limit on the number of steps, whatever the number of epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Images per step.
    pub batch_size: usize,
    /// Number of images held out of the training set for validation.
    pub validation: usize,
    /// Options of a folder of images, if the data is one.
    #[serde(rename = "pictures", default, skip_serializing_if = "Option::is_none")]
    pub images: Option<folder::Options>,
    /// Names of the classes; empty if they are numbered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Seed of initial values, shuffling, augmentation, dropout and the validation split.
    pub seed: u64,
    /// Learning rate schedule.
    pub schedule: Schedule,
    /// Storage precision of the values between the operations of a training step.
    #[serde(default)]
    pub precision: Precision,
    /// Gradient clipping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Clip>,
    /// Class weights of the training loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// Micro-batches per update.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Parameter groups with their own settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// Early stopping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Steps between two checkpoints inside an epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_steps: Option<u64>,
    /// Number of checkpoints that the run folder keeps.
    #[serde(default = "two")]
    pub keep: usize,
    /// Whether the run continues after a loss or a weight that is not finite.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_nan: bool,
    /// Augmentation of the training images.
    #[serde(default, skip_serializing_if = "Augment::is_nothing")]
    pub augment: Augment,
    /// Optimizer with its settings.
    pub optimizer: AnyOptimizer,
    /// Device of the run: results are bit-identical on the same device only.
    pub device: String,
}

impl Default for Config {
    /// The defaults of `lenslet train`, without images held out and without a device.
    fn default() -> Self {
        Self {
            model: "lenet5".into(),
            data: "mnist".into(),
            epochs: 3,
            steps: None,
            batch_size: 64,
            validation: 0,
            images: None,
            classes: vec![],
            seed: 1,
            schedule: Schedule::Cosine,
            precision: Precision::F32,
            clip: None,
            class_weights: None,
            accumulate: one(),
            groups: vec![],
            early_stopping: None,
            checkpoint_steps: None,
            keep: two(),
            allow_nan: false,
            augment: Augment::default(),
            optimizer: AnyOptimizer::Sgd(Sgd::new(0.05).momentum(0.9)),
            device: String::new(),
        }
    }
}

impl Config {
    /// The trainer of the run for its network.
    ///
    /// Errors: those of [`Trainer::new`]; a parameter group without parameters.
    pub fn trainer<'m>(&self, device: impl Into<Device>, model: &'m dyn Model) -> Result<Trainer<'m>> {
        let mut optimizer = self.optimizer.boxed();
        if let Some(clip) = self.clip {
            optimizer = Box::new(Clipped::boxed(optimizer, clip));
        }
        if !self.groups.is_empty() {
            optimizer = Box::new(Grouped::boxed(optimizer, self.groups.clone()));
        }
        let trainer = Trainer::boxed(device, model, optimizer)?
            .batch_size(self.batch_size)
            .schedule(self.schedule.clone())
            .seed(self.seed)
            .accumulate(self.accumulate)
            .precision(self.precision)
            .augment(self.augment);
        Ok(match self.class_weights.clone() {
            Some(weights) => trainer.class_weights(weights),
            None => trainer,
        })
    }

    /// The options of [`Trainer::fit_with`] for the run.
    pub fn fit(&self) -> Fit {
        Fit {
            epochs: self.epochs,
            validation: self.validation,
            steps: self.steps,
            checkpoint_steps: self.checkpoint_steps,
            allow_nan: self.allow_nan,
        }
    }
}

fn one() -> usize {
    1
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

fn two() -> usize {
    2
}
