//! The folder of a run: configuration, network, log, checkpoints and weights.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::formats::{replace_file, weights};
use crate::nn::{Layout, Network};
use crate::runs::config::Config;
use crate::runs::log::{JsonLog, LogLine};
use crate::train::callbacks::{Best, Callback};
use crate::train::{Checkpoint, Event, Monitor, Trainer};
use crate::{Error, Result, models};

/// The folder of one run:
///
/// | file | |
/// |---|---|
/// | `config.toml` | the [configuration](Config) |
/// | `model.toml` | the network |
/// | `log.jsonl` | the log: a [`LogLine`] every 50 steps and every epoch |
/// | `checkpoint-STEP.safetensors` | the last [checkpoints](Checkpoint), to resume from |
/// | `model.safetensors` | the weights of the last checkpoint |
/// | `best.safetensors` | the weights of the epoch with the best validation |
/// | `curves.png`, `confusion.png` | training curves, and the confusion matrix of the test set, by `lenslet train` |
///
/// Each file but the log is written under a temporary name, flushed to the disk and renamed, so that it is always whole.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Lock of the folder while this process writes to it.
    _lock: File,
}

impl RunFolder {
    /// Creates the folder and writes the network, if given, and the configuration.
    ///
    /// Errors: the folder cannot be written; it contains files, which are never overwritten ([`Error::Data`]); another
    /// process is training in it ([`Error::Data`]).
    pub fn create(path: impl AsRef<Path>, config: &Config, model: Option<&Network>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        fs::create_dir_all(&path).map_err(Error::io(&path, "create"))?;
        // A process that was killed before it had started the run may have left temporary files.
        let is_run = path.join("config.toml").exists();
        if is_run || files(&path)?.iter().any(|file| !is_transient(file) && !file.ends_with("model.toml")) {
            return Err(Error::data(&path, "expected a new or empty folder, found files in it"));
        }
        let folder = Self { _lock: lock(&path)?, path };
        if let Some(model) = model {
            let text = model.to_toml();
            replace_file(folder.path.join("model.toml"), |out| out.write_all(text.as_bytes()))?;
        }
        // Last: a folder with a configuration is a run.
        folder.write_config(config)?;
        Ok(folder)
    }

