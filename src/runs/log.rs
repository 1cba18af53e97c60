//! Logs of a run as JSON lines and CSV.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::train::callbacks::Callback;
use crate::train::{EpochReport, Event, StepReport};
use crate::{Error, Result};

/// Steps between two lines of a log.
const STEPS: u64 = 50;

/// Line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LogLine {
    /// Means over the steps since the last such line.
    Step {
        /// Number of the last of them, from 1.
        step: u64,
        /// Its epoch, from 1.
        epoch: u32,
        /// Mean cross-entropy.
        #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
        loss: f64,
        /// Training accuracy, in [0, 1].
        #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
        accuracy: f64,
        /// Images per second.
        images_per_s: f64,
        /// Learning rate of the last step.
        learning_rate: f32,
    },
    /// Means over an epoch.
    Epoch {
        /// Epoch number, from 1.
        epoch: u32,
        /// Number of its last step, from 1.
        step: u64,
        /// Mean training loss.
        #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
        loss: f64,
        /// Training accuracy, in [0, 1].
        #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
        accuracy: f64,
        /// Loss on the validation images.
        validation_loss: Option<f64>,
        /// Accuracy on the validation images, in [0, 1].
        validation_accuracy: Option<f64>,
        /// Wall time of its steps in seconds.
        seconds: f64,
        /// Images per second.
        images_per_s: f64,
        /// Learning rate of the last step.
        learning_rate: f32,
        /// SHA-256 of the parameters.
        weights_sha256: String,
    },
}

impl LogLine {
    /// Number of the last step that the line covers.
    pub fn step(&self) -> u64 {
        match self {
            LogLine::Step { step, .. } | LogLine::Epoch { step, .. } => *step,
        }
    }
}

impl From<&EpochReport> for LogLine {
    fn from(report: &EpochReport) -> Self {
        LogLine::Epoch {
            epoch: report.epoch,
            step: report.step,
            loss: report.loss,
            accuracy: report.accuracy,
            validation_loss: report.validation.as_ref().map(|v| v.loss),
            validation_accuracy: report.validation.as_ref().map(|v| v.accuracy),
            seconds: report.seconds,
            images_per_s: report.images_per_s,
            learning_rate: report.learning_rate,
            weights_sha256: report.weights_sha256.clone(),
        }
    }
}

/// Steps since the last line of a log.
#[derive(Clone, Debug, Default)]
pub struct Window(Vec<StepReport>);

impl Window {
    /// Adds an event; returns the lines that it completes: one after every 50th step, and at the end of an epoch.
    pub fn lines(&mut self, event: &Event) -> Vec<LogLine> {
        match event {
            Event::Step(step) => {
                self.0.push(*step);
                if step.step.is_multiple_of(STEPS) { self.means().into_iter().collect() } else { vec![] }
            }
            Event::Epoch(epoch) => self.means().into_iter().chain([epoch.into()]).collect(),
            _ => vec![],
        }
    }

    fn means(&mut self) -> Option<LogLine> {
        let steps = std::mem::take(&mut self.0);
        let StepReport { step, epoch, images_per_s, learning_rate, .. } = *steps.last()?;
        let mean = |of: fn(&StepReport) -> f64| {
            let counted: f64 = steps.iter().map(|step| f64::from(step.counted)).sum();
            steps.iter().map(of).sum::<f64>() / counted
        };
        let loss = mean(|step| f64::from(step.loss) * f64::from(step.counted));
        let accuracy = mean(|step| f64::from(step.correct));
        Some(LogLine::Step { step, epoch, loss, accuracy, images_per_s, learning_rate })
    }
}

/// Text file that grows line by line.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    file: File,
}

impl Lines {
    fn create(path: &Path) -> Result<Self> {
        Ok(Self { file: File::create(path).map_err(Error::io(path, "create"))?, path: path.into() })
    }

    fn append(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(Error::io(path, "open"))?;
        Ok(Self { file, path: path.into() })
    }

    /// Writes a line in one system call, so that a killed process leaves whole lines.
    fn write(&mut self, line: &str) -> Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(Error::io(&self.path, "write"))
    }
}

/// Log of JSON lines: a [`LogLine`] every 50 steps and every epoch.
#[derive(Debug)]
pub struct JsonLog {
    lines: Lines,
    window: Window,
}

impl JsonLog {
    /// Creates the file, or empties an existing one.
    ///
    /// Errors: the file cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { lines: Lines::create(path.as_ref())?, window: Window::default() })
    }

    /// Appends to a file, which is created if there is none.
    ///
    /// Errors: the file cannot be opened.
    pub fn append(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { lines: Lines::append(path.as_ref())?, window: Window::default() })
    }
}

impl Callback for JsonLog {
    fn on_event(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        for line in self.window.lines(event) {
            self.lines.write(&serde_json::to_string(&line).expect("plain values"))?;
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// CSV table with a row per epoch: `epoch,step,loss,accuracy,validation_loss,validation_accuracy,
/// learning_rate,seconds,images_per_s`.
#[derive(Debug)]
pub struct CsvLog(Lines);

impl CsvLog {
    /// Creates the file, or empties an existing one.
    ///
    /// Errors: the file cannot be written.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let mut lines = Lines::create(path.as_ref())?;
        lines
            .write("epoch,step,loss,accuracy,validation_loss,validation_accuracy,learning_rate,seconds,images_per_s")?;
        Ok(Self(lines))
    }
}

impl CsvLog {
    fn row(&mut self, report: &EpochReport) -> Result<()> {
        let EpochReport { epoch, step, loss, accuracy, learning_rate, seconds, images_per_s, .. } = report;
        let of = |part: fn(&crate::infer::Evaluation) -> f64| {
            report.validation.as_ref().map_or(String::new(), |validation| part(validation).to_string())
        };
        let validation = format!("{},{}", of(|v| v.loss), of(|v| v.accuracy));
        let row = format!("{epoch},{step},{loss},{accuracy},{validation},{learning_rate},{seconds},{images_per_s}");
        self.0.write(&row)
    }
}

impl Callback for CsvLog {
    fn on_event(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        match event {
            // The epochs before a run was resumed.
            Event::Ready { epochs, .. } => epochs.iter().try_for_each(|epoch| self.row(epoch))?,
            Event::Epoch(epoch) => self.row(epoch)?,
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}
