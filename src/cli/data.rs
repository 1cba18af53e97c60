//! Options for data sets: which data, its split, and the resizing of images.

use std::io::IsTerminal;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use lenslet::data::folder;
use lenslet::data::folder::{COUNTS_REMEDY, Color, Resize, SKIP_REMEDY, Share};
use lenslet::data::image::GRAY_REMEDY;
use lenslet::data::{Dataset, FOLDER_REMEDY, Mnist};
use lenslet::nn::thousands;
use lenslet::runs::Config;
use lenslet::{Error, Result};

#[derive(clap::Args)]
pub struct DataOptions {
    /// `mnist` (included); a folder with four IDX files named like MNIST's, plain or gzipped; or a folder of images,
    /// with one folder per class, optionally within train, validation and test [default: mnist]
    #[arg(long, value_name = "mnist|DIR")]
    data: Option<String>,
    /// Training images per class: a count such as 1000 or a fraction such as 0.7 [default: the rest]
    #[arg(long, value_name = "N|SHARE")]
    train: Option<Share>,
    /// Validation images, evaluated after each epoch: a count such as 500 or a fraction such as 0.2. Per class for a
    /// folder of images [default: its validation folder, else 0.1; none if other sets are counts]; else of the training
    /// set [default: 5000, or a tenth of a smaller set]
    #[arg(long, value_name = "N|SHARE")]
    validation: Option<Share>,
    /// Test images per class: a count such as 500 or a fraction such as 0.2 [default: its test folder, else 0.2]
    #[arg(long, value_name = "N|SHARE")]
    test: Option<Share>,
    /// Resizing to the network's input: stretch, crop (centered) or pad (with the background) [default: stretch]
    #[arg(long, value_name = "stretch|crop|pad")]
    resize: Option<Resize>,
    /// Color behind transparent pixels and around padded images: black, white, grey or #rrggbb [default: black]
    #[arg(long, value_name = "COLOR")]
    background: Option<Color>,
    /// Skip images that cannot be read
    #[arg(long)]
    skip_bad: bool,
    /// Device memory for training images in MiB; larger sets are streamed [default: 1024, or the maximum binding size
    /// if that is smaller]
    #[arg(long, value_name = "MIB")]
    resident: Option<u32>,
}

/// The data options stored in a run's `config.toml`.
pub struct DataConfig {
    /// `mnist`, or the data folder.
    pub data: String,
    /// Options for a folder of images.
    pub images: folder::Options,
}

/// The data sets of a command.
pub struct Sets {
    pub train: Dataset,
    /// The validation set; without one, [`Sets::held_out`] applies.
    pub validation: Option<Dataset>,
    pub test: Dataset,
    /// Number of training images to hold out for validation.
    pub held_out: usize,
    /// The options of the folder of images, if the data is one.
    pub images: Option<folder::Options>,
}

impl DataOptions {
    /// The given maximum size in bytes of images on the device.
    pub fn resident(&self) -> Option<u64> {
        self.resident.map(|mib| u64::from(mib) << 20)
    }

    /// These options completed with those of a run, or with the defaults.
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

    /// Loads the sets for a network with inputs `shape`. Notes are printed to standard error, with a progress bar on a
    /// terminal.
    pub fn load(&self, shape: &[usize], seed: u64) -> Result<Sets> {
        if self.data == "mnist" || Mnist::is_in(&self.data) {
            return self.idx();
        }
        let dir = Path::new(&self.data);
        if !dir.read_dir().is_ok_and(|entries| entries.flatten().any(|entry| entry.path().is_dir())) {
            return self.idx().map_err(|error| match error {
                Error::Data { path, reason } => {
                    Error::data(path, reason + "; also found no folders of images, one per class, such as cat and dog")
                }
                other => other,
            });
        }
        let Ok(shape) = <[usize; 3]>::try_from(shape) else {
            return Err(Error::option("network", "image inputs, [C, H, W]", format!("{shape:?}")));
        };
        let bar = bar();
        let progress = |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let sets = folder::load(dir, shape, seed, &self.images, &progress).map_err(with_flags);
        bar.finish_and_clear();
        let folder::Sets { train, validation, test, report } = sets?;
        note(&report);
        let count = |set: Option<&Dataset>| set.map_or(0, Dataset::len);
        let counts = [count(Some(&train)), count(validation.as_ref()), count(Some(&test))];
        let [training, validating, testing] = counts.map(|n| thousands(n as u64));
        let from = if report.decoded == 0 { ", from the cache" } else { "" };
        let classes = train.classes;
        eprintln!("{classes} classes: {training} training, {validating} validation and {testing} test images{from}");
        Ok(Sets { train, validation, test, held_out: 0, images: Some(self.images.clone()) })
    }

    /// Loads MNIST or a data set in its format.
    fn idx(&self) -> Result<Sets> {
        let Mnist { train, test } = mnist(&self.data)?;
        for (option, given) in [("--train", self.images.train), ("--test", self.images.test)] {
            if let Some(given) = given {
                return Err(Error::option(option, "a folder of images, because IDX files are already split", given));
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

/// MNIST, or the data in a folder.
pub fn mnist(name: &str) -> lenslet::Result<Mnist> {
    if name == "mnist" { Mnist::bundled().map_err(with_flags) } else { Mnist::from_dir(name) }
}

/// Names the command-line options in a library error about data.
pub fn with_flags(error: Error) -> Error {
    let flags = [
        (SKIP_REMEDY, " with --skip-bad"),
        (COUNTS_REMEDY, ", such as --validation 1 --test 1"),
        (GRAY_REMEDY, " with --grey"),
        (FOLDER_REMEDY, " with --data DIR"),
    ];
    match error {
        Error::Data { path, reason } => {
            let flag = flags.iter().find(|(remedy, _)| reason.ends_with(remedy)).map_or("", |(_, flag)| flag);
            Error::Data { path, reason: reason + flag }
        }
        Error::Option { option, expected, found } if ["train", "validation", "test"].contains(&option.as_str()) => {
            Error::Option { option: format!("--{option}"), expected, found }
        }
        other => other,
    }
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} images decoded  {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
}

/// Prints notes on skipped files and images, and why the next run will decode again.
fn note(report: &folder::Report) {
    if !report.ignored.is_empty() {
        let kinds: Vec<String> = report.ignored.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        eprintln!("note: skipped files without an image extension: {}", kinds.join(", "));
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
