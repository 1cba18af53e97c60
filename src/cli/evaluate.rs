//! `lenslet evaluate`.

use std::io::Write;
use std::path::PathBuf;

use lenslet::infer::{Evaluation, Evaluator};
use serde_json::json;

use crate::cli::data::DataOptions;
use crate::cli::{DeviceOption, JsonOption, Run};

#[derive(clap::Args)]
#[command(after_help = "What is not given of the data is the run's own.

Examples:
  lenslet evaluate runs/lenet5-1
  lenslet evaluate runs/lenet5-1 --best
  lenslet evaluate runs/lenet5-1 --data ~/fashion-mnist --device cpu")]
pub struct Options {
    /// A run folder written by `train`
    run: PathBuf,
    /// Uses the weights of the epoch with the best validation result instead of the last
    #[arg(long)]
    best: bool,
    #[command(flatten)]
    data: DataOptions,
    /// Batch size
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch_size: u64,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    json: JsonOption,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let run = Run::open(&options.run, options.best)?;
    let test = run.sets(Some(&options.data))?.test;
    let Run { model, layout, parameters, .. } = &run;
    let device = options.device.open()?;
    let result = Evaluator::new(&device, model, layout, &test, options.batch_size as usize)?.run(parameters)?;
    let mut out = std::io::stdout().lock();
    if options.json.json {
        let of_classes = |of: fn(&Evaluation, usize) -> Option<f64>| -> Vec<Option<f64>> {
            (0..result.confusion.len()).map(|class| of(&result, class)).collect()
        };
        let line = json!({
            "accuracy": result.accuracy,
            "top5": result.top5,
            "loss": result.loss,
            "precision": of_classes(Evaluation::precision),
            "recall": of_classes(Evaluation::recall),
            "f1": of_classes(Evaluation::f1),
            "confusion": result.confusion,
        });
        writeln!(out, "{line}")?;
    } else {
        write!(out, "{}", table(&result))?;
    }
    Ok(())
}

/// A table of accuracy, loss, precision, recall and F1 per class, and the confusion matrix.
fn table(result: &Evaluation) -> String {
    let confusion = &result.confusion;
    let classes = confusion.len();
    let Evaluation { accuracy, top5, loss, .. } = result;
    let mut text = format!("accuracy {:.2} %, top-5 {:.2} %, loss {loss:.4}\n\n", 100.0 * accuracy, 100.0 * top5);
    text += "class  images  precision   recall       F1\n";
    let percent = |share: Option<f64>| share.map_or("-".to_string(), |share| format!("{:.2} %", 100.0 * share));
    for class in 0..classes {
        let shares = [result.precision(class), result.recall(class), result.f1(class)].map(percent);
        let [precision, recall, f1] = &shares;
        text += &format!("{class:>5}  {:>6}  {precision:>9}  {recall:>7}  {f1:>7}\n", result.images(class));
    }
    let undecided: usize = result.undecided.iter().sum();
    if undecided > 0 {
        text += &format!("{undecided} images were given no class: their logits hold NaN\n");
    }
    let width = confusion.iter().flatten().max().map_or(1, |m| m.to_string().len()).max(2) + 1;
    text += "\nconfusion: a row for each right class, a column for each class given\n     ";
    text += &(0..classes).map(|c| format!("{c:>width$}")).collect::<String>();
    text += "\n";
    for (class, row) in confusion.iter().enumerate() {
        text += &format!("{class:>5}{}\n", row.iter().map(|n| format!("{n:>width$}")).collect::<String>());
    }
    text
}
