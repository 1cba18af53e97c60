//! `lenslet train`.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use lenslet::data::Dataset;
use lenslet::nn::Model;
use lenslet::optim::{Adagrad, Adam, AdamW, AnyOptimizer, Clip, Clipped, RmsProp, Sgd};
use lenslet::train::{Config, EpochReport, Event, Fit, LogLine, RunFolder, Schedule, StepReport, Trainer};
use lenslet::{Device, Precision};
use serde_json::json;

use super::data::{DataOptions, Sets};
use super::{DeviceOption, JsonOption, thousands};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  lenslet train
  lenslet train --model convnet --optimizer rmsprop --epochs 5
  lenslet train --data ~/fashion-mnist --seed 7 --out runs/fashion
  lenslet train --data ~/digits --train 1000 --validation 200 --test 200
  lenslet train --steps 200 --json")]
pub struct Options {
    /// The network: lenet5, convnet or convnet-no-pool
    #[arg(long, default_value = "lenet5", value_name = "NAME")]
    model: String,
    #[command(flatten)]
    data: DataOptions,
    /// Passes over the training pictures
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Stop after so many steps, whatever the epochs
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Pictures a step
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// The rule that turns gradients into new weights
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    optimizer: OptimizerName,
    /// Learning rate [default: 0.05 for sgd, 0.01 for adagrad, 0.001 for the others]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    lr: Option<f32>,
    /// Share of the last step that goes on (sgd and rmsprop only) [default: 0.9 for sgd, 0 for rmsprop]
    #[arg(long)]
    momentum: Option<f32>,
    /// Nesterov's momentum (sgd only)
    #[arg(long)]
    nesterov: bool,
    /// Weight decay [default: 0.01 for adamw, 0 for the others]
    #[arg(long)]
    weight_decay: Option<f32>,
    /// The learning rate's course over the run: constant, step:EVERY:FACTOR, multi-step:AT,AT:FACTOR,
    /// exponential:FACTOR, cosine, cosine:WARM_UP or one-cycle, all in steps; plateau or plateau:FACTOR:PATIENCE, in
    /// epochs in which the held-out loss gets no better
    #[arg(long, default_value = "cosine", value_name = "COURSE")]
    schedule: Schedule,
    /// Clips gradients: value:BOUND, norm:BOUND (of each parameter) or global-norm:BOUND
    #[arg(long, value_name = "RULE:BOUND")]
    clip: Option<Clip>,
    /// How values are stored between the operations: f32, or f16 for half the memory, on GPUs with shader-f16
    #[arg(long, default_value_t, value_name = "f32|f16")]
    precision: Precision,
    /// Of initial weights, shuffling and the held-out pictures
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The run folder, new or empty [default: runs/MODEL-1, or the next free number]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    json: JsonOption,
}

#[derive(Clone, Copy, ValueEnum)]
enum OptimizerName {
    Sgd,
    Rmsprop,
    Adam,
    Adamw,
    Adagrad,
}

/// Steps between two lines of the log.
const LOG_STEPS: u64 = 50;

