//! Learning rate reduction on a plateau of the validation.

use serde::{Deserialize, Serialize};

use crate::infer::Evaluation;
use crate::{Error, Result};

/// Monitored value of the validation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// Validation loss; lower is better.
    #[default]
    Loss,
    /// Validation accuracy; higher is better.
    Accuracy,
}

/// Learning rate reduction on a plateau: PyTorch's `ReduceLROnPlateau`, with its defaults.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// Monitored value.
    pub monitor: Monitor,
    /// Factor of each reduction, above 0 and below 1.
    pub factor: f32,
    /// Epochs without an improvement before a reduction: the rate falls after one more.
    pub patience: u32,
    /// Smallest relative change of the best value that counts as an improvement, at least 0.
    pub threshold: f64,
    /// Epochs after a reduction in which none is counted.
    pub cooldown: u32,
    /// Lower bound of the learning rate.
    pub least: f32,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { monitor: Monitor::Loss, factor: 0.1, patience: 10, threshold: 1e-4, cooldown: 0, least: 0.0 }
    }
}

impl Plateau {
    /// Refuses settings out of range.
    ///
    /// Errors: a factor outside (0, 1); a negative or infinite threshold or lower bound.
    pub fn check(&self) -> Result<()> {
        let refuse = |what: &str, expected, found: f64| Err(Error::option(format!("plateau: {what}"), expected, found));
        match *self {
            Self { factor, .. } if !(factor > 0.0 && factor < 1.0) => {
                refuse("factor", "above 0 and below 1", factor.into())
            }
            Self { threshold, .. } if !(threshold >= 0.0 && threshold.is_finite()) => {
                refuse("threshold", "finite and at least 0", threshold)
            }
            Self { least, .. } if !(least >= 0.0 && least.is_finite()) => {
                refuse("least rate", "finite and at least 0", least.into())
            }
            _ => Ok(()),
        }
    }

    /// Whether `value` is better than `best` by more than the threshold.
    fn is_better(&self, value: f64, best: f64) -> bool {
        match self.monitor {
            Monitor::Loss => value < best * (1.0 - self.threshold),
            Monitor::Accuracy => value > best * (1.0 + self.threshold),
        }
    }
}

/// State of a [`Plateau`] over a run. Field names are those of checkpoint files.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(in crate::train) struct PlateauState {
    best: Option<f64>,
    /// Epochs without an improvement since the best value, or since the last reduction.
    #[serde(rename = "worse")]
    stale: u32,
    /// Epochs left of the cooldown.
    #[serde(rename = "cooling")]
    cooldown: u32,
    /// The learning rate after the reductions so far, if there were any.
    rate: Option<f32>,
}

impl PlateauState {
    /// The current learning rate of a run that started with `initial`.
    pub fn rate(&self, initial: f32) -> f32 {
        self.rate.unwrap_or(initial)
    }

    /// Adds the validation of an epoch of a run that started with the rate `initial`.
    pub fn update(&mut self, plateau: &Plateau, validation: &Evaluation, initial: f32) {
        let value = match plateau.monitor {
            Monitor::Loss => validation.loss,
            Monitor::Accuracy => validation.accuracy,
        };
        if self.best.is_none_or(|best| plateau.is_better(value, best)) {
            (self.best, self.stale) = (Some(value), 0);
        } else {
            self.stale += 1;
        }
        if self.cooldown > 0 {
            (self.cooldown, self.stale) = (self.cooldown - 1, 0);
        }
        if self.stale > plateau.patience {
            let rate = self.rate(initial);
            // A rate that started below the lower bound stays as it is.
            self.rate = Some((rate * plateau.factor).max(plateau.least).min(rate));
            (self.cooldown, self.stale) = (plateau.cooldown, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The learning rate of each epoch and after the last, given the validation after each.
    fn rates(plateau: &Plateau, values: &[f64]) -> Vec<f32> {
        let mut state = PlateauState::default();
        let mut rates = vec![state.rate(1.0)];
        for &value in values {
            state.update(plateau, &Evaluation { loss: value, accuracy: value, ..Evaluation::default() }, 1.0);
            rates.push(state.rate(1.0));
        }
        rates
    }

    #[test]
    fn it_falls_after_more_bad_epochs_than_are_borne() {
        let plateau = Plateau { factor: 0.5, patience: 1, ..Plateau::default() };
        assert_eq!(
            rates(&plateau, &[3.0, 2.0, 2.0, 1.0, 1.0, 1.5, 1.0, 1.0]),
            [1., 1., 1., 1., 1., 1., 0.5, 0.5, 0.25]
        );
        let impatient = Plateau { patience: 0, ..plateau };
        assert_eq!(rates(&impatient, &[3.0, 4.0, 2.0, 2.0]), [1.0, 1.0, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn a_value_is_better_by_a_share_of_the_best() {
        let plateau = Plateau { factor: 0.5, patience: 0, threshold: 0.1, ..Plateau::default() };
        assert_eq!(rates(&plateau, &[1.0, 0.91, 0.89, 0.85]), [1.0, 1.0, 0.5, 0.5, 0.25]);
        let accuracy = Plateau { monitor: Monitor::Accuracy, ..plateau };
        assert_eq!(rates(&accuracy, &[0.5, 0.56, 0.6, 0.67]), [1.0, 1.0, 1.0, 0.5, 0.5]);
    }

    #[test]
    fn none_is_counted_while_it_cools_down() {
        let plateau = Plateau { factor: 0.5, patience: 0, cooldown: 2, ..Plateau::default() };
        assert_eq!(rates(&plateau, &[1.0; 7]), [1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]);
    }

    #[test]
    fn it_does_not_fall_below_the_least() {
        let plateau = Plateau { factor: 0.1, patience: 0, least: 0.05, ..Plateau::default() };
        assert_eq!(rates(&plateau, &[1.0; 4]), [1.0, 1.0, 0.1, 0.05, 0.05]);
        let above = Plateau { least: 2.0, ..plateau };
        assert_eq!(rates(&above, &[1.0; 3]), [1.0; 4]);
    }

    #[test]
    fn a_value_that_is_no_number_is_no_better() {
        let plateau = Plateau { factor: 0.5, patience: 0, ..Plateau::default() };
        assert_eq!(rates(&plateau, &[1.0, f64::NAN]), [1.0, 1.0, 0.5]);
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let usual = Plateau::default();
        assert!(usual.check().is_ok());
        for (plateau, part) in [
            (Plateau { factor: 1.0, ..usual }, "factor: expected above 0 and below 1, found 1"),
            (Plateau { factor: f32::NAN, ..usual }, "factor"),
            (Plateau { threshold: -1.0, ..usual }, "threshold"),
            (Plateau { least: f32::INFINITY, ..usual }, "least rate"),
        ] {
            let error = plateau.check().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
