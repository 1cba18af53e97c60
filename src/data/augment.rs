//! Text form of augmentation options: `rotate:10,shift:0.1,flip:horizontal` on the command line, the same names as keys
//! in TOML.

use std::fmt;
use std::str::FromStr;

use crate::ops::{Augment, Fill, Flip};
use crate::{Error, Result};

impl Augment {
    /// Sets the maximum rotation in either direction, in degrees.
    pub fn rotate(self, rotate: f32) -> Self {
        Self { rotate, ..self }
    }

    /// Sets the maximum translation along each axis, as a fraction of the image size.
    pub fn shift(self, shift: f32) -> Self {
        Self { shift, ..self }
    }

    /// Sets the maximum horizontal shear angle in either direction, in degrees.
    pub fn shear(self, shear: f32) -> Self {
        Self { shear, ..self }
    }

    /// Sets the minimum and maximum scale factor.
    pub fn zoom(self, least: f32, most: f32) -> Self {
        Self { zoom: [least, most], ..self }
    }

    /// Sets the axes along which images are flipped, each with probability 1/2.
    pub fn flip(self, flip: Flip) -> Self {
        Self { flip, ..self }
    }

    /// Sets the maximum brightness offset in either direction, where white is 1.
    pub fn brightness(self, brightness: f32) -> Self {
        Self { brightness, ..self }
    }

    /// Sets the maximum relative change of contrast around middle gray.
    pub fn contrast(self, contrast: f32) -> Self {
        Self { contrast, ..self }
    }

    /// Sets the padding, in pixels, from which a window of the image's own size is cropped.
    pub fn crop(self, crop: u32) -> Self {
        Self { crop, ..self }
    }

    /// Sets the values outside the image.
    pub fn fill(self, fill: Fill) -> Self {
        Self { fill, ..self }
    }
}

const FORMS: &str = "none, or any of rotate:DEGREES, shift:SHARE, shear:DEGREES, zoom:LEAST:MOST, \
                     flip:horizontal|vertical|both, brightness:SHARE, contrast:SHARE, crop:PIXELS and \
                     fill:nearest|reflect|VALUE, each once, separated by commas";

impl FromStr for Augment {
    type Err = Error;

    /// Parses `none`, or comma-separated options:
    /// `rotate:10,shift:0.1,shear:5,zoom:0.9:1.1,flip:horizontal,brightness:0.2,contrast:0.2,crop:4,fill:nearest`.
    fn from_str(text: &str) -> Result<Self> {
        fn number<T: FromStr>(text: &str, part: &str) -> Result<T> {
            text.parse().map_err(|_| Error::option("augment", FORMS, part))
        }
        let mut augment = Self::default();
        if text == "none" {
            return Ok(augment);
        }
        let mut seen = vec![];
        for part in text.split(',') {
            let refuse = || Error::option("augment", FORMS, part);
            let (name, value) = part.split_once(':').ok_or_else(refuse)?;
            if seen.contains(&name) {
                return Err(refuse());
            }
            seen.push(name);
            match name {
                "rotate" => augment.rotate = number(value, part)?,
                "shift" => augment.shift = number(value, part)?,
                "shear" => augment.shear = number(value, part)?,
                "zoom" => {
                    let (least, most) = value.split_once(':').ok_or_else(refuse)?;
                    augment.zoom = [number(least, part)?, number(most, part)?];
                }
                "flip" => {
                    let named = [Flip::Horizontal, Flip::Vertical, Flip::Both].into_iter();
                    augment.flip = named.into_iter().find(|flip| flip.to_string() == value).ok_or_else(refuse)?;
                }
                "brightness" => augment.brightness = number(value, part)?,
                "contrast" => augment.contrast = number(value, part)?,
                "crop" => augment.crop = number(value, part)?,
                "fill" => augment.fill = value.parse()?,
                _ => return Err(refuse()),
            }
        }
        augment.check().map(|()| augment)
    }
}