    /// Opens the folder of a run to resume it.
    ///
    /// Errors: it is not a run folder, or another process is training in it.
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, Config)> {
        let config = Self::read_config(&path)?;
        let path = path.as_ref().to_path_buf();
        let folder = Self { _lock: lock(&path)?, path };
        // Temporary files of a process that was killed.
        for file in files(&folder.path)?.iter().filter(|file| is_transient(file) && !file.ends_with(LOCK)) {
            fs::remove_file(file).map_err(Error::io(file, "remove"))?;
        }
        Ok((folder, config))
    }

    /// Writes the configuration.
    ///
    /// Errors: the file cannot be written.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        let text = toml::to_string(config).expect("a configuration is a table of plain values");
        replace_file(self.path.join("config.toml"), |out| out.write_all(text.as_bytes()))
    }

    /// The network of the run, as [`RunFolder::read_model_of`].
    ///
    /// Errors: see [`RunFolder::read_model_of`].
    pub fn read_model(&self) -> Result<Network> {
        Self::read_model_of(&self.path)
    }

    /// The network of the run in `path`: `model.toml`, or without that file the network named in `config.toml`.
    ///
    /// Errors: a damaged file; an unknown name.
    pub fn read_model_of(path: impl AsRef<Path>) -> Result<Network> {
        let file = path.as_ref().join("model.toml");
        if file.exists() {
            return Network::load(file);
        }
        let config = Self::read_config(&path)?;
        models::by_name(&config.model).map_err(|e| Error::data(path.as_ref().join("config.toml"), e.to_string()))
    }

    /// The first of `runs/<model>-1`, `-2`, ... that does not exist.
    pub fn next_free(model: &str) -> PathBuf {
        let plain = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let model: String = model.chars().map(plain).collect();
        let numbered = (1..).map(|i| Path::new("runs").join(format!("{model}-{i}")));
        numbered.into_iter().find(|path| !path.exists()).expect("numbers do not end")
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Resumes the run in the trainer from its last checkpoint, if it has one; returns the number of finished steps.
    ///
    /// Errors: the last checkpoint is damaged or of another network; the message names the last intact one.
    pub fn resume(&self, trainer: &mut Trainer<'_>) -> Result<u64> {
        let checkpoints = self.checkpoints()?;
        let Some(last) = checkpoints.first() else { return Ok(0) };
        let checkpoint = trainer.read_checkpoint(last).map_err(|error| {
            let good = checkpoints.iter().skip(1).find(|path| trainer.read_checkpoint(path).is_ok());
            let way_out = match good {
                Some(good) => format!("; {} is whole: delete the other to go on from there", good.display()),
                None => "; the run has no other checkpoint".to_string(),
            };
            Error::data(
                last,
                error.to_string().trim_start_matches(&format!("{}: ", last.display())).to_string() + &way_out,
            )
        })?;
        let steps = checkpoint.steps();
        trainer.resume(checkpoint)?;
        Ok(steps)
    }

    /// The callback that writes the run to this folder: the log, the best weights by the monitored value of early stopping
    /// (the loss by default), and the last [`Config::keep`] checkpoints.
    pub fn record(&self, layout: &Layout, config: &Config) -> Recorder<'_> {
        let monitor = config.early_stopping.map_or(Monitor::Loss, |stopping| stopping.monitor);
        let (layout, model, keep) = (layout.clone(), config.model.clone(), config.keep.max(1));
        Recorder { folder: self, log: None, layout, model, keep, monitor, best: Best::default(), is_best: false }
    }

    /// Checkpoint files, the last first.
    fn checkpoints(&self) -> Result<Vec<PathBuf>> {
        let number = |path: PathBuf| {
            let name = path.file_name()?.to_str()?;
            let step = name.strip_prefix("checkpoint-")?.strip_suffix(".safetensors")?;
            Some((step.parse::<u64>().ok()?, path))
        };
        let mut found: Vec<_> = files(&self.path)?.into_iter().filter_map(number).collect();
        found.sort();
        Ok(found.into_iter().rev().map(|(_, path)| path).collect())
    }

    /// Removes the lines of the log after `done` steps and `epochs` epochs.
    fn cut_log(&self, done: u64, epochs: usize) -> Result<()> {
        let path = self.path.join("log.jsonl");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(Error::io(&path, "read"))?,
        };
        let stays = |line: &&str| match serde_json::from_str::<LogLine>(line) {
            Ok(LogLine::Epoch { epoch, .. }) => epoch as usize <= epochs,
            Ok(line) => line.step() <= done,
            Err(_) => false,
        };
        let kept: String = text.lines().filter(stays).map(|line| format!("{line}\n")).collect();
        replace_file(&path, |out| out.write_all(kept.as_bytes()))
    }

    /// Writes the weights; the previous file stays until the new one is whole.
    ///
    /// Errors: values of another layout; the file cannot be written.
    pub fn save_weights(&self, layout: &Layout, parameters: &[f32], config: &Config) -> Result<()> {
        self.save("model.safetensors", layout, parameters, &config.model)
    }

    fn save(&self, name: &str, layout: &Layout, parameters: &[f32], model: &str) -> Result<()> {
        let metadata = BTreeMap::from([("model".to_string(), model.to_string())]);
        weights::save(self.path.join(name), layout, parameters, &metadata)
    }

    /// The configuration of the run in `path`.
    ///
    /// Errors: not a run folder; a key that is missing, unknown or of the wrong type, with its line.
    pub fn read_config(path: impl AsRef<Path>) -> Result<Config> {
        let file = path.as_ref().join("config.toml");
        let text = fs::read_to_string(&file).map_err(Error::io(&file, "read"))?;
        toml::from_str(&text).map_err(|e| Error::data(&file, e.to_string().trim().to_string()))
    }

    /// The weights of the run in `path`.
    ///
    /// Errors: no weights; weights of another network, with the tensor and both shapes.
    pub fn read_weights(path: impl AsRef<Path>, layout: &Layout) -> Result<Vec<f32>> {
        weights::load(path.as_ref().join("model.safetensors"), layout)
    }

    /// The weights of the epoch with the best validation of the run in `path`.
    ///
    /// Errors: as [`RunFolder::read_weights`]; no epoch has ended yet.
    pub fn read_best_weights(path: impl AsRef<Path>, layout: &Layout) -> Result<Vec<f32>> {
        weights::load(path.as_ref().join("best.safetensors"), layout)
    }

    /// The log of the run in `path`.
    ///
    /// Errors: the file cannot be read; an invalid line, with its number. A last line that was cut off when the run was
    /// killed is ignored.
    pub fn read_log(path: impl AsRef<Path>) -> Result<Vec<LogLine>> {
        let file = path.as_ref().join("log.jsonl");
        let text = fs::read_to_string(&file).map_err(Error::io(&file, "read"))?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let read = |(number, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|e| Error::data(&file, format!("line {}: {e}", number + 1)))
        };
        whole.lines().enumerate().map(read).collect()
    }
}

