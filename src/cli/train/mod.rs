//! `lenslet train`.

mod optimizer;
mod show;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use lenslet::data::Normalize;
use lenslet::data::{Augment, Dataset};
use lenslet::nn::{Layout, Model, Network};
use lenslet::optim::{Clip, Clipped, Group, Grouped};
use lenslet::runs::{Config, RunFolder};
use lenslet::runs::{CsvLog, TensorBoard};
use lenslet::train;
use lenslet::train::callbacks::{Callback, EarlyStopping, TimeLimit};
use lenslet::train::{ClassWeights, Event, Fit, Schedule, Trainer};
use lenslet::{Device, Precision};

use crate::cli::data::{DataConfig, DataOptions, Sets};
use crate::cli::train::optimizer::OptimizerOptions;
use crate::cli::train::show::Show;
use crate::cli::{DeviceOption, JsonOption};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  lenslet train
  lenslet train --model convnet --optimizer rmsprop --epochs 5
  lenslet train --augment rotate:10,shift:0.1,zoom:0.9:1.1 --epochs 10
  lenslet train --data ~/fashion-mnist --seed 7 --out runs/fashion
  lenslet train --data ~/pets --model pets.toml --resize crop --normalize auto
  lenslet train --model net.toml               a network of your own; docs/your-network.md says how to write one
  lenslet train --epochs 100 --early-stop 5 --time-limit 30m
  lenslet train --batch-size 32 --accumulate 8 --class-weights balanced --group '*.bias:lr=2,decay=0'
  lenslet train --resume runs/lenet5-1         after Ctrl-C, a crash or a full disk
  lenslet train --steps 200 --json")]
pub struct Options {
    #[arg(help = crate::cli::model_help(), long, value_name = "NAME|FILE.toml", default_value = "lenet5")]
    model: String,
    #[command(flatten)]
    data: DataOptions,
    /// Passes over the training pictures [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Stop after so many steps, whatever the epochs
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Pictures a step
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    #[command(flatten)]
    optimizer: OptimizerOptions,
    /// The learning rate's course over the run: constant, step:EVERY:FACTOR, multi-step:AT,AT:FACTOR,
    /// exponential:FACTOR, cosine, cosine:WARM_UP or one-cycle, all in steps; plateau or plateau:FACTOR:PATIENCE, in
    /// epochs in which the held-out loss gets no better
    #[arg(long, default_value = "cosine", value_name = "COURSE")]
    schedule: Schedule,
    /// Clips gradients: value:BOUND, norm:BOUND (of each parameter) or global-norm:BOUND
    #[arg(long, value_name = "RULE:BOUND")]
    clip: Option<Clip>,
    /// How the training pictures are varied, another way in each step: some of rotate:DEGREES, shift:SHARE, shear:DEGREES,
    /// zoom:LEAST:MOST, flip:horizontal|vertical|both, brightness:SHARE, contrast:SHARE, crop:PIXELS and
    /// fill:nearest|reflect|VALUE, with commas between [default: what the network's file says, else nothing]
    #[arg(long, value_name = "OPTION:VALUE,..")]
    augment: Option<Augment>,
    /// Normalises pictures by mean and deviation, where white is 1: numbers for all channels or for each, or auto, those of
    /// the training pictures. Puts a layer that does so in front of the network, behind --augment
    #[arg(long, value_name = "auto|MEAN:DEVIATION", allow_hyphen_values = true)]
    normalize: Option<Normalize>,
    /// What each class weighs in the loss that is trained on: balanced, for all classes as much by their pictures, or a
    /// number for each class
    #[arg(long, value_name = "balanced|W,W,...")]
    class_weights: Option<ClassWeights>,
    /// Batches that share an update of the weights, as one large batch would; --steps, --schedule and --checkpoint-steps
    /// count batches
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    accumulate: u32,
    /// Other settings for parameters whose names match a pattern, lr=FACTOR, decay=DECAY or freeze, as in
    /// '*.bias:lr=2,decay=0'; may be given several times, the first that matches counts
    #[arg(long = "group", value_name = "PATTERN:SETTINGS")]
    groups: Vec<Group>,
    /// How values are stored between the operations: f32, or f16 for half the memory, on GPUs with shader-f16
    #[arg(long, default_value_t, value_name = "f32|f16")]
    precision: Precision,
    /// Of initial weights, shuffling and the held-out pictures
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Ends the run when the held-out loss got no better for so many epochs; accuracy:EPOCHS goes by accuracy, and
    /// :MIN_DELTA after it says by how much a better value must differ
    #[arg(long, value_name = "EPOCHS")]
    early_stop: Option<EarlyStopping>,
    /// Ends the run after so long, as Ctrl-C does: 90s, 30m, 1h 30m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    time_limit: Option<Duration>,
    /// Goes on when a loss or a weight is not finite, instead of ending with an error
    #[arg(long)]
    allow_nan: bool,
    /// Steps between two checkpoints inside an epoch; there is one at the end of each
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_steps: Option<u64>,
    /// How many checkpoints the run folder keeps [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    keep: Option<u64>,
    /// Writes a table with a row an epoch too
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Writes logs for TensorBoard too, into this folder
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    /// Goes on with a run from its last checkpoint, to the same weights as if it had not been stopped. Its network, data
    /// and settings are those it was begun with; --epochs or --steps make it longer
    #[arg(long, value_name = "RUN", conflicts_with_all = FIXED)]
    resume: Option<PathBuf>,
    /// The run folder, new or empty [default: runs/MODEL-1, or the next free number]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    json: JsonOption,
}

