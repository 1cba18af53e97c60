//! Learning rate schedules.

use std::f64::consts::PI;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::train::plateau::Plateau;
use crate::{Error, Result};

/// Learning rate schedule: the rate of step `t` of `T` as a function of the initial rate, both from 0.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Constant rate.
    #[default]
    Constant,
    /// `rate · factor^⌊t / every⌋`.
    Step {
        /// Steps between two reductions.
        every: u64,
        /// Factor of each reduction.
        factor: f32,
    },
    /// `rate · factor^n`, `n` the number of milestones up to `t`.
    MultiStep {
        /// Milestones in steps, in any order; one listed twice counts twice.
        at: Vec<u64>,
        /// Factor at each milestone.
        factor: f32,
    },
    /// `rate · factor^t`.
    Exponential {
        /// Factor of each step.
        factor: f32,
    },
    /// Cosine annealing to 0, `rate · (1 + cos(π·t/T)) / 2` (Loshchilov & Hutter 2017, arXiv:1608.03983, without
    /// restarts).
    Cosine,
    /// Linear warm-up, `rate · (t + 1) / warm_up`, then cosine annealing over the remaining steps (Goyal et al. 2017, arXiv:1706.02677, section 2.2).
    WarmUpCosine {
        /// Steps of the warm-up.
        warm_up: u64,
    },
    /// One cycle: cosine annealing from `rate / 25` up to `rate` over the first 30 % of the run, then down to
    /// `rate / 250,000` (Smith & Topin 2019, arXiv:1708.07120, with PyTorch's defaults).
    OneCycle,
    /// Reduction after epochs without an improvement of the validation.
    Plateau(Plateau),
}

/// Cosine annealing from `a` at `fraction` 0 to `b` at 1.
fn anneal(a: f64, b: f64, fraction: f64) -> f64 {
    b + (a - b) / 2.0 * (1.0 + (PI * fraction).cos())
}

impl Schedule {
    /// The learning rate of step `t` of `total`, from 0. For a plateau `initial` is the current rate.
    pub fn rate(&self, initial: f32, t: u64, total: u64) -> f32 {
        let rate = f64::from(initial);
        let power = |factor: f32, n: u64| rate * f64::from(factor).powf(n as f64);
        let rate = match self {
            Schedule::Constant | Schedule::Plateau(_) => rate,
            Schedule::Step { every, factor } => power(*factor, t / (*every).max(1)),
            Schedule::MultiStep { at, factor } => power(*factor, at.iter().filter(|at| **at <= t).count() as u64),
            Schedule::Exponential { factor } => power(*factor, t),
            Schedule::Cosine => {
                let fraction = t as f64 / total.max(1) as f64;
                rate * 0.5 * (1.0 + (PI * fraction).cos())
            }
            Schedule::WarmUpCosine { warm_up } if t < *warm_up => rate * (t + 1) as f64 / *warm_up as f64,
            Schedule::WarmUpCosine { warm_up } => {
                let fraction = (t - warm_up) as f64 / total.saturating_sub(*warm_up).max(1) as f64;
                rate * 0.5 * (1.0 + (PI * fraction.min(1.0)).cos())
            }
            Schedule::OneCycle => {
                let (low, end) = (rate / 25.0, rate / 25.0 / 1e4);
                let (t, last) = (t as f64, total.saturating_sub(1) as f64);
                let peak = 0.3 * total as f64 - 1.0;
                match t <= peak {
                    true => anneal(low, rate, t / peak.max(f64::MIN_POSITIVE)),
                    false => anneal(rate, end, ((t - peak) / (last - peak).max(f64::MIN_POSITIVE)).min(1.0)),
                }
            }
        };
        rate as f32
    }

    /// Refuses settings out of range.
    ///
    /// Errors: a period of 0 steps; a factor that is not finite and above 0; those of [`Plateau::check`].
    pub fn check(&self) -> Result<()> {
        let factor = match self {
            Schedule::Step { every: 0, .. } => return Err(Error::option("schedule", "at least 1 step at one rate", 0)),
            Schedule::Step { factor, .. } | Schedule::MultiStep { factor, .. } | Schedule::Exponential { factor } => {
                *factor
            }
            Schedule::Plateau(plateau) => return plateau.check(),
            _ => return Ok(()),
        };
        match factor > 0.0 && factor.is_finite() {
            true => Ok(()),
            false => Err(Error::option("schedule", "a finite factor above 0", factor)),
        }
    }
}