const LOCK: &str = ".lock";

/// Whether the file is a lock or a temporary file of a process.
fn is_transient(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == LOCK || (name.starts_with('.') && name.ends_with(".tmp"))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder, "read"))?;
    entries.map(|entry| Ok(entry.map_err(Error::io(folder, "read"))?.path())).collect()
}

/// Locks the folder: two processes would overwrite each other's files.
fn lock(path: &Path) -> Result<File> {
    let file = path.join(LOCK);
    let lock = File::create(&file).map_err(Error::io(&file, "create"))?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(Error::data(path, "another process is training in this folder; wait for it or stop it"))
        }
        // Some file systems have no locks.
        _ => Ok(lock),
    }
}

/// [`Callback`] that writes a run to its folder, made by [`RunFolder::record`].
#[derive(Debug)]
pub struct Recorder<'f> {
    folder: &'f RunFolder,
    log: Option<JsonLog>,
    layout: Layout,
    model: String,
    keep: usize,
    monitor: Monitor,
    best: Best,
    /// Whether the last finished epoch is the best.
    is_best: bool,
}

impl Recorder<'_> {
    /// Writes the files of a checkpoint. The checkpoint itself is written last, so a crash in between resumes from the
    /// previous one and rewrites the other files.
    fn save(&self, checkpoint: &Checkpoint) -> Result<()> {
        let folder = self.folder;
        let parameters = &checkpoint.snapshot.parameters;
        if self.is_best {
            folder.save("best.safetensors", &self.layout, parameters, &self.model)?;
        }
        folder.save("model.safetensors", &self.layout, parameters, &self.model)?;
        let name = format!("checkpoint-{:08}.safetensors", checkpoint.steps());
        checkpoint.save(folder.path.join(name), &self.layout)?;
        for old in folder.checkpoints()?.iter().skip(self.keep) {
            fs::remove_file(old).map_err(Error::io(old, "remove"))?;
        }
        Ok(())
    }
}

impl Callback for Recorder<'_> {
    fn on_event(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        match event {
            Event::Ready { done, epochs, .. } => {
                self.folder.cut_log(*done, epochs.len())?;
                self.log = Some(JsonLog::append(self.folder.path.join("log.jsonl"))?);
                for epoch in epochs.iter() {
                    self.best.update(self.monitor, 0.0, epoch);
                }
            }
            Event::Epoch(epoch) => self.is_best = self.best.update(self.monitor, 0.0, epoch),
            Event::Checkpoint(checkpoint) => {
                self.save(checkpoint)?;
                self.is_best = false;
            }
            Event::Step(_) => {}
        }
        self.log.as_mut().map_or(Ok(ControlFlow::Continue(())), |log| log.on_event(event))
    }
}
