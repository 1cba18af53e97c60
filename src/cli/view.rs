//! `lenslet view`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use console::Term;
use lenslet::data::Augment;
use lenslet::infer::{Classifier, Evaluator};
use lenslet::nn::{Model, Summary};
use lenslet::plot;
use lenslet::plot::{Canvas, Curves, Tiles};
use lenslet::runs::RunFolder;
use lenslet::{Error, Result};
use serde_json::json;

use crate::cli::data::{DataConfig, with_flags};
use crate::cli::predict::{ImageOptions, image_shape};
use crate::cli::{DeviceOption, JsonOption, Run, terminal};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  lenslet view runs/lenet5-1 curves                                 in the terminal
  lenslet view runs/lenet5-1 curves --out curves.png
  lenslet view runs/lenet5-1 confusion --out confusion.png
  lenslet view runs/lenet5-1 filters --layer conv2 --out filters.png
  lenslet view runs/lenet5-1 responses --image seven.png --invert --out maps.png
  lenslet view runs/lenet5-1 activations --out units.png            for the first image of the test set
  lenslet view runs/lenet5-1 augmented --augment rotate:15,shift:0.1 --out augmented.png")]
pub struct Options {
    /// A run folder written by `train`
    run: PathBuf,
    /// The plot
    #[arg(value_enum)]
    what: What,
    /// The PNG file to write; optional for curves
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// The image for responses and activations [default: the first of the run's test set]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The layer whose filters are drawn [default: the first with filters]
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    /// Augmentation options, as for `train --augment` [default: those of the run]
    #[arg(long, value_name = "OPTION:VALUE,..")]
    augment: Option<Augment>,
    #[command(flatten)]
    conversion: ImageOptions,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    json: JsonOption,
}

/// Number of training images, and number of augmented variants of each.
const IMAGES: usize = 8;
const TIMES: usize = 9;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Loss, accuracy and learning rate over steps and epochs
    Curves,
    /// The confusion matrix of the test set
    Confusion,
    /// The filters of a convolution
    Filters,
    /// The feature maps of each layer for an image
    Responses,
    /// The activation of each map and unit for an image
    Activations,
    /// Training images before and after augmentation
    Augmented,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let name = options.what.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string());
    let Some(file) = &options.out else {
        if options.what != What::Curves || options.json.json {
            return Err(Error::option("--out", format!("the PNG file to write {name} to"), "none").into());
        }
        return print(&options.run);
    };
    if file.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("png")) {
        return Err(Error::option("--out", "a name that ends in .png", file.display()).into());
    }
    let canvas = options.draw()?;
    canvas.save(file)?;
    let [width, height] = canvas.size();
    let mut out = std::io::stdout().lock();
    if options.json.json {
        let line = json!({ "view": name, "file": file.display().to_string(), "width": width, "height": height });
        writeln!(out, "{line}")?;
    } else {
        writeln!(out, "{name} of {} in {}, {width} x {height} pixels", options.run.display(), file.display())?;
    }
    Ok(())
}

/// Prints the curves to standard output.
fn print(run: &Path) -> anyhow::Result<()> {
    let config = RunFolder::read_config(run)?;
    let curves = Curves::of(&RunFolder::read_log(run)?);
    if curves.steps == 0 {
        return Err(Error::data(run.join("log.jsonl"), "expected at least one step, found none").into());
    }
    let mut out = std::io::stdout().lock();
    let width = terminal::room(&Term::stdout()).unwrap_or(80);
    let is_coloured = std::io::stdout().is_terminal() && terminal::is_coloured();
    writeln!(out, "{}", crate::cli::title(&config))?;
    write!(out, "{}", terminal::curves(&curves, width, is_coloured))?;
    Ok(())
}

impl Options {
    fn draw(&self) -> anyhow::Result<Canvas> {
        match self.what {
            What::Curves => self.curves(),
            What::Confusion => self.confusion(&Run::open(&self.run, false)?),
            What::Filters => self.filters(&Run::open(&self.run, false)?),
            What::Responses => self.layers(&Run::open(&self.run, false)?, plot::responses),
            What::Activations => self.layers(&Run::open(&self.run, false)?, plot::activations),
            What::Augmented => self.augmented(),
        }
    }

    fn curves(&self) -> anyhow::Result<Canvas> {
        let title = crate::cli::title(&RunFolder::read_config(&self.run)?);
        let log = RunFolder::read_log(&self.run)?;
        let at = |error: Error| Error::data(self.run.join("log.jsonl"), error.to_string());
        Ok(plot::curves(&title, &log).map_err(at)?)
    }

    fn confusion(&self, run: &Run) -> anyhow::Result<Canvas> {
        let test = run.sets(None)?.test;
        let device = self.device.open()?;
        let batch = 256.min(test.len());
        let result = Evaluator::new(&device, &run.model, &run.layout, &test, batch)?.run(&run.parameters)?;
        Ok(plot::confusion(&format!("{}, test set", crate::cli::title(&run.config)), &result, &run.config.classes)?)
    }

