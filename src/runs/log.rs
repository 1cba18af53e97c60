//! How a training went, in files that others read.

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

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LogLine {
    /// Means over the steps since the last such line.
    Step {
        /// The last of them.
        step: u64,
        /// Its epoch.
        epoch: u32,
        /// Mean cross-entropy.
        #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
        loss: f64,
        /// Share classified right.
        #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
        accuracy: f64,
        /// Pictures a second.
        images_per_s: f64,
        /// Of the last step.
        learning_rate: f32,
    },
    /// Means over an epoch.
    Epoch {
        /// Counted from 1.
        epoch: u32,
        /// The last of its steps.
        step: u64,
        /// Mean cross-entropy while training.
        #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
        loss: f64,
        /// Share classified right while training.
        #[serde(deserialize_with = "crate::formats::json::null_as_nan")]
        accuracy: f64,
        /// On the pictures held out.
        validation_loss: Option<f64>,
        /// On the pictures held out.
        validation_accuracy: Option<f64>,
        /// Wall time of its steps.
        seconds: f64,
        /// Pictures a second.
        images_per_s: f64,
        /// Of the last step.
        learning_rate: f32,
        /// Of the parameters.
        weights_sha256: String,
    },
}

impl LogLine {
    /// The step it tells of.
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

/// The steps since the last line of a log.
#[derive(Clone, Debug, Default)]
pub struct Window(Vec<StepReport>);

impl Window {
    /// The lines that an event leads to: of every 50th step, and of the end of an epoch.
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

/// A text file that grows line by line.
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

    /// In one call to the system, so that a kill leaves whole lines.
    fn write(&mut self, line: &str) -> Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(Error::io(&self.path, "write"))
    }
}

/// A file with a JSON object a line: a [`LogLine`] every 50 steps and every epoch.
#[derive(Debug)]
pub struct JsonLog {
    lines: Lines,
    window: Window,
}

impl JsonLog {
    /// A new file; one that is there is emptied.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { lines: Lines::create(path.as_ref())?, window: Window::default() })
    }

    /// Goes on in a file.
    pub fn append(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { lines: Lines::append(path.as_ref())?, window: Window::default() })
    }
}

impl Callback for JsonLog {
    fn tell(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        for line in self.window.lines(event) {
            self.lines.write(&serde_json::to_string(&line).expect("plain values"))?;
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// A table for spreadsheets, a row an epoch: `epoch,step,loss,accuracy,validation_loss,validation_accuracy,
/// learning_rate,seconds,images_per_s`.
#[derive(Debug)]
pub struct CsvLog(Lines);

impl CsvLog {
    /// A new file; one that is there is emptied.
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
        let (held_out, right) = (of(|v| v.loss), of(|v| v.accuracy));
        let row =
            format!("{epoch},{step},{loss},{accuracy},{held_out},{right},{learning_rate},{seconds},{images_per_s}");
        self.0.write(&row)
    }
}

impl Callback for CsvLog {
    fn tell(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        match event {
            // Of a resumed run, what went before.
            Event::Ready { epochs, .. } => epochs.iter().try_for_each(|epoch| self.row(epoch))?,
            Event::Epoch(epoch) => self.row(epoch)?,
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}
