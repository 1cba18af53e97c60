//! `lenslet train`.

mod ending;
mod optimizer;
mod options;
mod show;

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use lenslet::Error;
use lenslet::data::{Dataset, Normalize};
use lenslet::nn::{Layout, Model, Network};
use lenslet::runs::{Config, CsvLog, RunFolder, TensorBoard};
use lenslet::train;
use lenslet::train::callbacks::{Callback, TimeLimit};

use crate::cli::data::{DataConfig, Sets};
use crate::cli::train::ending::{Ending, Ends};
pub use crate::cli::train::options::Options;
use crate::cli::train::show::Show;

pub fn run(options: &Options, start: Instant) -> anyhow::Result<()> {
    // All errors of the options are found before the device is opened and the run folder is created.
    let resumed = options.resume.as_ref().map(RunFolder::open).transpose()?;
    let mut config = match &resumed {
        Some((_, config)) => options.extended(config.clone()),
        None => options.config()?,
    };
    let mut model = match &resumed {
        Some((folder, _)) => folder.read_model()?,
        None => crate::cli::model(&config.model)?,
    };
    let data = DataConfig::of(&config);
    let Sets { train, validation, test, held_out, images } = data.load(&model.input(), config.seed)?;
    (config.images, config.classes) = (images, train.names.clone());
    if resumed.is_none() {
        config.model = model.name().to_string();
        config.validation = held_out;
        config.augment = options.augment.or(model.augment()).unwrap_or_default();
    }
    if let Some(normalize) = &options.normalize {
        model = normalized(model, normalize, &train, &config)?;
    }
    let sets = train::Sets { train: &train, validation: validation.as_ref() };
    let device = options.device.open()?;
    let mut trainer = config.trainer(&device, &model)?;
    if let Some(bytes) = options.data.resident() {
        trainer = trainer.resident(bytes);
    }
    trainer.check(sets, config.fit())?;
    let folder = match resumed {
        Some((folder, _)) => {
            let done = folder.resume(&mut trainer)?;
            eprintln!("resuming {} after step {done}", folder.path().display());
            if config.device != device.identity() {
                let before = &config.device;
                eprintln!("note: this run was started on {before}; results will no longer be bit-identical to it");
            }
            folder.write_config(&config)?;
            folder
        }
        None => {
            config.device = device.identity();
            let path = options.out.clone().unwrap_or_else(|| RunFolder::next_free(&config.model));
            create(path, &config, &model)?
        }
    };
    let interrupt = ending::interrupt()?;
    let mut show = Show::new(options.json.json, start);
    show.announce(&config, &trainer, &device)?;
    let ending = Cell::new(Ending::Finished);
    let ends = |reason, callback| Box::new(Ends { reason, ending: &ending, callback }) as Box<dyn Callback + '_>;
    let mut callbacks: Vec<Box<dyn Callback + '_>> = vec![
        Box::new(folder.record(trainer.layout(), &config)),
        Box::new(&mut show as &mut dyn Callback),
        ends(Ending::Interrupt, Box::new(interrupt)),
    ];
    callbacks.extend(config.early_stopping.map(|stopping| ends(Ending::EarlyStopping, Box::new(stopping))));
    callbacks.extend(options.time_limit.map(|limit| ends(Ending::TimeLimit, Box::new(TimeLimit::new(limit)))));
    if let Some(file) = &options.csv {
        callbacks.push(Box::new(CsvLog::create(file)?));
    }
    if let Some(folder) = &options.tensorboard {
        callbacks.push(Box::new(TensorBoard::create(folder)?));
    }
    let report = trainer.fit_with(sets, config.fit(), callbacks);
    show.clear();
    let report = report.with_context(|| format!("the run ended early; {}", how_to_resume(&folder)))?;
    match ending.get() {
        Ending::Finished => {}
        Ending::EarlyStopping => {
            eprintln!("stopped early: validation no longer improves; the best weights are in best.safetensors")
        }
        Ending::Interrupt => eprintln!("stopped; {}", how_to_resume(&folder)),
        Ending::TimeLimit => eprintln!("stopped by the time limit; {}", how_to_resume(&folder)),
    }
    show.finish(&folder, &config, &trainer, &test, &report)
}

/// Creates the run folder.
fn create(path: PathBuf, config: &Config, model: &Network) -> lenslet::Result<RunFolder> {
    RunFolder::create(path, config, Some(model)).map_err(|error| match error {
        Error::Data { path, reason } => {
            Error::data(path, reason + "; choose another folder with --out, or continue a run with --resume")
        }
        other => other,
    })
}

/// The command that resumes the run.
fn how_to_resume(folder: &RunFolder) -> String {
    let path = folder.path().display();
    format!("the last checkpoints are in {path}; continue with: lenslet train --resume {path}")
}

/// The network with a normalization layer in front.
fn normalized(model: Network, by: &Normalize, train: &Dataset, config: &Config) -> lenslet::Result<Network> {
    let [mean, deviation] = by.of(train, config.validation, config.seed)?;
    let model = model.normalized(mean.clone(), deviation.clone())?;
    // Values that do not fit the network are refused before the device is opened.
    Layout::of(&model)?;
    if *by == Normalize::Auto {
        eprintln!("images are normalized by mean and standard deviation, {}", Normalize::By { mean, deviation });
    }
    Ok(model)
}