impl FromStr for Schedule {
    type Err = Error;

    /// `constant`, `step:EVERY:FACTOR`, `multi-step:AT,AT:FACTOR`, `exponential:FACTOR`, `cosine`, `cosine:WARM_UP`,
    /// `one-cycle`, `plateau` or `plateau:FACTOR:PATIENCE`.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            let forms = "constant, step:EVERY:FACTOR, multi-step:AT,AT:FACTOR, exponential:FACTOR, cosine, \
                         cosine:WARM_UP, one-cycle, plateau or plateau:FACTOR:PATIENCE";
            Error::option("schedule", forms, text)
        };
        let steps = |text: &str| text.parse::<u64>().map_err(|_| refuse());
        let factor = |text: &str| text.parse::<f32>().map_err(|_| refuse());
        let parts: Vec<&str> = text.split(':').collect();
        let schedule = match parts[..] {
            ["constant"] => Schedule::Constant,
            ["step", every, by] => Schedule::Step { every: steps(every)?, factor: factor(by)? },
            ["multi-step", at, by] => {
                Schedule::MultiStep { at: at.split(',').map(steps).collect::<Result<_>>()?, factor: factor(by)? }
            }
            ["exponential", by] => Schedule::Exponential { factor: factor(by)? },
            ["cosine"] => Schedule::Cosine,
            ["cosine", warm_up] => Schedule::WarmUpCosine { warm_up: steps(warm_up)? },
            ["one-cycle"] => Schedule::OneCycle,
            ["plateau"] => Schedule::Plateau(Plateau::default()),
            ["plateau", by, epochs] => {
                let patience = epochs.parse().map_err(|_| refuse())?;
                Schedule::Plateau(Plateau { factor: factor(by)?, patience, ..Plateau::default() })
            }
            _ => return Err(refuse()),
        };
        schedule.check().map(|()| schedule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_falls_from_the_full_rate_to_none() {
        let rate = |t| Schedule::Cosine.rate(0.2, t, 100);
        assert_eq!((rate(0), rate(50)), (0.2, 0.1));
        assert!(rate(99) > 0.0 && rate(99) < 1e-3);
    }

    #[test]
    fn factors_apply_at_their_steps() {
        let rates = |text: &str, at: [u64; 4]| at.map(|t| text.parse::<Schedule>().unwrap().rate(1.0, t, 100));
        assert_eq!(rates("step:10:0.5", [0, 9, 10, 25]), [1.0, 1.0, 0.5, 0.25]);
        assert_eq!(rates("multi-step:30,10:0.5", [9, 10, 29, 30]), [1.0, 0.5, 0.5, 0.25]);
        assert_eq!(rates("exponential:0.5", [0, 1, 2, 3]), [1.0, 0.5, 0.25, 0.125]);
        assert_eq!(rates("cosine:4", [0, 1, 3, 4]), [0.25, 0.5, 1.0, 1.0]);
        assert_eq!(rates("cosine:4", [52, 2, 0, 3])[0], 0.5);
        assert_eq!(rates("constant", [0, 1, 2, 1000]), [1.0; 4]);
    }

    /// `torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=10)`: a peak at step 2, the end at step 9.
    #[test]
    fn one_cycle_rises_and_falls() {
        let rate = |t| Schedule::OneCycle.rate(1.0, t, 10);
        assert!((rate(0) - 0.04).abs() < 1e-7 && (rate(1) - 0.52).abs() < 1e-6);
        assert!((rate(2) - 1.0).abs() < 1e-7 && (rate(9) - 4e-6).abs() < 1e-10);
        assert!((rate(4) - 0.811_745_7).abs() < 1e-6, "{}", rate(4));
        for total in 1..4 {
            assert!((0..total).all(|t| Schedule::OneCycle.rate(1.0, t, total).is_finite()));
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "cosine:x",
            "step:0:0.5",
            "step:5",
            "exponential:0",
            "multi-step::0.5",
            "linear",
            "plateau:1:2",
            "plateau:0.5",
        ] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }
}
