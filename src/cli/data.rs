//! The data that a command takes: which, how it is split, how pictures get the network's size.

use std::io::IsTerminal;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use lenslet::data::folder;
use lenslet::data::folder::{Colour, Resize, Share};
use lenslet::data::{Dataset, Mnist};
use lenslet::runs::Config;
use lenslet::{Error, Result};

#[derive(clap::Args)]
pub struct DataOptions {
    /// mnist, which is included; a folder with four IDX files named as MNIST's, plain or gzipped; or a folder of
    /// pictures, with a folder for each class or such folders within train, validation and test [default: mnist]
    #[arg(long, value_name = "mnist|DIR")]
    data: Option<String>,
    /// Pictures of each class to learn from, as 1000 or as a share 0.7 [default: the rest]
    #[arg(long, value_name = "N|SHARE")]
    train: Option<Share>,
    /// Pictures evaluated after each epoch, as 500 or as a share 0.2: of each class of a folder of pictures [default: its
    /// validation folder, else 0.1, or none beside counts]; else of the training set [default: 5000, or a tenth of a
    /// smaller set]
    #[arg(long, value_name = "N|SHARE")]
    validation: Option<Share>,
    /// Pictures of each class to test with, as 500 or as a share 0.2 [default: its test folder, else 0.2]
    #[arg(long, value_name = "N|SHARE")]
    test: Option<Share>,
    /// How pictures get the network's size: stretch, crop (the centre) or pad (with the background) [default: stretch]
    #[arg(long, value_name = "stretch|crop|pad")]
    resize: Option<Resize>,
    /// Behind transparent pictures and beside padded ones: black, white, grey or #rrggbb [default: black]
    #[arg(long, value_name = "COLOUR")]
    background: Option<Colour>,
    /// Leave out pictures that cannot be read
    #[arg(long)]
    skip_bad: bool,
    /// Pictures up to so many MiB lie on the device at once; more come while it computes [default: 1024, or what one
    /// binding can span]
    #[arg(long, value_name = "MIB")]
    resident: Option<u32>,
}

/// What a run's `config.toml` keeps of them.
pub struct DataConfig {
    /// `mnist`, or the folder.
    pub data: String,
    /// How a folder of pictures is taken.
    pub pictures: folder::Options,
}

/// What a command trains on and evaluates.
pub struct Sets {
    pub train: Dataset,
    /// A set of its own; else [`Sets::held_out`].
    pub validation: Option<Dataset>,
    pub test: Dataset,
    /// Pictures of the training set to hold out.
    pub held_out: usize,
    /// How it was taken, if from a folder of pictures.
    pub pictures: Option<folder::Options>,
}

impl DataOptions {
    /// Bytes of pictures that lie on the device at once, if said.
    pub fn resident(&self) -> Option<u64> {
        self.resident.map(|mib| u64::from(mib) << 20)
    }

    /// These options, and for what is not given those of a run, or the usual ones.
    pub fn over(&self, run: Option<DataConfig>) -> DataConfig {
        let DataConfig { data, pictures } =
            run.unwrap_or_else(|| DataConfig { data: "mnist".into(), pictures: folder::Options::default() });
        let pictures = folder::Options {
            train: self.train.or(pictures.train),
            validation: self.validation.or(pictures.validation),
            test: self.test.or(pictures.test),
            resize: self.resize.unwrap_or(pictures.resize),
            background: self.background.unwrap_or(pictures.background),
            skip_bad: self.skip_bad || pictures.skip_bad,
            ..pictures
        };
        DataConfig { data: self.data.clone().unwrap_or(data), pictures }
    }
}

impl DataConfig {
    /// That of a run.
    pub fn of(config: &Config) -> Self {
        Self { data: config.data.clone(), pictures: config.pictures.clone().unwrap_or_default() }
    }

    /// Loads the sets for a network that takes `shape`; notes go to standard error, and on a terminal how far it is.
    pub fn load(&self, shape: &[usize], seed: u64) -> Result<Sets> {
        if self.data == "mnist" || Mnist::is_in(&self.data) {
            return self.idx();
        }
        let dir = Path::new(&self.data);
        if !dir.read_dir().is_ok_and(|entries| entries.flatten().any(|entry| entry.path().is_dir())) {
            return self.idx().map_err(|error| match error {
                Error::Data { path, reason } => Error::data(
                    path,
                    reason + "; and no folders of pictures either, one for each class, as cat and dog",
                ),
                other => other,
            });
        }
        let Ok(shape) = <[usize; 3]>::try_from(shape) else {
            return Err(Error::option("network", "one that takes pictures, [C, H, W]", format!("{shape:?}")));
        };
        let bar = bar();
        let progress = |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let sets = folder::load(dir, shape, seed, &self.pictures, &progress);
        bar.finish_and_clear();
        let folder::Sets { train, validation, test, report } = sets?;
        tell(&report);
        let count = |set: Option<&Dataset>| set.map_or(0, Dataset::len);
        let counts = [count(Some(&train)), count(validation.as_ref()), count(Some(&test))];
        let [training, validating, testing] = counts.map(|n| crate::cli::thousands(n as u64));
        let from = if report.decoded == 0 { ", as decoded before" } else { "" };
        let classes = train.classes;
        eprintln!("{classes} classes: {training} pictures to train, {validating} to validate, {testing} to test{from}");
        Ok(Sets { train, validation, test, held_out: 0, pictures: Some(self.pictures.clone()) })
    }

    /// The sets of MNIST or one that copies its files.
    fn idx(&self) -> Result<Sets> {
        let Mnist { train, test } = crate::cli::data(&self.data)?;
        for (option, given) in [("--train", self.pictures.train), ("--test", self.pictures.test)] {
            if let Some(given) = given {
                return Err(Error::option(option, "a folder of pictures: IDX files are split already", given));
            }
        }
        let held_out = match self.pictures.validation {
            None => (train.len() / 10).min(5000),
            Some(Share::Count(count)) => count,
            Some(Share::Part(part)) => (part * train.len() as f64).round() as usize,
        };
        Ok(Sets { train, validation: None, test, held_out, pictures: None })
    }
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} pictures decoded  {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
}

/// Says what was left out, and why the next run will decode again.
fn tell(report: &folder::Report) {
    if !report.ignored.is_empty() {
        let kinds: Vec<String> = report.ignored.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        eprintln!("note: files that are no pictures by their names: {}", kinds.join(", "));
    }
    if !report.bad.is_empty() {
        eprintln!("note: {} pictures that cannot be read are left out:", report.bad.len());
        report.bad.iter().take(10).for_each(|bad| eprintln!("  {}: {}", bad.path, bad.reason));
        if report.bad.len() > 10 {
            eprintln!("  and {} more", report.bad.len() - 10);
        }
    }
    if let Some(reason) = &report.uncached {
        eprintln!("note: the next run decodes the pictures again: {reason}");
    }
}