/// What a run is begun with and keeps.
const FIXED: [&str; 26] = [
    "augment",
    "normalize",
    "model",
    "data",
    "train",
    "validation",
    "test",
    "resize",
    "background",
    "batch_size",
    "optimizer",
    "lr",
    "momentum",
    "nesterov",
    "weight_decay",
    "schedule",
    "clip",
    "class_weights",
    "accumulate",
    "groups",
    "precision",
    "seed",
    "early_stop",
    "allow_nan",
    "checkpoint_steps",
    "out",
];

pub fn run(options: &Options, start: Instant) -> anyhow::Result<()> {
    // Everything that can be wrong is found before the device is opened and the run folder is made.
    let begun = options.resume.as_ref().map(RunFolder::open).transpose()?;
    let mut config = match &begun {
        Some((_, config)) => options.longer(config),
        None => options.config()?,
    };
    let mut model = match &begun {
        Some((folder, _)) => folder.read_model()?,
        None => crate::cli::model(&config.model)?,
    };
    let data = DataConfig::of(&config);
    let Sets { train, validation, test, held_out, pictures } = data.load(&model.input(), config.seed)?;
    (config.pictures, config.classes) = (pictures, train.names.clone());
    if begun.is_none() {
        config.model = model.name().to_string();
        config.validation = held_out;
        config.augment = options.augment.or(model.augment()).unwrap_or_default();
    }
    if let Some(normalize) = &options.normalize {
        model = normalized(model, normalize, &train, &config)?;
    }
    let sets = train::Sets { train: &train, validation: validation.as_ref() };
    let device = options.device.open()?;
    let mut trainer = trainer(&config, &device, &model)?;
    if let Some(bytes) = options.data.resident() {
        trainer = trainer.resident(bytes);
    }
    let fit = Fit {
        epochs: config.epochs,
        validation: config.validation,
        steps: config.steps,
        checkpoint_steps: config.checkpoint_steps,
        allow_nan: config.allow_nan,
    };
    trainer.check(sets, fit)?;
    let folder = match begun {
        Some((folder, _)) => {
            let done = folder.resume(&mut trainer)?;
            eprintln!("going on with {} after step {done}", folder.path().display());
            if config.device != device.identity() {
                let before = &config.device;
                eprintln!("note: it was begun on {before}; from here on its numbers are not what they would be there");
            }
            folder.write_config(&config)?;
            folder
        }
        None => {
            config.device = device.identity();
            let path = options.out.clone().unwrap_or_else(|| RunFolder::next_free(&config.model));
            RunFolder::create(path, &config, Some(&model))?
        }
    };
    let asked = listen()?;
    let mut show = Show::new(options.json.json, start);
    show.announce(&config, &trainer, &device)?;
    let ending = Cell::new(Ending::Done);
    let because = |why, callback| Box::new(Because { why, ending: &ending, callback }) as Box<dyn Callback + '_>;
    let stop = |_: Event| match asked.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let mut callbacks: Vec<Box<dyn Callback + '_>> = vec![
        Box::new(folder.record(trainer.layout(), &config)),
        Box::new(&mut show as &mut dyn Callback),
        because(Ending::Asked, Box::new(stop)),
    ];
    callbacks.extend(config.early_stopping.map(|stopping| because(Ending::Early, Box::new(stopping))));
    callbacks.extend(options.time_limit.map(|limit| because(Ending::Late, Box::new(TimeLimit::new(limit)))));
    if let Some(file) = &options.csv {
        callbacks.push(Box::new(CsvLog::create(file)?));
    }
    if let Some(folder) = &options.tensorboard {
        callbacks.push(Box::new(TensorBoard::create(folder)?));
    }
    let report = trainer.fit_with(sets, fit, callbacks);
    show.clear();
    let report = report.with_context(|| format!("the run ended early; {}", way_on(&folder)))?;
    match ending.get() {
        Ending::Done => {}
        Ending::Early => {
            eprintln!("stopped: validation no longer gets better; the best weights are in best.safetensors")
        }
        Ending::Asked => eprintln!("stopped; {}", way_on(&folder)),
        Ending::Late => eprintln!("stopped by the time limit; {}", way_on(&folder)),
    }
    show.finish(&folder, &config, &trainer, &test, &report)
}