pub fn run(options: &Options, start: Instant) -> anyhow::Result<()> {
    // Everything that can be wrong is found before the device is opened and the run folder is made.
    let model = super::model(&options.model)?;
    let optimizer = optimizer(options)?;
    let data = options.data.over(None);
    let Sets { train, validation, test, held_out, pictures } = data.load(&model.input(), options.seed)?;
    let device = options.device.open()?;
    let rule = match options.clip {
        Some(clip) => Box::new(Clipped::boxed(optimizer.boxed(), clip)),
        None => optimizer.boxed(),
    };
    let mut trainer = Trainer::boxed(&device, &model, rule)?
        .batch_size(options.batch_size)
        .schedule(options.schedule.clone())
        .seed(options.seed)
        .precision(options.precision);
    if let Some(bytes) = options.data.resident() {
        trainer = trainer.resident(bytes);
    }
    if let Some(set) = &validation {
        trainer = trainer.validated_on(set);
    }
    let fit = Fit { epochs: options.epochs, validation: held_out, steps: options.steps };
    trainer.check(&train, fit)?;
    let config = Config {
        model: options.model.clone(),
        data: match data.data.as_str() {
            "mnist" => "mnist".to_string(),
            dir => std::path::absolute(dir).context("the data folder's path")?.display().to_string(),
        },
        epochs: options.epochs,
        steps: options.steps,
        batch_size: options.batch_size,
        validation: held_out,
        pictures,
        seed: options.seed,
        schedule: options.schedule.clone(),
        precision: options.precision,
        clip: options.clip,
        optimizer,
        device: device.describe(),
    };
    let path = options.out.clone().unwrap_or_else(|| RunFolder::next_free(&options.model));
    let folder = RunFolder::create(&path, &config)?;

    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed)).context("listening for Ctrl-C")?;

    let mut run =
        Run { options, folder, bar: ProgressBar::hidden(), window: vec![], first_step: None, failed: None, start };
    run.announce(&trainer, &device)?;
    let report = trainer.fit_with(&train, fit, |event| {
        let told = run.tell(event);
        match told {
            Ok(()) if !stop.load(Ordering::Relaxed) => ControlFlow::Continue(()),
            Ok(()) => ControlFlow::Break(()),
            Err(error) => {
                run.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    run.bar.finish_and_clear();
    if report.is_ok() || !trainer.is_untrained() {
        run.folder.save_weights(trainer.layout(), &trainer.parameters(), &config)?;
    }
    if let Some(error) = run.failed.take() {
        return Err(error);
    }
    let kept = || format!("the weights of the last finished epoch, if any, are in {}", path.display());
    let report = report.with_context(kept)?;
    if report.stopped {
        eprintln!("stopped; the finished steps are saved in {}", path.display());
    }
    run.finish(&trainer, &test, &report)
}

fn optimizer(options: &Options) -> lenslet::Result<AnyOptimizer> {
    let name = options.optimizer.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string());
    let refuse = |option, has| Err(lenslet::Error::option(option, format!("--optimizer {has}"), &name));
    match options.optimizer {
        OptimizerName::Sgd => {}
        _ if options.nesterov => return refuse("--nesterov", "sgd"),
        OptimizerName::Rmsprop => {}
        _ if options.momentum.is_some() => return refuse("--momentum", "sgd or rmsprop"),
        _ => {}
    }
    let (rate, decay) = (|usual| options.lr.unwrap_or(usual), options.weight_decay.unwrap_or(0.0));
    let optimizer = match options.optimizer {
        OptimizerName::Sgd => AnyOptimizer::Sgd(
            Sgd::new(rate(0.05))
                .momentum(options.momentum.unwrap_or(0.9))
                .nesterov(options.nesterov)
                .weight_decay(decay),
        ),
        OptimizerName::Rmsprop => AnyOptimizer::RmsProp(
            RmsProp::new(rate(0.001)).momentum(options.momentum.unwrap_or(0.0)).weight_decay(decay),
        ),
        OptimizerName::Adam => AnyOptimizer::Adam(Adam::new(rate(0.001)).weight_decay(decay)),
        OptimizerName::Adamw => {
            let adamw = AdamW::new(rate(0.001));
            AnyOptimizer::AdamW(options.weight_decay.map_or(adamw, |decay| adamw.weight_decay(decay)))
        }
        OptimizerName::Adagrad => AnyOptimizer::Adagrad(Adagrad::new(rate(0.01)).weight_decay(decay)),
    };
    optimizer.boxed().check()?;
    Ok(optimizer)
}

/// What the command shows and keeps while the trainer works.
struct Run<'a> {
    options: &'a Options,
    folder: RunFolder,
    bar: ProgressBar,
    /// Steps since the last line of the log.
    window: Vec<StepReport>,
    first_step: Option<f64>,
    failed: Option<anyhow::Error>,
    start: Instant,
}

impl Run<'_> {
    fn announce(&self, trainer: &Trainer<'_>, device: &Device) -> anyhow::Result<()> {
        let parameters = trainer.layout().count();
        let options = self.options;
        if options.json.json {
            return print(&json!({
                "event": "start", "model": options.model, "parameters": parameters, "device": device.name(),
                "backend": device.backend(), "seed": options.seed, "batch_size": options.batch_size,
                "precision": options.precision,
            }));
        }
        let count = thousands(parameters as u64);
        eprintln!("training {} ({count} parameters), batches of {}", options.model, options.batch_size);
        Ok(())
    }

    fn tell(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Ready { total_steps, .. } => self.show_bar(total_steps),
            Event::Step(step) => self.step(step),
            Event::Epoch(epoch) => self.epoch(epoch),
        }
    }

    fn show_bar(&mut self, total_steps: u64) -> anyhow::Result<()> {
        if std::io::stderr().is_terminal() {
            let plain = "[{bar:30}] {pos}/{len} steps  {msg}  {eta} left";
            let coloured = "[{bar:30.cyan/dim}] {pos}/{len} steps  {msg}  {eta} left";
            let style = if std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) { plain } else { coloured };
            self.bar =
                ProgressBar::new(total_steps).with_style(ProgressStyle::with_template(style)?.progress_chars("=> "));
        }
        Ok(())
    }

    fn step(&mut self, step: StepReport) -> anyhow::Result<()> {
        self.first_step.get_or_insert_with(|| self.start.elapsed().as_secs_f64());
        self.window.push(step);
        if step.step.is_multiple_of(LOG_STEPS) { self.log_window() } else { Ok(()) }
    }

    /// Means over the window: to the log, and to the bar or the output.
    fn log_window(&mut self) -> anyhow::Result<()> {
        let Some(last) = self.window.last().copied() else { return Ok(()) };
        let counted: f64 = self.window.iter().map(|s| f64::from(s.counted)).sum();
        let loss = self.window.iter().map(|s| f64::from(s.loss) * f64::from(s.counted)).sum::<f64>() / counted;
        let accuracy = self.window.iter().map(|s| f64::from(s.correct)).sum::<f64>() / counted;
        self.window.clear();
        let StepReport { step, epoch, images_per_s, learning_rate, .. } = last;
        let line = LogLine::Step { step, epoch, loss, accuracy, images_per_s, learning_rate };
        self.folder.log(&line)?;
        self.bar.set_position(step);
        let percent = 100.0 * accuracy;
        let rate = thousands(images_per_s as u64);
        self.bar.set_message(format!("epoch {epoch}  loss {loss:.4}  accuracy {percent:.1} %  {rate} images/s"));
        if self.options.json.json { print(&line) } else { Ok(()) }
    }

    fn epoch(&mut self, report: EpochReport) -> anyhow::Result<()> {
        self.log_window()?;
        let line = LogLine::Epoch {
            epoch: report.epoch,
            loss: report.loss,
            accuracy: report.accuracy,
            validation_loss: report.validation.as_ref().map(|v| v.loss),
            validation_accuracy: report.validation.as_ref().map(|v| v.accuracy),
            seconds: report.seconds,
            images_per_s: report.images_per_s,
            learning_rate: report.learning_rate,
            weights_sha256: report.weights_sha256,
        };
        self.folder.log(&line)?;
        if self.options.json.json {
            return print(&line);
        }
        let validation = match &report.validation {
            Some(v) => format!("; held out: loss {:.4}, accuracy {:.2} %", v.loss, 100.0 * v.accuracy),
            None => String::new(),
        };
        let text = format!(
            "epoch {}: loss {:.4}, accuracy {:.2} %{validation}; {:.1} s, {} images/s",
            report.epoch,
            report.loss,
            100.0 * report.accuracy,
            report.seconds,
            thousands(report.images_per_s as u64),
        );
        self.bar.suspend(|| eprintln!("{text}"));
        Ok(())
    }

    fn finish(&self, trainer: &Trainer<'_>, test: &Dataset, report: &lenslet::train::Report) -> anyhow::Result<()> {
        let test = trainer.evaluate(test)?;
        let sha256 = lenslet::weights::sha256(trainer.layout(), &trainer.parameters())?;
        let first_step = self.first_step.unwrap_or(0.0);
        if self.options.json.json {
            return print(&json!({
                "event": "end", "test_loss": test.loss, "test_accuracy": test.accuracy, "seconds": report.seconds,
                "images_per_s": report.images_per_s, "first_step_s": first_step, "weights_sha256": sha256,
                "run": self.folder.path(),
            }));
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "test accuracy {:.2} %, loss {:.4}", 100.0 * test.accuracy, test.loss)?;
        let rate = thousands(report.images_per_s as u64);
        writeln!(out, "{rate} images/s over {:.1} s of steps; first step after {first_step:.1} s", report.seconds)?;
        writeln!(out, "run {}", self.folder.path().display())?;
        Ok(())
    }
}

/// One JSON object on a line of standard output.
fn print(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(value)?)?;
    Ok(out.flush()?)
}
