//! Early stopping.

use std::ops::ControlFlow;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::infer::Evaluation;
use crate::train::callbacks::callback::Callback;
use crate::train::event::Event;
use crate::train::plateau::Monitor;
use crate::train::report::EpochReport;
use crate::{Error, Result};

/// Early stopping: ends a run after `patience` epochs without an improvement of the monitored value. A resumed run
/// counts the epochs before it.
///
/// The value is that of the validation set, or without one that of the training steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Monitored value.
    pub monitor: Monitor,
    /// Epochs without an improvement after which the run ends.
    pub patience: u32,
    /// Smallest change that counts as an improvement, at least 0.
    #[serde(default)]
    pub min_delta: f64,
    #[serde(skip)]
    best: Best,
}

/// Best value of a run so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Best {
    value: Option<f64>,
    /// Epochs since the best one.
    stale: u32,
}

impl Best {
    /// Adds an epoch; returns whether it is the best so far.
    pub fn update(&mut self, monitor: Monitor, min_delta: f64, epoch: &EpochReport) -> bool {
        let own = || Evaluation { loss: epoch.loss, accuracy: epoch.accuracy, ..Evaluation::default() };
        let of = epoch.validation.clone().unwrap_or_else(own);
        // The larger, the better.
        let value = match monitor {
            Monitor::Loss => -of.loss,
            Monitor::Accuracy => of.accuracy,
        };
        let is_better = !value.is_nan() && self.value.is_none_or(|best| value > best + min_delta);
        if is_better {
            self.value = Some(value);
        }
        self.stale = if is_better { 0 } else { self.stale + 1 };
        is_better
    }
}

impl EarlyStopping {
    /// Early stopping after `patience` epochs without a lower validation loss.
    pub fn after(patience: u32) -> Self {
        Self { monitor: Monitor::Loss, patience, min_delta: 0.0, best: Best::default() }
    }

    /// Sets the monitored value: the loss by default.
    pub fn monitor(self, monitor: Monitor) -> Self {
        Self { monitor, ..self }
    }

    /// Sets the smallest change that counts as an improvement: 0 by default.
    pub fn min_delta(self, min_delta: f64) -> Self {
        Self { min_delta, ..self }
    }

    fn update(&mut self, epoch: &EpochReport) -> ControlFlow<()> {
        self.best.update(self.monitor, self.min_delta, epoch);
        if self.best.stale >= self.patience.max(1) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Callback for EarlyStopping {
    fn on_event(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        Ok(match event {
            Event::Ready { epochs, .. } => {
                self.best = Best::default();
                // A run that was resumed after it had stopped early stops again.
                epochs.iter().map(|epoch| self.update(epoch)).last().unwrap_or(ControlFlow::Continue(()))
            }
            Event::Epoch(epoch) => self.update(epoch),
            _ => ControlFlow::Continue(()),
        })
    }
}

impl FromStr for EarlyStopping {
    type Err = Error;

    /// `PATIENCE`, `loss:PATIENCE`, `accuracy:PATIENCE` or either with `:MIN_DELTA` after it.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            let forms = "EPOCHS, loss:EPOCHS or accuracy:EPOCHS, of at least 1, and :MIN_DELTA of at least 0 after it if wanted";
            Error::option("early-stop", forms, text)
        };
        let (monitor, rest) = match text.split_once(':') {
            Some(("loss", rest)) => (Monitor::Loss, rest),
            Some(("accuracy", rest)) => (Monitor::Accuracy, rest),
            _ => (Monitor::Loss, text),
        };
        let (patience, min_delta) = rest.split_once(':').unwrap_or((rest, "0"));
        let patience: u32 = patience.parse().ok().filter(|&epochs| epochs > 0).ok_or_else(refuse)?;
        let min_delta: f64 =
            min_delta.parse().ok().filter(|delta: &f64| *delta >= 0.0 && delta.is_finite()).ok_or_else(refuse)?;
        Ok(Self::after(patience).monitor(monitor).min_delta(min_delta))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(loss: f64, accuracy: f64) -> Event {
        let validation = Some(Evaluation { loss, accuracy, ..Evaluation::default() });
        Event::Epoch(EpochReport { validation, ..EpochReport::default() })
    }

    fn stops_after(mut stopping: EarlyStopping, values: &[f64]) -> Option<usize> {
        let stop = |&value: &f64| stopping.on_event(&epoch(value, value)).unwrap().is_break();
        values.iter().map(stop).position(|stop| stop)
    }

    #[test]
    fn it_stops_when_nothing_got_better_for_long_enough() {
        let falling = [3.0, 2.0, 2.5, 2.0, 1.9, 2.0, f64::NAN, 2.0];
        assert_eq!(stops_after(EarlyStopping::after(2), &falling), Some(3));
        assert_eq!(stops_after(EarlyStopping::after(3), &falling), Some(7));
        assert_eq!(stops_after(EarlyStopping::after(4), &falling), None);
        assert_eq!(stops_after(EarlyStopping::after(1).monitor(Monitor::Accuracy), &[0.1, 0.2, 0.2]), Some(2));
        assert_eq!(stops_after(EarlyStopping::after(2).min_delta(0.2), &[3.0, 2.9, 2.85]), Some(2));
    }

    #[test]
    fn a_resumed_run_counts_what_went_before() {
        let report = |loss| EpochReport { loss, ..EpochReport::default() };
        let ready = |losses: &[f64]| {
            let epochs = losses.iter().map(|&loss| report(loss)).collect();
            Event::Ready { steps_per_epoch: 1, total_steps: 9, done: 3, epochs }
        };
        let mut stopping = EarlyStopping::after(2);
        assert!(stopping.on_event(&ready(&[1.0, 0.9, 0.95])).unwrap().is_continue());
        assert!(stopping.on_event(&epoch(0.9, 0.0)).unwrap().is_break());
        assert!(stopping.on_event(&ready(&[1.0, 1.1, 1.2])).unwrap().is_break());
    }

    #[test]
    fn what_the_command_line_takes() {
        let parse = |text: &str| text.parse::<EarlyStopping>();
        assert_eq!(parse("5").unwrap(), EarlyStopping::after(5));
        assert_eq!(
            parse("accuracy:3:0.01").unwrap(),
            EarlyStopping::after(3).monitor(Monitor::Accuracy).min_delta(0.01)
        );
        for wrong in ["", "0", "loss", "loss:", "f1:3", "3:-1", "3:nan", "3:inf", "1.5"] {
            assert!(parse(wrong).unwrap_err().to_string().starts_with("early-stop: expected EPOCHS"), "{wrong}");
        }
    }
}
