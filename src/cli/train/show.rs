//! Progress and results of `lenslet train`.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::Instant;

use console::Term;
use indicatif::{ProgressBar, ProgressStyle};
use lenslet::Device;
use lenslet::data::Dataset;
use lenslet::infer::Evaluation;
use lenslet::plot;
use lenslet::plot::Curves;
use lenslet::runs::{Config, RunFolder};
use lenslet::runs::{LogLine, Window};
use lenslet::train::callbacks::Callback;
use lenslet::train::{EpochReport, Event, Report, Trainer};
use serde_json::json;

use crate::cli::{terminal, thousands, title};

/// Progress: a bar, curves and a line per epoch on standard error, or with `--json` objects on standard output.
pub struct Show {
    json: bool,
    bar: ProgressBar,
    window: Window,
    log: Vec<LogLine>,
    first_step: Option<f64>,
    start: Instant,
}

impl Callback for Show {
    fn on_event(&mut self, event: &Event) -> lenslet::Result<ControlFlow<()>> {
        if let Event::Ready { total_steps, done, epochs, .. } = event {
            self.show_bar(*total_steps, *done);
            self.log.extend(epochs.iter().map(LogLine::from));
        }
        if let Event::Step(_) = event {
            self.first_step.get_or_insert_with(|| self.start.elapsed().as_secs_f64());
        }
        for line in self.window.lines(event) {
            if self.json {
                print(&line)?;
            }
            self.log.push(line.clone());
            if let LogLine::Step { step, epoch, loss, accuracy, images_per_s, .. } = line {
                self.bar.set_position(step);
                let (percent, rate) = (100.0 * accuracy, thousands(images_per_s as u64));
                self.bar
                    .set_message(format!("epoch {epoch}  loss {loss:.4}  accuracy {percent:.1} %  {rate} images/s"));
            }
        }
        if let (Event::Epoch(report), false) = (event, self.json) {
            self.epoch(report);
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Show {
    pub fn new(json: bool, start: Instant) -> Self {
        Self { json, bar: ProgressBar::hidden(), window: Window::default(), log: vec![], first_step: None, start }
    }

    /// Removes the bar; the curves stay.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
        eprint!("{}", self.bar.prefix());
    }

    pub fn announce(&self, config: &Config, trainer: &Trainer<'_>, device: &Device) -> anyhow::Result<()> {
        let parameters = trainer.layout().count();
        if self.json {
            return Ok(print(&json!({
                "event": "start", "model": config.model, "parameters": parameters, "device": device.name(),
                "backend": device.backend(), "seed": config.seed, "batch_size": config.batch_size,
                "precision": config.precision,
            }))?);
        }
        let count = thousands(parameters as u64);
        eprintln!("training {} ({count} parameters), batches of {}", config.model, config.batch_size);
        Ok(())
    }

    fn show_bar(&mut self, total_steps: u64, done: u64) {
        if std::io::stderr().is_terminal() {
            let plain = "{prefix}[{bar:30}] {pos}/{len} steps  {msg}  {eta} left";
            let colored = "{prefix}[{bar:30.cyan/dim}] {pos}/{len} steps  {msg}  {eta} left";
            let template = if terminal::is_coloured() { colored } else { plain };
            let style = ProgressStyle::with_template(template).expect("a valid template");
            self.bar = ProgressBar::new(total_steps).with_position(done).with_style(style.progress_chars("=> "));
        }
    }

    fn epoch(&self, report: &EpochReport) {
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
        if let (false, Some(width)) = (self.bar.is_hidden(), terminal::room(&Term::stderr())) {
            self.bar.set_prefix(terminal::curves(&Curves::of(&self.log), width, terminal::is_coloured()));
        }
    }

    /// Draws curves and confusion matrix into the run folder.
    fn draw(&self, folder: &RunFolder, config: &Config, test: &Evaluation) -> anyhow::Result<()> {
        let (path, title) = (folder.path(), title(config));
        let log = RunFolder::read_log(path)?;
        if !log.is_empty() {
            plot::curves(&title, &log)?.save(path.join("curves.png"))?;
        }
        plot::confusion(&format!("{title}, test set"), test, &config.classes)?.save(path.join("confusion.png"))?;
        Ok(())
    }

    pub fn finish(
        &self,
        folder: &RunFolder,
        config: &Config,
        trainer: &Trainer<'_>,
        test: &Dataset,
        report: &Report,
    ) -> anyhow::Result<()> {
        let test = trainer.evaluate(test)?;
        let sha256 = match report.epochs.last() {
            Some(last) => last.weights_sha256.clone(),
            None => lenslet::formats::weights::sha256(trainer.layout(), &trainer.parameters())?,
        };
        let first_step = self.first_step.unwrap_or(0.0);
        if self.json {
            print(&json!({
                "event": "end", "test_loss": test.loss, "test_accuracy": test.accuracy, "seconds": report.seconds,
                "images_per_s": report.images_per_s, "first_step_s": first_step, "weights_sha256": sha256,
                "run": folder.path(),
            }))?;
            return self.draw(folder, config, &test);
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "test accuracy {:.2} %, loss {:.4}", 100.0 * test.accuracy, test.loss)?;
        let rate = thousands(report.images_per_s as u64);
        writeln!(out, "{rate} images/s over {:.1} s of steps; first step after {first_step:.1} s", report.seconds)?;
        writeln!(out, "run {}", folder.path().display())?;
        self.draw(folder, config, &test)
    }
}

/// Prints one JSON object as a line of standard output.
fn print(value: &impl serde::Serialize) -> lenslet::Result<()> {
    let text = serde_json::to_string(value).expect("plain values");
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.map_err(lenslet::Error::io("standard output", "write"))
}
