//! The command line, with one file per command.
//!
//! Results are printed to standard output, as text or with `--json` as one object per line; progress, notes and errors
//! are printed to standard error. Exit status: 0 success, 1 failure, 2 wrong usage.

mod bench;
mod data;
mod devices;
mod diff;
mod doctor;
mod evaluate;
mod plan;
mod predict;
mod shapes;
mod summary;
mod terminal;
mod train;
mod tune;
mod view;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use lenslet::nn::thousands;
use lenslet::nn::{Layout, Model, Network};
use lenslet::runs::{Config, RunFolder};
use lenslet::{Device, Error};

use crate::cli::data::{DataConfig, DataOptions, Sets};

/// Trains convolutional networks on any GPU
#[derive(Parser)]
#[command(version, about, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  lenslet train                                  LeNet-5 on MNIST, on the best device there is
  lenslet train --model convnet --optimizer rmsprop --epochs 5
  lenslet evaluate runs/lenet5-1                 accuracy, top-5, per-class table, confusion matrix
  lenslet predict runs/lenet5-1 seven.png        the likeliest classes of images
  lenslet view runs/lenet5-1 curves              how the training went
  lenslet devices                                which adapters there are and which one is taken
  lenslet shapes --input 7 --window 3            which stride and padding give which output";

#[derive(Subcommand)]
enum Command {
    /// Lists the adapters and the default one
    Devices(devices::Options),
    /// Trains a network and writes a run folder
    Train(Box<train::Options>),
    /// Evaluates a run on the test set
    Evaluate(evaluate::Options),
    /// Predicts the most likely classes of images
    Predict(predict::Options),
    /// Plots a run's training curves, confusion matrix, filters and activations
    View(view::Options),
    /// Shows a network layer by layer
    Summary(summary::Options),
    /// Checks every kernel on this device against the f64 reference
    Doctor(doctor::Options),
    /// Compares a network's training step on CPU and GPU, operation by operation
    Diff(diff::Options),
    /// Lists the strides and paddings that fit and their output sizes, or the parameters to change
    Shapes(shapes::Options),
    /// Measures training, inference and kernels on this device
    Bench(bench::Options),
    /// Measures the kernels of a network's operations; later runs use the fastest
    Tune(tune::Options),
    /// Shows the memory and the dispatches of a training step without running it
    Plan(plan::Options),
}

/// The device option of commands that compute.
#[derive(Args)]
struct DeviceOption {
    /// auto, gpu, cpu, or the number or part of the name of an adapter.
    /// auto: a hardware GPU, else a software GPU, else the CPU; gpu never falls back
    #[arg(long, value_name = "DEVICE", default_value = "auto", env = "LENSLET_DEVICE")]
    device: String,
}

impl DeviceOption {
    /// Opens the device and prints its name to standard error.
    fn open(&self) -> lenslet::Result<Device> {
        let device = Device::choose(&self.device)?;
        eprintln!("device: {}", device.describe());
        Ok(device)
    }
}

#[derive(Args)]
struct JsonOption {
    /// Prints one JSON object per line to standard output
    #[arg(long)]
    json: bool,
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let start = Instant::now();
    let result = match Cli::parse().command {
        Command::Devices(options) => devices::run(&options),
        Command::Train(options) => train::run(&options, start),
        Command::Evaluate(options) => evaluate::run(&options),
        Command::Predict(options) => predict::run(&options),
        Command::View(options) => view::run(&options),
        Command::Summary(options) => summary::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Diff(options) => diff::run(&options),
        Command::Shapes(options) => shapes::run(&options),
        Command::Bench(options) => bench::run(&options, start),
        Command::Tune(options) => tune::run(&options),
        Command::Plan(options) => plan::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader closed the pipe, as in `lenslet devices | head -1`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            match error.downcast_ref::<Error>() {
                Some(Error::Option { .. }) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = match error.downcast_ref::<Error>() {
        Some(Error::Io { reason, .. }) => Some(reason),
        _ => error.downcast_ref::<std::io::Error>(),
    };
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The help text of network arguments.
fn model_help() -> String {
    format!("The network: a file that describes one (docs/your-network.md), or {}", lenslet::models::NAMES.join(", "))
}

/// The network with that name, or in that file.
fn model(name: &str) -> lenslet::Result<Network> {
    if is_file(name) {
        return Network::load(name);
    }
    lenslet::models::by_name(name).map_err(|error| match error {
        Error::Option { option, expected, found } => {
            Error::Option { option, expected: format!("{expected}, or a file such as net.toml"), found }
        }
        other => other,
    })
}

/// Whether a network is given as a file: names of built-in networks do not end in `.toml` or contain a folder.
fn is_file(name: &str) -> bool {
    let path = std::path::Path::new(name);
    path.extension().is_some_and(|extension| extension == "toml") || path.components().count() > 1 || path.is_file()
}

/// The network of a run folder, with its weights.
struct Run {
    config: Config,
    model: Network,
    layout: Layout,
    parameters: Vec<f32>,
}

impl Run {
    /// Opens a run with the weights of its last or best epoch.
    fn open(folder: &Path, best: bool) -> lenslet::Result<Self> {
        let config = RunFolder::read_config(folder)?;
        let model = RunFolder::read_model_of(folder)?;
        let layout = Layout::of(&model)?;
        let parameters = match best {
            true => RunFolder::read_best_weights(folder, &layout),
            false => RunFolder::read_weights(folder, &layout),
        }?;
        Ok(Self { config, model, layout, parameters })
    }

    /// The data sets of the run, or those given by `options`.
    fn sets(&self, options: Option<&DataOptions>) -> lenslet::Result<Sets> {
        let run = DataConfig::of(&self.config);
        let data = match options {
            Some(options) => options.over(Some(run)),
            None => run,
        };
        data.load(&self.model.input(), self.config.seed)
    }
}

/// A short title of a run.
fn title(config: &Config) -> String {
    let last = |path: &str| Path::new(path).file_name().map_or(path.into(), |name| name.to_string_lossy().into_owned());
    format!("{} on {}", last(&config.model), last(&config.data))
}

/// A duration.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(v) if v.is_finite() && v > 0.0 => Ok(v),
        _ => Err("a number of seconds above 0".into()),
    }
}
