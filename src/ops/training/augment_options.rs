//! Options of data augmentation.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Options of data augmentation. The default leaves images unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Maximum rotation in either direction, in degrees, 0 to 180.
    pub rotate: f32,
    /// Maximum shift along each axis in either direction, as a fraction of the image, 0 to 1.
    pub shift: f32,
    /// Maximum shear angle of columns in either direction, in degrees, 0 to 80. Its tangent is drawn uniformly.
    pub shear: f32,
    /// Minimum and maximum magnification, 0.1 to 10.
    pub zoom: [f32; 2],
    /// Axes flipped with probability 1/2.
    pub flip: Flip,
    /// Maximum value added to or subtracted from all pixels, 0 to 1, where black is 0 and white 1.
    pub brightness: f32,
    /// Maximum relative change of the distance from middle gray, 0 to 1.
    pub contrast: f32,
    /// Maximum shift along each axis in whole pixels: a random crop of the image's size after padding by this much.
    pub crop: u32,
    /// Values beyond the edges of the image.
    pub fill: Fill,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            rotate: 0.0,
            shift: 0.0,
            shear: 0.0,
            zoom: [1.0; 2],
            flip: Flip::None,
            brightness: 0.0,
            contrast: 0.0,
            crop: 0,
            fill: Fill::Nearest,
        }
    }
}

impl Augment {
    /// Whether all images stay unchanged.
    pub fn is_nothing(&self) -> bool {
        *self == Self { fill: self.fill, ..Self::default() }
    }

    /// Checks the ranges of all options.
    ///
    /// Errors: an option out of range; a minimum zoom above the maximum.
    pub fn check(&self) -> Result<()> {
        let [low, high] = self.zoom;
        let fill = if let Fill::Value(value) = self.fill { value } else { 0.0 };
        for (name, value, least, most) in [
            ("rotate", self.rotate, 0.0, 180.0),
            ("shift", self.shift, 0.0, 1.0),
            ("shear", self.shear, 0.0, 80.0),
            ("zoom", low, 0.1, 10.0),
            ("zoom", high, 0.1, 10.0),
            ("brightness", self.brightness, 0.0, 1.0),
            ("contrast", self.contrast, 0.0, 1.0),
            ("fill", fill, 0.0, 1.0),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Error::option(format!("augment {name}"), format!("{least} to {most}"), value));
            }
        }
        if low > high {
            let found = format!("{low}:{high}");
            return Err(Error::option("augment zoom", "the least before the largest", found));
        }
        if self.crop > 4096 {
            return Err(Error::option("augment crop", "0 to 4096", self.crop));
        }
        Ok(())
    }
}

/// Axes of random flips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flip {
    /// No flips.
    #[default]
    None,
    /// Left-right.
    Horizontal,
    /// Top-bottom.
    Vertical,
    /// Both, independently.
    Both,
}

impl Flip {
    pub(in crate::ops) fn bits(self) -> u32 {
        self as u32
    }
}

/// Padding mode: the values beyond the edges of an image.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Fill {
    /// A constant from 0 to 1.
    Value(f32),
    /// The nearest edge pixel.
    #[default]
    Nearest,
    /// The image mirrored at its edge, with the edge pixel repeated.
    Reflect,
}
