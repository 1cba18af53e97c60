//! A run's configuration: everything needed to run it again.

use serde::{Deserialize, Serialize};

use crate::data::{Augment, folder};
use crate::graph::Precision;
use crate::optim::{AnyOptimizer, Clip, Group};
use crate::train::callbacks::EarlyStopping;
use crate::train::{ClassWeights, Schedule};

/// What is needed to run it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The network's name.
    pub model: String,
    /// `mnist`, or the folder of the data.
    pub data: String,
    /// Passes over the training pictures.
    pub epochs: u32,
    /// Steps after which it stops, whatever the epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Pictures a step.
    pub batch_size: usize,
    /// Pictures held out of the training set.
    pub validation: usize,
    /// How a folder of pictures is taken, if the data is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<folder::Options>,
    /// Names of the classes; none if they go by their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Of initial values, shuffling and the split.
    pub seed: u64,
    /// The learning rate's course.
    pub schedule: Schedule,
    /// How a training step stores its values.
    #[serde(default)]
    pub precision: Precision,
    /// How gradients are clipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Clip>,
    /// What the classes weigh in the loss that is trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// Steps that share an update.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Groups of parameters with settings of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// When it ends before all epochs are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Steps between two checkpoints inside an epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_steps: Option<u64>,
    /// Checkpoints that are kept.
    #[serde(default = "two")]
    pub keep: usize,
    /// Whether it goes on when a loss or a weight is not finite.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_nan: bool,
    /// How pictures are varied.
    #[serde(default, skip_serializing_if = "Augment::is_nothing")]
    pub augment: Augment,
    /// The rule and its settings.
    pub optimizer: AnyOptimizer,
    /// Where it ran: the same weights come from the same device only.
    pub device: String,
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
