//! Learning rates over the course of a run.

use serde::{Deserialize, Serialize};

/// How the learning rate changes from the first step to the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It does not.
    #[default]
    Constant,
    /// `rate · (1 + cos(π·t/T)) / 2`: from the full rate to 0 (Loshchilov & Hutter 2017, arXiv:1608.03983, without
    /// restarts).
    Cosine,
}

impl Schedule {
    /// The rate of step `t` of `total`, counted from 0.
    pub fn rate(&self, initial: f32, t: u64, total: u64) -> f32 {
        match self {
            Schedule::Constant => initial,
            Schedule::Cosine => {
                let course = t as f64 / total.max(1) as f64;
                (f64::from(initial) * 0.5 * (1.0 + (std::f64::consts::PI * course).cos())) as f32
            }
        }
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
}
