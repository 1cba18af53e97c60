//! Class weights of the training loss.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Class weights of the training loss: the mean over a batch is `Σ w·l / Σ w`, `w` the weight of an image's class, as in
/// PyTorch. Only their ratios matter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClassWeights {
    /// Inverse class frequency, `n / (C · n_c)` for a class with `n_c` of the `n` training images and C classes, as in
    /// scikit-learn: each class contributes equally. A class without images has weight 0.
    Balanced,
    /// One weight per class, at least 0.
    Each(Vec<f32>),
}

impl ClassWeights {
    /// The weight of each class, for training images with these labels.
    ///
    /// Errors: a number of weights other than `classes`; a weight that is negative or not finite; no weight above 0.
    pub fn of(&self, labels: impl Iterator<Item = u8>, classes: usize) -> Result<Vec<f32>> {
        let weights = match self {
            Self::Each(weights) => weights.clone(),
            Self::Balanced => {
                let mut counts = vec![0u32; classes];
                labels.for_each(|label| counts[usize::from(label)] += 1);
                let even = f64::from(counts.iter().sum::<u32>()) / classes as f64;
                let weight = |&count: &u32| if count == 0 { 0.0 } else { even / f64::from(count) };
                counts.iter().map(|count| weight(count) as f32).collect()
            }
        };
        let refuse = |found: String| {
            let expected = format!("{classes} finite numbers from 0, one for each class, and one of them above 0");
            Err(Error::option("class weights", expected, found))
        };
        match weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
            Some(weight) => refuse(weight.to_string()),
            None if weights.len() != classes => refuse(format!("{} numbers", weights.len())),
            None if weights.iter().all(|&weight| weight == 0.0) => refuse("none".to_string()),
            None => Ok(weights),
        }
    }
}

impl From<Vec<f32>> for ClassWeights {
    fn from(weights: Vec<f32>) -> Self {
        Self::Each(weights)
    }
}

impl FromStr for ClassWeights {
    type Err = Error;

    /// `balanced`, or comma-separated weights.
    fn from_str(text: &str) -> Result<Self> {
        let refuse =
            || Error::option("class weights", "balanced, or a number from 0 for each class, as in 1,1,2.5", text);
        match text {
            "balanced" => Ok(Self::Balanced),
            _ => text
                .split(',')
                .map(|weight| weight.trim().parse().map_err(|_| refuse()))
                .collect::<Result<_>>()
                .map(Self::Each),
        }
    }
}

impl fmt::Display for ClassWeights {
    /// The text that [`FromStr`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balanced => f.write_str("balanced"),
            Self::Each(weights) => f.write_str(&weights.iter().map(f32::to_string).collect::<Vec<_>>().join(",")),
        }
    }
}

impl TryFrom<String> for ClassWeights {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ClassWeights> for String {
    fn from(weights: ClassWeights) -> Self {
        weights.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_classes_weigh_the_same() {
        let weights = ClassWeights::Balanced.of([0, 0, 0, 1, 1, 3].into_iter(), 4).unwrap();
        assert_eq!(weights, [0.5, 0.75, 0.0, 1.5]);
    }

    #[test]
    fn weights_are_read_from_text_and_written_as_such() {
        for text in ["balanced", "1,0,2.5", "0.1"] {
            assert_eq!(text.parse::<ClassWeights>().unwrap().to_string(), text);
        }
        assert!("1,x".parse::<ClassWeights>().unwrap_err().to_string().contains("found 1,x"));
        let refused = |weights: Vec<f32>| ClassWeights::from(weights).of([0].into_iter(), 2).unwrap_err().to_string();
        assert!(
            refused(vec![1.0]).contains("2 finite numbers from 0") && refused(vec![1.0]).contains("found 1 numbers")
        );
        assert!(refused(vec![1.0, -2.0]).contains("found -2"));
        assert!(refused(vec![0.0, 0.0]).contains("found none"));
    }
}