/// The form that [`Augment::from_str`] parses.
impl fmt::Display for Augment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = Self::default();
        let [least, most] = self.zoom;
        let parts = [
            (self.rotate != plain.rotate).then(|| format!("rotate:{}", self.rotate)),
            (self.shift != plain.shift).then(|| format!("shift:{}", self.shift)),
            (self.shear != plain.shear).then(|| format!("shear:{}", self.shear)),
            (self.zoom != plain.zoom).then(|| format!("zoom:{least}:{most}")),
            (self.flip != plain.flip).then(|| format!("flip:{}", self.flip)),
            (self.brightness != plain.brightness).then(|| format!("brightness:{}", self.brightness)),
            (self.contrast != plain.contrast).then(|| format!("contrast:{}", self.contrast)),
            (self.crop != plain.crop).then(|| format!("crop:{}", self.crop)),
            (self.fill != plain.fill).then(|| format!("fill:{}", self.fill)),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "none" } else { "" })?;
        f.write_str(&parts.join(","))
    }
}

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flip::None => "none",
            Flip::Horizontal => "horizontal",
            Flip::Vertical => "vertical",
            Flip::Both => "both",
        })
    }
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fill::Value(value) => value.fmt(f),
            Fill::Nearest => f.write_str("nearest"),
            Fill::Reflect => f.write_str("reflect"),
        }
    }
}

impl FromStr for Fill {
    type Err = Error;

    /// Parses `nearest`, `reflect` or a value from 0 to 1.
    fn from_str(text: &str) -> Result<Self> {
        let value = || text.parse().ok().filter(|value| (0.0..=1.0).contains(value));
        match text {
            "nearest" => Ok(Fill::Nearest),
            "reflect" => Ok(Fill::Reflect),
            _ => value().map(Fill::Value).ok_or_else(|| {
                let expected = "nearest, reflect or a value from 0 (black) to 1 (white)";
                Error::option("augment fill", expected, text)
            }),
        }
    }
}

impl From<Fill> for String {
    fn from(fill: Fill) -> Self {
        fill.to_string()
    }
}

impl TryFrom<String> for Fill {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "rotate:10,shift:0.1,shear:5,zoom:0.9:1.1,flip:horizontal,brightness:0.2,contrast:0.25,crop:4,\
                       fill:reflect";

    #[test]
    fn every_spelling_comes_back() {
        for text in [ALL, "none", "rotate:180", "zoom:1:2,fill:0.5", "flip:both,fill:0", "crop:4"] {
            let augment: Augment = text.parse().unwrap();
            assert_eq!(augment.to_string(), text);
            assert_eq!(augment.is_nothing(), text == "none");
            let table = toml::to_string(&augment).unwrap();
            assert_eq!(toml::from_str::<Augment>(&table).unwrap(), augment, "{table}");
        }
        let built = Augment::default().rotate(10.0).shift(0.1).shear(5.0).zoom(0.9, 1.1).flip(Flip::Horizontal);
        assert_eq!(built.brightness(0.2).contrast(0.25).crop(4).fill(Fill::Reflect), ALL.parse().unwrap());
    }

    #[test]
    fn a_table_has_what_it_needs() {
        let table = "rotate = 15\nzoom = [0.8, 1.25]\nflip = \"vertical\"\nfill = \"0.5\"";
        let expected = Augment::default().rotate(15.0).zoom(0.8, 1.25).flip(Flip::Vertical).fill(Fill::Value(0.5));
        assert_eq!(toml::from_str::<Augment>(table).unwrap(), expected);
        assert!(toml::from_str::<Augment>("rotation = 15").unwrap_err().to_string().contains("rotate"));
        assert!(toml::from_str::<Augment>("fill = \"wrap\"").unwrap_err().to_string().contains("nearest, reflect"));
    }

    #[test]
    fn what_is_no_augmentation_is_refused() {
        for (text, says) in [
            ("", "rotate:DEGREES"),
            ("rotate", "rotate:DEGREES"),
            ("rotate:10,", "rotate:DEGREES"),
            ("rotate:10,rotate:5", "each once"),
            ("turn:10", "found turn:10"),
            ("zoom:1.1", "zoom:LEAST:MOST"),
            ("zoom:1.1:0.9", "the least before the largest, found 1.1:0.9"),
            ("zoom:0.01:1", "augment zoom: expected 0.1 to 10, found 0.01"),
            ("rotate:181", "augment rotate: expected 0 to 180, found 181"),
            ("rotate:-1", "0 to 180"),
            ("rotate:NaN", "0 to 180"),
            ("shear:85", "0 to 80"),
            ("shift:1.5", "0 to 1"),
            ("flip:sideways", "flip:horizontal|vertical|both"),
            ("fill:2", "nearest, reflect or a value from 0 (black) to 1 (white), found 2"),
            ("crop:1.5", "crop:PIXELS"),
            ("crop:5000", "0 to 4096"),
            ("contrast:inf", "0 to 1"),
        ] {
            let error = text.parse::<Augment>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
