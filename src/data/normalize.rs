//! Means and standard deviations of input normalization.

use std::fmt;
use std::str::FromStr;

use crate::data::{Dataset, order};
use crate::{Error, Result};

/// The means and standard deviations of a [`Layer::normalize`](crate::nn::Layer::normalize) in front of a network.
#[derive(Clone, Debug, PartialEq)]
pub enum Normalize {
    /// Those of each channel, measured on the training images.
    Auto,
    /// Given values: one for all channels, or one per channel.
    By {
        /// The mean, where black is 0 and white is 1.
        mean: Vec<f32>,
        /// The standard deviation, in the same units.
        deviation: Vec<f32>,
    },
}

impl Normalize {
    /// The means and standard deviations. `Auto` measures the training set without the images that a
    /// [`Trainer`](crate::train::Trainer) with the same seed holds out for validation.
    ///
    /// Errors: no image is left to train on; images cannot be read; all pixels of a channel are equal.
    pub fn of(&self, train: &Dataset, held_out: usize, seed: u64) -> Result<[Vec<f32>; 2]> {
        if let Self::By { mean, deviation } = self {
            return Ok([mean.clone(), deviation.clone()]);
        }
        if held_out >= train.len() {
            let expected = format!("below the {} images of the training set", train.len());
            return Err(Error::option("validation", expected, held_out));
        }
        let moments = train.moments(&order::split(train.len(), held_out, seed).1)?;
        if let Some(channel) = moments.iter().position(|[_, deviation]| *deviation == 0.0) {
            let value = (255.0 * moments[channel][0]).round();
            let option = format!("normalize auto: channel {} of {}", channel + 1, moments.len());
            let found = format!("{value} of 255 in every pixel");
            return Err(Error::option(option, "training images with different pixel values, or MEAN:DEVIATION", found));
        }
        Ok([0, 1].map(|i| moments.iter().map(|of_channel| of_channel[i] as f32).collect()))
    }
}

impl FromStr for Normalize {
    type Err = Error;

    /// Parses `auto`, or `MEAN:DEVIATION` with one number for all channels or comma-separated numbers per channel:
    /// `0.485,0.456,0.406:0.25`.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            let expected = "auto, or MEAN:DEVIATION for all channels such as 0.13:0.31, or per channel such as \
                            0.485,0.456,0.406:0.229,0.224,0.225";
            Error::option("normalize", expected, text)
        };
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let number = |text: &str| text.trim().parse::<f32>().map_err(|_| refuse());
        let numbers = |text: &str| text.split(',').map(number).collect::<Result<_>>();
        let (mean, deviation) = text.split_once(':').ok_or_else(refuse)?;
        Ok(Self::By { mean: numbers(mean)?, deviation: numbers(deviation)? })
    }
}

impl fmt::Display for Normalize {
    /// The form that [`FromStr`] parses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |numbers: &[f32]| numbers.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
        match self {
            Self::Auto => f.write_str("auto"),
            Self::By { mean, deviation } => write!(f, "{}:{}", list(mean), list(deviation)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_from_text_and_written_as_such() {
        for text in ["auto", "0.1307:0.3081", "0.485,0.456,0.406:0.229,0.224,0.225", "0.5,0.25:1", "-1:2"] {
            assert_eq!(text.parse::<Normalize>().unwrap().to_string(), text);
        }
        for text in ["", "Auto", "0.5", "0.5:", ":", "0.5:0.5:0.5", "0.5,:1", "a:b"] {
            let error = text.parse::<Normalize>().unwrap_err().to_string();
            assert!(error.contains("auto, or MEAN:DEVIATION") && error.contains(&format!("found {text}")), "{error}");
        }
    }

    #[test]
    fn automatic_numbers_are_those_of_what_is_trained_on() {
        let data = Dataset::new((0..60).collect(), vec![0; 20], [3, 1, 1], 1).unwrap();
        let rest = order::split(20, 5, 7).1;
        let expected = data.moments(&rest).unwrap();
        let [mean, deviation] = Normalize::Auto.of(&data, 5, 7).unwrap();
        let found: Vec<[f32; 2]> = mean.into_iter().zip(deviation).map(<[f32; 2]>::from).collect();
        assert_eq!(found, expected.iter().map(|of_channel| of_channel.map(|v| v as f32)).collect::<Vec<_>>());
        let all = Normalize::Auto.of(&data, 20, 7).unwrap_err().to_string();
        assert_eq!(all, "validation: expected below the 20 images of the training set, found 20");
    }

    #[test]
    fn a_channel_of_one_value_is_refused() {
        let data = Dataset::new(vec![1, 9, 2, 9, 3, 9], vec![0; 3], [2, 1, 1], 1).unwrap();
        let error = Normalize::Auto.of(&data, 0, 1).unwrap_err().to_string();
        let says = "normalize auto: channel 2 of 2: expected training images with different pixel values, or MEAN:DEVIATION, found 9 \
                    of 255 in every pixel";
        assert_eq!(error, says);
    }
}
