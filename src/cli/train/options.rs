//! The options of `lenslet train`, and the configuration of a run that they make.
//!
//! A new option is a field of [`Options`]. One that a run keeps is also a key of [`Config`], set in [`Options::config`]; it
//! is refused beside `--resume` unless [`WITH_RESUME`] lists it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Arg;
use lenslet::Precision;
use lenslet::data::{Augment, Normalize};
use lenslet::optim::{Clip, Group};
use lenslet::runs::Config;
use lenslet::train::callbacks::EarlyStopping;
use lenslet::train::{ClassWeights, Schedule};

use crate::cli::data::{DataConfig, DataOptions};
use crate::cli::train::optimizer::OptimizerOptions;
use crate::cli::{DeviceOption, JsonOption};

#[derive(clap::Args)]
#[command(
    mut_args(refuse_with_resume),
    after_help = "Examples:
  lenslet train
  lenslet train --model convnet --optimizer rmsprop --epochs 5
  lenslet train --augment rotate:10,shift:0.1,zoom:0.9:1.1 --epochs 10
  lenslet train --data ~/fashion-mnist --seed 7 --out runs/fashion
  lenslet train --data ~/pets --model pets.toml --resize crop --normalize auto
  lenslet train --model net.toml               your own network, described in a file: see docs/your-network.md
  lenslet train --epochs 100 --early-stop 5 --time-limit 30m
  lenslet train --batch-size 32 --accumulate 8 --class-weights balanced --group '*.bias:lr=2,decay=0'
  lenslet train --resume runs/lenet5-1         after Ctrl-C, a crash or a full disk
  lenslet train --steps 200 --json"
)]
pub struct Options {
    #[arg(help = crate::cli::model_help(), long, value_name = "NAME|FILE.toml", default_value = "lenet5")]
    pub model: String,
    #[command(flatten)]
    pub data: DataOptions,
    /// Passes over the training images [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// Upper limit on the number of steps, whatever --epochs says
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// Images per step
    #[arg(long, default_value_t = 64)]
    pub batch_size: usize,
    #[command(flatten)]
    pub optimizer: OptimizerOptions,
    /// Learning rate schedule: constant, step:EVERY:FACTOR, multi-step:AT,AT:FACTOR, exponential:FACTOR, cosine,
    /// cosine:WARM_UP or one-cycle, in steps; plateau or plateau:FACTOR:PATIENCE, in epochs without an improvement of the
    /// validation loss
    #[arg(long, default_value = "cosine", value_name = "SCHEDULE")]
    pub schedule: Schedule,
    /// Gradient clipping: value:BOUND, norm:BOUND (of each parameter) or global-norm:BOUND
    #[arg(long, value_name = "RULE:BOUND")]
    pub clip: Option<Clip>,
    /// Random augmentation of the training images, comma-separated: rotate:DEGREES, shift:FRACTION, shear:DEGREES,
    /// zoom:MIN:MAX, flip:horizontal|vertical|both, brightness:FRACTION, contrast:FRACTION, crop:PIXELS,
    /// fill:nearest|reflect|VALUE [default: that of the network's file, else none]
    #[arg(long, value_name = "OPTION:VALUE,..")]
    pub augment: Option<Augment>,
    /// Normalize inputs as (x - mean) / std with x in [0, 1]: one value, one per channel, or auto (measured on the training
    /// images). Adds a layer in front of the network, after augmentation
    #[arg(long, value_name = "auto|MEAN:STD", allow_hyphen_values = true)]
    pub normalize: Option<Normalize>,
    /// Class weights of the training loss: balanced (inverse class frequency), or one number per class
    #[arg(long, value_name = "balanced|W,W,...")]
    pub class_weights: Option<ClassWeights>,
    /// Gradient accumulation: micro-batches per update; --steps, --schedule and --checkpoint-steps count micro-batches
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub accumulate: u32,
    /// Parameter group: settings for the parameters whose names match a pattern, lr=FACTOR, decay=DECAY or freeze, as in
    /// '*.bias:lr=2,decay=0'. May be repeated; the first match applies
    #[arg(long = "group", value_name = "PATTERN:SETTINGS")]
    pub groups: Vec<Group>,
    /// Storage precision of activations: f32, or f16 for half the memory, on GPUs with shader-f16
    #[arg(long, default_value_t, value_name = "f32|f16")]
    pub precision: Precision,
    /// Random seed of initial weights, shuffling, augmentation, dropout and the validation split
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Early stopping after EPOCHS epochs without an improvement of the validation loss; accuracy:EPOCHS monitors the
    /// accuracy, and an appended :MIN_DELTA sets the smallest change that counts as an improvement
    #[arg(long, value_name = "EPOCHS")]
    pub early_stop: Option<EarlyStopping>,
    /// Time limit after which the run ends as by Ctrl-C: 90s, 30m, 1h 30m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub time_limit: Option<Duration>,
    /// Continue after a loss or a weight that is not finite, instead of ending with an error
    #[arg(long)]
    pub allow_nan: bool,
    /// Steps between two checkpoints inside an epoch; there is one at the end of each epoch in any case
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_steps: Option<u64>,
    /// Number of checkpoints that the run folder keeps [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub keep: Option<u64>,
    /// Also write a CSV table with a row per epoch
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Also write TensorBoard logs to this folder
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,
    /// Resume a run from its last checkpoint, to the same weights as without the interruption. Network, data and settings
    /// are those of the run; --epochs or --steps extend it
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,
    /// Run folder, new or empty [default: runs/MODEL-1, or the next free number]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub device: DeviceOption,
    #[command(flatten)]
    pub json: JsonOption,
}

/// The options that may be given with `--resume`: they extend the run, or change how it runs and what it writes besides.
/// All others are settings that the run keeps.
const WITH_RESUME: [&str; 10] =
    ["resume", "epochs", "steps", "keep", "time_limit", "csv", "tensorboard", "resident", "device", "json"];

/// Refuses an option beside `--resume`, unless it is one of [`WITH_RESUME`].
fn refuse_with_resume(option: Arg) -> Arg {
    if WITH_RESUME.contains(&option.get_id().as_str()) { option } else { option.conflicts_with("resume") }
}

impl Options {
    /// The configuration of a new run, as far as it is known before network and data are read.
    pub fn config(&self) -> anyhow::Result<Config> {
        let DataConfig { data, images } = self.data.over(None);
        let data = match data.as_str() {
            "mnist" => data,
            dir => std::path::absolute(dir).context("the data folder's path")?.display().to_string(),
        };
        let config = Config {
            model: self.model.clone(),
            data,
            images: Some(images),
            batch_size: self.batch_size,
            seed: self.seed,
            schedule: self.schedule.clone(),
            precision: self.precision,
            clip: self.clip,
            class_weights: self.class_weights.clone(),
            accumulate: self.accumulate as usize,
            groups: self.groups.clone(),
            early_stopping: self.early_stop,
            checkpoint_steps: self.checkpoint_steps,
            allow_nan: self.allow_nan,
            optimizer: self.optimizer.optimizer()?,
            ..Config::default()
        };
        Ok(self.extended(config))
    }

    /// A run's configuration with the settings that may change when it is resumed.
    pub fn extended(&self, config: Config) -> Config {
        Config {
            epochs: self.epochs.unwrap_or(config.epochs),
            // A limit on the steps does not end the run before the epochs that are asked for now.
            steps: self.steps.or(config.steps.filter(|_| self.epochs.is_none())),
            keep: self.keep.map_or(config.keep, |keep| keep as usize),
            ..config
        }
    }
}