/// Why a run ended.
#[derive(Clone, Copy)]
enum Ending {
    /// All steps are done.
    Done,
    /// By early stopping.
    Early,
    /// By Ctrl-C.
    Asked,
    /// By the time limit.
    Late,
}

/// A callback that says when it ended the run.
struct Because<'a> {
    why: Ending,
    ending: &'a Cell<Ending>,
    callback: Box<dyn Callback + 'a>,
}

impl Callback for Because<'_> {
    fn tell(&mut self, event: &Event) -> lenslet::Result<ControlFlow<()>> {
        let flow = self.callback.tell(event)?;
        if flow.is_break() {
            self.ending.set(self.why);
        }
        Ok(flow)
    }
}

/// What was kept, and how to go on.
fn way_on(folder: &RunFolder) -> String {
    let path = folder.path().display();
    format!("every checkpoint is kept in {path}; go on with: lenslet train --resume {path}")
}

/// Whether Ctrl-C was pressed. Pressed again, it ends the process on the spot.
fn listen() -> anyhow::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    let told = asked.clone();
    let handler = move || {
        if told.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nstopping after this step; Ctrl-C again to stop at once");
    };
    ctrlc::set_handler(handler).context("listening for Ctrl-C")?;
    Ok(asked)
}

/// The network with a layer in front that normalises the pictures of a run.
fn normalized(model: Network, by: &Normalize, train: &Dataset, config: &Config) -> lenslet::Result<Network> {
    let [mean, deviation] = by.of(train, config.validation, config.seed)?;
    let model = model.normalized(mean.clone(), deviation.clone())?;
    // What does not fit the network is told before the device is opened.
    Layout::of(&model)?;
    if *by == Normalize::Auto {
        eprintln!("pictures are normalised by mean and deviation, {}", Normalize::By { mean, deviation });
    }
    Ok(model)
}

fn trainer<'m>(config: &Config, device: &Device, model: &'m dyn Model) -> lenslet::Result<Trainer<'m>> {
    let mut rule = config.optimizer.boxed();
    if let Some(clip) = config.clip {
        rule = Box::new(Clipped::boxed(rule, clip));
    }
    if !config.groups.is_empty() {
        rule = Box::new(Grouped::boxed(rule, config.groups.clone()));
    }
    let trainer = Trainer::boxed(device, model, rule)?
        .batch_size(config.batch_size)
        .schedule(config.schedule.clone())
        .seed(config.seed)
        .accumulate(config.accumulate)
        .precision(config.precision)
        .augment(config.augment);
    Ok(match config.class_weights.clone() {
        Some(weights) => trainer.class_weights(weights),
        None => trainer,
    })
}

impl Options {
    /// What the run is begun with, as far as it is known before network and data are read.
    fn config(&self) -> anyhow::Result<Config> {
        let DataConfig { data, pictures } = self.data.over(None);
        let data = match data.as_str() {
            "mnist" => data,
            dir => std::path::absolute(dir).context("the data folder's path")?.display().to_string(),
        };
        Ok(Config {
            model: self.model.clone(),
            data,
            pictures: Some(pictures),
            classes: vec![],
            epochs: self.epochs.unwrap_or(3),
            steps: self.steps,
            batch_size: self.batch_size,
            validation: 0,
            seed: self.seed,
            schedule: self.schedule.clone(),
            precision: self.precision,
            clip: self.clip,
            augment: Augment::default(),
            class_weights: self.class_weights.clone(),
            accumulate: self.accumulate as usize,
            groups: self.groups.clone(),
            early_stopping: self.early_stop,
            checkpoint_steps: self.checkpoint_steps,
            keep: self.keep.unwrap_or(2) as usize,
            allow_nan: self.allow_nan,
            optimizer: self.optimizer.rule()?,
            device: String::new(),
        })
    }

    /// A run's configuration with what may change when it goes on.
    fn longer(&self, begun: &Config) -> Config {
        let config = begun.clone();
        Config {
            epochs: self.epochs.unwrap_or(config.epochs),
            // More epochs are not to end where fewer steps did.
            steps: self.steps.or(config.steps.filter(|_| self.epochs.is_none())),
            keep: self.keep.map_or(config.keep, |keep| keep as usize),
            ..config
        }
    }
}
