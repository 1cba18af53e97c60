//! Ending a training that no longer gets better.

use std::ops::ControlFlow;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::infer::Evaluation;
use crate::train::Monitor;
use crate::train::callbacks::Callback;
use crate::train::report::{EpochReport, Event};
use crate::{Error, Result};

/// Ends a training after so many epochs in which validation got no better. A resumed run counts those before it.
///
/// Without pictures held out it goes by the training's own loss or accuracy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// What is to get better.
    pub monitor: Monitor,
    /// Epochs without a better value after which it ends.
    pub patience: u32,
    /// By how much a better value must differ from the best, at least 0.
    #[serde(default)]
    pub min_delta: f64,
    #[serde(skip)]
    watch: Best,
}

/// The best value so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Best {
    value: Option<f64>,
    /// Epochs since.
    worse: u32,
}

impl Best {
    /// Whether this epoch is better than all before.
    pub fn see(&mut self, monitor: Monitor, min_delta: f64, epoch: &EpochReport) -> bool {
        let own = || Evaluation { loss: epoch.loss, accuracy: epoch.accuracy, ..Evaluation::default() };
        let of = epoch.validation.clone().unwrap_or_else(own);
        // Upwards.
        let value = match monitor {
            Monitor::Loss => -of.loss,
            Monitor::Accuracy => of.accuracy,
        };
        let is_better = !value.is_nan() && self.value.is_none_or(|best| value > best + min_delta);
        if is_better {
            self.value = Some(value);
        }
        self.worse = if is_better { 0 } else { self.worse + 1 };
        is_better
    }
}

impl EarlyStopping {
    /// Ends it after `patience` epochs in which the validation's loss was no lower than its best.
    pub fn after(patience: u32) -> Self {
        Self { monitor: Monitor::Loss, patience, min_delta: 0.0, watch: Best::default() }
    }

    /// Sets what is to get better.
    pub fn monitor(self, monitor: Monitor) -> Self {
        Self { monitor, ..self }
    }

    /// Sets by how much a better value must differ from the best.
    pub fn min_delta(self, min_delta: f64) -> Self {
        Self { min_delta, ..self }
    }

    fn see(&mut self, epoch: &EpochReport) -> ControlFlow<()> {
        self.watch.see(self.monitor, self.min_delta, epoch);
        if self.watch.worse >= self.patience.max(1) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Callback for EarlyStopping {
    fn tell(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        Ok(match event {
            Event::Ready { epochs, .. } => {
                self.watch = Best::default();
                // Where it stopped before, it stops again.
                epochs.iter().map(|epoch| self.see(epoch)).last().unwrap_or(ControlFlow::Continue(()))
            }
            Event::Epoch(epoch) => self.see(epoch),
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
        let tell = |&value: &f64| stopping.tell(&epoch(value, value)).unwrap().is_break();
        values.iter().map(tell).position(|stop| stop)
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
        assert!(stopping.tell(&ready(&[1.0, 0.9, 0.95])).unwrap().is_continue());
        assert!(stopping.tell(&epoch(0.9, 0.0)).unwrap().is_break());
        assert!(stopping.tell(&ready(&[1.0, 1.1, 1.2])).unwrap().is_break());
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