    fn filters(&self, run: &Run) -> anyhow::Result<Canvas> {
        let filters = || {
            let all = run.layout.parameters().filter(|(spec, _)| spec.shape.len() == 4);
            all.filter_map(|(spec, range)| Some((spec.name.strip_suffix(".weight")?, spec, range)))
        };
        let found = filters().find(|(layer, ..)| self.layer.as_ref().is_none_or(|name| name == layer));
        let Some((layer, spec, range)) = found else {
            let names: Vec<&str> = filters().map(|(layer, ..)| layer).collect();
            let expected = match names[..] {
                [] => "a network with convolutions".to_string(),
                _ => format!("a layer with filters: {}", names.join(", ")),
            };
            return Err(Error::option("--layer", expected, self.layer.as_deref().unwrap_or(run.model.name())).into());
        };
        Ok(plot::filters(&crate::cli::title(&run.config), layer, &run.parameters, range, &spec.shape)?)
    }

    /// The first training images, one per row: the original and some augmented variants.
    fn augmented(&self) -> anyhow::Result<Canvas> {
        let config = RunFolder::read_config(&self.run)?;
        let augment = self.augment.unwrap_or(config.augment);
        if augment.is_nothing() {
            let expected = "how to vary the images, as rotate:10,shift:0.1: the run does not";
            return Err(Error::option("--augment", expected, "none").into());
        }
        let model = RunFolder::read_model_of(&self.run)?;
        let train = DataConfig::of(&config).load(&model.input(), config.seed)?.train;
        let numbers: Vec<u32> = (0..train.len().min(IMAGES) as u32).collect();
        let none = || Error::data(&config.data, "expected at least one image to train on, found none");
        let some = train.subset(&numbers).ok_or_else(none)?;
        let device = self.device.open()?;
        let varied = lenslet::infer::augmented(&device, &some, augment, &numbers, TIMES, config.seed)?;
        let (some, varied, size) = (some.bytes()?, varied.bytes()?, train.image_len());
        let row = |&number: &u32| {
            let at = number as usize;
            let class = usize::from(train.labels[at]);
            let class = config.classes.get(class).cloned().unwrap_or_else(|| class.to_string());
            let bytes = some[at * size..][..size].iter().chain(&varied[at * TIMES * size..][..TIMES * size]);
            let values = bytes.map(|&byte| f32::from(byte) / 255.0).collect();
            let [c, h, w] = train.shape;
            Tiles { name: format!("class {class}"), values, shape: [1 + TIMES, c, h, w].into() }
        };
        let rows: Vec<Tiles> = numbers.iter().map(row).collect();
        let numbers = format!("an image as it is, then as {TIMES} steps of training see it;  {augment}");
        Ok(plot::images(&crate::cli::title(&config), &numbers, &rows)?)
    }

    /// Draws the layers' outputs for an image.
    fn layers(&self, run: &Run, draw: fn(&str, &Tiles, &[Tiles]) -> Result<Canvas>) -> anyhow::Result<Canvas> {
        let shape = image_shape(&run.model)?;
        let (name, values) = match &self.image {
            Some(file) => {
                (file.display().to_string(), self.conversion.of(&run.config).read(file, shape).map_err(with_flags)?)
            }
            None => {
                let test = run.sets(None)?.test;
                let class = usize::from(test.labels[0]);
                let class = run.config.classes.get(class).cloned().unwrap_or_else(|| class.to_string());
                let values: Vec<f32> =
                    test.bytes()?[..test.image_len()].iter().map(|&byte| f32::from(byte) / 255.0).collect();
                if test.shape != shape {
                    let expected = format!("images of {:?}, as {} takes", shape, run.model.name());
                    return Err(Error::option("data set", expected, format!("{:?}", test.shape)).into());
                }
                (format!("the first image of the test set, class {class}"), values)
            }
        };
        let summary = Summary::of(&run.model)?;
        let watched: Vec<&str> =
            summary.rows.iter().filter(|row| row.kind != "flatten").map(|row| row.layer.as_str()).collect();
        let device = self.device.open()?;
        let mut classifier = Classifier::new(&device, &run.model, &run.layout, &run.parameters, 1, &watched)?;
        let probabilities = classifier.predict(&values)?.remove(0);
        let tiles = |(name, shape, values)| Tiles { name, values, shape };
        let mut layers: Vec<Tiles> = classifier.activations()?.into_iter().map(tiles).collect();
        let classes = [1, probabilities.len()].into();
        layers.push(Tiles { name: "probabilities".into(), values: probabilities, shape: classes });
        let [c, h, w] = shape;
        let image = Tiles { name, values, shape: [1, c, h, w].into() };
        Ok(draw(&crate::cli::title(&run.config), &image, &layers)?)
    }
}
