//! Options for folders of images.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Options for loading a folder of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Training images per class; by default all that remain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<Share>,
    /// Validation images per class. By default: the validation folder, else a tenth; none if other sets are given as
    /// counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Share>,
    /// Test images per class. By default: the test folder, else a fifth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Share>,
    /// The method of resizing to the network's input.
    pub resize: Resize,
    /// The color behind transparent pixels and around padded images.
    pub background: Color,
    /// Whether to skip images that cannot be read. By default they are an error.
    pub skip_bad: bool,
    /// Maximum size in bytes of decoded images kept in memory; larger sets stay in the cache file.
    #[serde(skip)]
    pub memory: u64,
    /// The folder of the cache file; by default the user's cache folder.
    #[serde(skip)]
    pub cache: Option<PathBuf>,
}

impl Default for Options {
    /// Stretched, on black, no images skipped, up to 1 GiB in memory.
    fn default() -> Self {
        Self {
            train: None,
            validation: None,
            test: None,
            resize: Resize::Stretch,
            background: Color([0; 3]),
            skip_bad: false,
            memory: 1 << 30,
            cache: None,
        }
    }
}

/// The images taken per class: a count such as `500`, or a fraction such as `0.2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Share {
    /// A number of images.
    Count(usize),
    /// A fraction of the images, between 0 and 1.
    Part(f64),
}

impl FromStr for Share {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let part = || text.parse().ok().filter(|part| (0.0..=1.0).contains(part)).map(Share::Part);
        let share = text.parse().ok().map(Share::Count).or_else(part);
        share.ok_or_else(|| {
            Error::option("fraction of the images", "a count such as 500 or a fraction such as 0.2", text)
        })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::Count(count) => write!(f, "{count}"),
            // A fraction keeps its decimal point, so that parsing does not turn it into a count.
            Share::Part(part) => write!(f, "{part:?}"),
        }
    }
}

/// The method of resizing an image to the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Resize {
    /// Scales the whole image without keeping its aspect ratio.
    Stretch,
    /// Crops the largest centered part with the target's aspect ratio.
    Crop,
    /// Fits the whole image into the target and pads with the background.
    Pad,
}

const RESIZES: [(Resize, &str); 3] = [(Resize::Stretch, "stretch"), (Resize::Crop, "crop"), (Resize::Pad, "pad")];

impl FromStr for Resize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = RESIZES.iter().find(|(_, name)| *name == text).map(|(resize, _)| *resize);
        found.ok_or_else(|| Error::option("resize", "stretch, crop or pad", text))
    }
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(RESIZES.iter().find(|(resize, _)| resize == self).map_or("", |(_, name)| name))
    }
}

/// An RGB color, written `black`, `white`, `grey` or `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Color(pub [u8; 3]);

const COLORS: [(&str, u8); 3] = [("black", 0), ("grey", 128), ("white", 255)];

impl FromStr for Color {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = COLORS.iter().find(|(name, _)| *name == text).map(|(_, value)| Color([*value; 3]));
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && !digits.starts_with('+'));
        let numbered = || {
            let [_, bytes @ ..] = u32::from_str_radix(digits?, 16).ok()?.to_be_bytes();
            Some(Color(bytes))
        };
        named.or_else(numbered).ok_or_else(|| Error::option("color", "black, white, grey or #rrggbb", text))
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b] = self.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

/// Serde conversions of types that are serialized as text.
macro_rules! text {
    ($($kind:ty),*) => {
        $(
            impl TryFrom<String> for $kind {
                type Error = Error;
                fn try_from(text: String) -> Result<Self> {
                    text.parse()
                }
            }

            impl From<$kind> for String {
                fn from(value: $kind) -> String {
                    value.to_string()
                }
            }
        )*
    };
}
text!(Share, Resize, Color);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_written_as_they_are_typed() {
        assert_eq!("500".parse::<Share>().unwrap(), Share::Count(500));
        assert_eq!("0.25".parse::<Share>().unwrap(), Share::Part(0.25));
        assert_eq!("1.0".parse::<Share>().unwrap().to_string(), "1.0");
        assert_eq!("#0a00ff".parse::<Color>().unwrap(), Color([10, 0, 255]));
        for wrong in ["-1", "1.5", "NaN", "all", ""] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
        for wrong in ["#fff", "#+12345", "red", "#éab1"] {
            assert!(wrong.parse::<Color>().is_err(), "{wrong}");
        }
        let options = Options {
            train: Some(Share::Count(1000)),
            validation: Some(Share::Part(1.0)),
            resize: Resize::Pad,
            background: Color([255; 3]),
            skip_bad: true,
            ..Options::default()
        };
        let text = toml::to_string(&options).unwrap();
        assert!(text.contains("train = \"1000\"") && text.contains("resize = \"pad\""), "{text}");
        assert_eq!(toml::from_str::<Options>(&text).unwrap(), options);
        let error = toml::from_str::<Options>("resize = \"zoom\"").unwrap_err().to_string();
        assert!(error.contains("resize: expected stretch, crop or pad, found zoom"), "{error}");
    }
}
