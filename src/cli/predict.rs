//! `lenslet predict`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use lenslet::data::folder::{Color, Resize};
use lenslet::data::image::Preparation;
use lenslet::infer::Classifier;
use lenslet::nn::Model;
use lenslet::runs::Config;
use lenslet::{Error, Result};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::cli::data::with_flags;
use crate::cli::{DeviceOption, JsonOption, Run};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  lenslet predict runs/lenet5-1 seven.png
  lenslet predict runs/lenet5-1 scans/*.jpg --invert --top 1     dark digits on white paper, for MNIST's bright on black
  lenslet predict runs/lenet5-1 photo.jpg --grey --resize crop
Images are converted only as requested: --invert inverts them, and --grey allows color images for a network of one
channel. If the run was trained on a folder of images, its conversion is used: to grayscale, with the resizing and the
background of its config.toml. Only the first image of a file is used.")]
pub struct Options {
    /// A run folder written by `train`
    run: PathBuf,
    /// JPEG, PNG, BMP, GIF or WebP files
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Number of classes to print per image, the most likely first
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=256))]
    top: u64,
    /// Uses the weights of the epoch with the best validation result instead of the last
    #[arg(long)]
    best: bool,
    #[command(flatten)]
    conversion: ImageOptions,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    json: JsonOption,
}

/// Options for the conversion of image files to a network's input.
#[derive(clap::Args)]
pub struct ImageOptions {
    /// Replaces values v by 1 - v: dark ink on white paper becomes bright ink on black
    #[arg(long)]
    invert: bool,
    /// Converts color images to grayscale for a network of one channel: 0.299 R + 0.587 G + 0.114 B
    #[arg(long)]
    grey: bool,
    /// Antialiased resizing to the network's input: stretch, crop (centered) or pad (with the background) [default:
    /// that of the run, else stretch]
    #[arg(long, value_name = "stretch|crop|pad")]
    resize: Option<Resize>,
    /// Color behind transparent pixels and around padded images: black, white, grey or #rrggbb [default: that of the
    /// run, else black]
    #[arg(long, value_name = "COLOR")]
    background: Option<Color>,
}

impl ImageOptions {
    /// The conversion of image files for a run's network.
    pub fn of(&self, config: &Config) -> Preparation {
        let run = config.images.clone().unwrap_or_default();
        Preparation {
            resize: self.resize.unwrap_or(run.resize),
            background: self.background.unwrap_or(run.background),
            gray: self.grey || config.images.is_some(),
            invert: self.invert,
        }
    }
}

/// Images decoded and predicted per batch.
const BATCH: usize = 64;

pub fn run(options: &Options) -> anyhow::Result<()> {
    let Run { config, model, layout, parameters } = Run::open(&options.run, options.best)?;
    let shape = image_shape(&model)?;
    let preparation = options.conversion.of(&config);
    let device = options.device.open()?;
    let batch = options.images.len().min(BATCH);
    let mut classifier = Classifier::new(&device, &model, &layout, &parameters, batch, &[])?;
    let widest = options.images.iter().map(|file| file.display().to_string().chars().count()).max().unwrap_or(0);
    let mut out = std::io::stdout().lock();
    let mut bad = 0;
    for files in options.images.chunks(BATCH) {
        let read: Vec<Result<Vec<f32>>> = files.par_iter().map(|file| preparation.read(file, shape)).collect();
        let (mut names, mut images) = (vec![], vec![]);
        for (file, values) in files.iter().zip(read) {
            match values {
                Ok(values) => {
                    names.push(file);
                    images.extend(values);
                }
                Err(error) => {
                    bad += 1;
                    eprintln!("{}", with_flags(error));
                }
            }
        }
        for (file, probabilities) in names.into_iter().zip(classifier.predict(&images)?) {
            let best = best(&probabilities, options.top as usize, &config.classes);
            if options.json.json {
                let classes = best.iter().map(|(class, p)| json!({ "class": class, "probability": p }));
                let line = json!({ "file": file.display().to_string(), "classes": classes.collect::<Vec<_>>() });
                writeln!(out, "{line}")?;
            } else {
                let word = |(class, p): &(Value, f32)| {
                    let class = class.as_str().map_or_else(|| class.to_string(), String::from);
                    format!("  {class} {:6.2} %", 100.0 * p)
                };
                let words: String = best.iter().map(word).collect();
                writeln!(out, "{:widest$}{words}", file.display().to_string())?;
            }
        }
    }
    if bad > 0 {
        bail!("{bad} of {} images could not be predicted; see the messages above", options.images.len());
    }
    Ok(())
}

/// The most likely classes, by name if they have names.
fn best(probabilities: &[f32], top: usize, names: &[String]) -> Vec<(Value, f32)> {
    let mut classes: Vec<usize> = (0..probabilities.len()).collect();
    classes.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let name = |class: usize| names.get(class).map_or_else(|| json!(class), |name| json!(name));
    classes.into_iter().take(top).map(|class| (name(class), probabilities[class])).collect()
}

/// Channels, height and width of a network's input.
pub fn image_shape(model: &dyn Model) -> Result<[usize; 3]> {
    let shape = model.input();
    let refuse = |_| Error::option(format!("input of {}", model.name()), "an image shape, [C, H, W]", &shape);
    shape.to_vec().try_into().map_err(refuse)
}
