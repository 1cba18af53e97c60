//! Data options of a command: the data set, its splits, and the preprocessing of images.

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
    /// mnist, which is included; a folder with four IDX files named as MNIST's, plain or gzipped; or a folder of images with
    /// a folder per class, or with such folders inside train, validation and test [default: mnist]
    #[arg(long, value_name = "mnist|DIR")]
    data: Option<String>,
    /// Training images of each class, as a count (1000) or a fraction (0.7) [default: the rest]
    #[arg(long, value_name = "N|FRACTION")]
    train: Option<Share>,
    /// Validation images, evaluated after each epoch, as a count (500) or a fraction (0.2): of each class of a folder of
    /// images [default: its validation folder, else 0.1, or none if another set is a count]; else of the training set
    /// [default: 5000, or a tenth of a smaller set]
    #[arg(long, value_name = "N|FRACTION")]
    validation: Option<Share>,
    /// Test images of each class, as a count (500) or a fraction (0.2) [default: the test folder, else 0.2]
    #[arg(long, value_name = "N|FRACTION")]
    test: Option<Share>,
    /// Resizing of images to the network's input: stretch, crop (to the center) or pad (with the background) [default:
    /// stretch]
    #[arg(long, value_name = "stretch|crop|pad")]
    resize: Option<Resize>,
    /// Background of transparent and of padded images: black, white, grey or #rrggbb [default: black]
    #[arg(long, value_name = "COLOR")]
    background: Option<Colour>,
    /// Skip images that cannot be read
    #[arg(long)]
    skip_bad: bool,
    /// Device memory for training images in MiB; larger sets are streamed [default: 1024, or the largest binding of the
    /// device]
    #[arg(long, value_name = "MIB")]
    resident: Option<u32>,
}

/// The data options of a run, as its `config.toml` keeps them.
pub struct DataConfig {
    /// `mnist`, or the folder.
    pub data: String,
    /// Options of a folder of images.
    pub images: folder::Options,
}

/// The data sets of a command.
pub struct Sets {
    pub train: Dataset,
    /// A separate validation set; if there is none, [`Sets::held_out`] applies.
    pub validation: Option<Dataset>,
    pub test: Dataset,
    /// Number of images of the training set to hold out for validation.
    pub held_out: usize,
    /// Options of the folder, if the data is a folder of images.
    pub images: Option<folder::Options>,
}

impl DataOptions {
    /// Device memory for images in bytes, if given.
    pub fn resident(&self) -> Option<u64> {
        self.resident.map(|mib| u64::from(mib) << 20)
    }

    /// These options; where one is not given, that of a run, or the default.
    pub fn over(&self, run: Option<DataConfig>) -> DataConfig {
        let DataConfig { data, images } =
            run.unwrap_or_else(|| DataConfig { data: "mnist".into(), images: folder::Options::default() });
        let images = folder::Options {
            train: self.train.or(images.train),
            validation: self.validation.or(images.validation),
            test: self.test.or(images.test),
            resize: self.resize.unwrap_or(images.resize),
            background: self.background.unwrap_or(images.background),
            skip_bad: self.skip_bad || images.skip_bad,
            ..images
        };
        DataConfig { data: self.data.clone().unwrap_or(data), images }
    }
}

impl DataConfig {
    /// The data options of a run.
    pub fn of(config: &Config) -> Self {
        Self { data: config.data.clone(), images: config.images.clone().unwrap_or_default() }
    }

    /// Loads the sets for a network with inputs of `shape`. Notes, and on a terminal the progress, go to standard error.
    pub fn load(&self, shape: &[usize], seed: u64) -> Result<Sets> {
        if self.data == "mnist" || Mnist::is_in(&self.data) {
            return self.idx();
        }
        let dir = Path::new(&self.data);
        if !dir.read_dir().is_ok_and(|entries| entries.flatten().any(|entry| entry.path().is_dir())) {
            return self.idx().map_err(|error| match error {
                Error::Data { path, reason } => {
                    Error::data(path, reason + "; and no folders of images either, one per class, such as cat and dog")
                }
                other => other,
            });
        }
        let Ok(shape) = <[usize; 3]>::try_from(shape) else {
            return Err(Error::option("network", "one with images as input, [C, H, W]", format!("{shape:?}")));
        };
        let bar = bar();
        let progress = |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let sets = folder::load(dir, shape, seed, &self.images, &progress);
        bar.finish_and_clear();
        let folder::Sets { train, validation, test, report } = sets?;
        note(&report);
        let count = |set: Option<&Dataset>| set.map_or(0, Dataset::len);
        let counts = [count(Some(&train)), count(validation.as_ref()), count(Some(&test))];
        let [training, validating, testing] = counts.map(|n| crate::cli::thousands(n as u64));
        let cached = if report.decoded == 0 { ", from the cache" } else { "" };
        let classes = train.classes;
        eprintln!("{classes} classes: {training} images to train, {validating} to validate, {testing} to test{cached}");
        Ok(Sets { train, validation, test, held_out: 0, images: Some(self.images.clone()) })
    }

    /// The sets of MNIST or one that copies its files.
    fn idx(&self) -> Result<Sets> {
        let Mnist { train, test } = crate::cli::data(&self.data)?;
        for (option, given) in [("--train", self.images.train), ("--test", self.images.test)] {
            if let Some(given) = given {
                return Err(Error::option(option, "a folder of images: IDX files are split already", given));
            }
        }
        let held_out = match self.images.validation {
            None => (train.len() / 10).min(5000),
            Some(Share::Count(count)) => count,
            Some(Share::Part(part)) => (part * train.len() as f64).round() as usize,
        };
        Ok(Sets { train, validation: None, test, held_out, images: None })
    }
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} images decoded  {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
}

/// Prints which files were skipped, and why the decoded images were not cached.
fn note(report: &folder::Report) {
    if !report.ignored.is_empty() {
        let kinds: Vec<String> = report.ignored.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        eprintln!("note: skipped files that are not images by their names: {}", kinds.join(", "));
    }
    if !report.bad.is_empty() {
        eprintln!("note: skipped {} images that cannot be read:", report.bad.len());
        report.bad.iter().take(10).for_each(|bad| eprintln!("  {}: {}", bad.path, bad.reason));
        if report.bad.len() > 10 {
            eprintln!("  and {} more", report.bad.len() - 10);
        }
    }
    if let Some(reason) = &report.uncached {
        eprintln!("note: the next run will decode the images again: {reason}");
    }
}
