//! What can stand at a key.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::did_you_mean;
use crate::formats::toml::kinds::{RULES, rule, visit_rule};
use crate::formats::toml::read::Section;
use crate::formats::toml::write::Pairs;
use crate::nn::{Groups, Init};
use crate::ops::Upsampling;
use crate::shape::Padding;

/// Something that stands at a key.
pub(super) trait Value: Clone + PartialEq {
    /// From a file's text.
    ///
    /// Errors: what was expected and found.
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String>;

    /// As it is written.
    fn write(&self) -> String;
}

/// A value in a file, and where.
pub(super) type Found<'a> = Spanned<DeValue<'a>>;

/// What is said about a value that is none of those expected.
pub(super) fn unlike(expected: &str, value: &Found<'_>, file: &str) -> String {
    const MOST: usize = 40;
    let text = file.get(value.span()).unwrap_or("");
    let short: String = text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("expected {expected}, found {short}{}", if text.chars().nth(MOST).is_some() { "…" } else { "" })
}

fn whole(value: &Found<'_>) -> Option<usize> {
    let integer = value.get_ref().as_integer()?;
    usize::from_str_radix(integer.as_str(), integer.radix()).ok()
}

impl Value for usize {
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String> {
        whole(value).ok_or_else(|| unlike("a whole number", value, file))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String> {
        value.get_ref().as_bool().ok_or_else(|| unlike("true or false", value, file))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Value for f32 {
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String> {
        let number = match value.get_ref() {
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
            _ => None,
        };
        number.filter(|n: &f32| n.is_finite()).ok_or_else(|| unlike("a number", value, file))
    }

    fn write(&self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// One number, or a list with one for each channel.
impl Value for Vec<f32> {
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String> {
        let Some(list) = value.get_ref().as_array() else {
            let one = f32::read(value, file).map(|number| vec![number]);
            return one.map_err(|_| unlike("a number, or a list with one for each channel", value, file));
        };
        let numbers = list.iter().map(|number| f32::read(number, file)).collect::<Result<Vec<_>, _>>()?;
        if numbers.is_empty() { Err(unlike("at least one number", value, file)) } else { Ok(numbers) }
    }

    fn write(&self) -> String {
        match self[..] {
            [number] => number.write(),
            _ => format!("[{}]", self.iter().map(Value::write).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl Value for Option<f32> {
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String> {
        f32::read(value, file).map(Some)
    }

    fn write(&self) -> String {
        self.map_or(String::new(), |number| number.write())
    }
}

impl Value for String {
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String> {
        value.get_ref().as_str().map(Into::into).ok_or_else(|| unlike("a text in quotes", value, file))
    }

    fn write(&self) -> String {
        toml::Value::from(self.as_str()).to_string()
    }
}

/// Names, `["a", "b"]`.
impl Value for Vec<String> {
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String> {
        let names = value
            .get_ref()
            .as_array()
            .and_then(|list| list.iter().map(|v| Some(v.get_ref().as_str()?.into())).collect());
        names.ok_or_else(|| unlike("a list of names such as [\"conv1\", \"input\"]", value, file))
    }

    fn write(&self) -> String {
        format!("[{}]", self.iter().map(Value::write).collect::<Vec<_>>().join(", "))
    }
}

fn numbers(value: &Found<'_>) -> Option<Vec<usize>> {
    value.get_ref().as_array()?.iter().map(whole).collect()
}

/// Extents, `[1, 28, 28]`.
impl Value for Vec<usize> {
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String> {
        let extents = numbers(value).filter(|extents| !extents.is_empty() && !extents.contains(&0));
        extents.ok_or_else(|| unlike("the extents of one input, such as [1, 28, 28] or [features]", value, file))
    }

    fn write(&self) -> String {
        format!("{self:?}")
    }
}

/// One number for both axes, or `[vertical, horizontal]`.
impl Value for [usize; 2] {
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String> {
        let pair = || numbers(value)?.try_into().ok();
        let both = whole(value).map(|n| [n; 2]).or_else(pair);
        both.ok_or_else(|| unlike("a whole number for both axes, or [vertical, horizontal]", value, file))
    }

    fn write(&self) -> String {
        if self[0] == self[1] { self[0].to_string() } else { format!("{self:?}") }
    }
}

impl Value for Padding {
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String> {
        let named = || match value.get_ref().as_str()? {
            "valid" => Some(Padding::Valid),
            "same" => Some(Padding::Same),
            "same_lower" => Some(Padding::SameLower),
            _ => None,
        };
        let sides = || match numbers(value)?[..] {
            [v, h] => Some(Padding::Explicit { top: v, bottom: v, left: h, right: h }),
            [top, bottom, left, right] => Some(Padding::Explicit { top, bottom, left, right }),
            _ => None,
        };
        let expected = "\"same\", \"same_lower\", \"valid\", a whole number for all sides, [vertical, horizontal] or \
                        [top, bottom, left, right]";
        let padding = whole(value).map(Padding::all).or_else(named).or_else(sides);
        padding.ok_or_else(|| unlike(expected, value, file))
    }

    fn write(&self) -> String {
        match *self {
            Padding::Valid => "\"valid\"".into(),
            Padding::Same => "\"same\"".into(),
            Padding::SameLower => "\"same_lower\"".into(),
            Padding::Explicit { top, bottom, left, right } => match [bottom, left, right] {
                [b, l, r] if [b, l, r] == [top; 3] => top.to_string(),
                [b, l, r] if [b, r] == [top, l] => format!("[{top}, {l}]"),
                _ => format!("[{top}, {bottom}, {left}, {right}]"),
            },
        }
    }
}

impl Value for Groups {
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String> {
        let depthwise = || (value.get_ref().as_str()? == "depthwise").then_some(Groups::Depthwise);
        let groups = whole(value).map(Groups::Number).or_else(depthwise);
        groups.ok_or_else(|| unlike("a whole number, or \"depthwise\"", value, file))
    }

    fn write(&self) -> String {
        match self {
            Groups::Number(n) => n.to_string(),
            Groups::Depthwise => "\"depthwise\"".into(),
        }
    }
}

impl Value for Upsampling {
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String> {
        match value.get_ref().as_str() {
            Some("nearest") => Ok(Upsampling::Nearest),
            Some("bilinear") => Ok(Upsampling::Bilinear),
            _ => Err(unlike("\"nearest\" or \"bilinear\"", value, file)),
        }
    }

    fn write(&self) -> String {
        let name = if *self == Upsampling::Nearest { "nearest" } else { "bilinear" };
        format!("\"{name}\"")
    }
}

/// A rule's name, or a table with it and its numbers: `{ rule = "normal", std = 0.01 }`.
impl Value for Init {
    fn read(value: &Found<'_>, file: &str) -> Result<Self, String> {
        let names = || RULES.iter().map(|(name, _)| *name);
        let table = value.get_ref().as_table();
        let Some(name) = value.get_ref().as_str().or_else(|| table?.get("rule")?.get_ref().as_str()) else {
            let expected = "a rule's name, or a table such as { rule = \"normal\", std = 0.01 }";
            return Err(format!(
                "{}; the rules: {}",
                unlike(expected, value, file),
                names().collect::<Vec<_>>().join(", ")
            ));
        };
        let Some((_, mut init)) = RULES.into_iter().find(|(known, _)| *known == name) else {
            let hint = did_you_mean(name, names());
            return Err(format!("unknown rule \"{name}\"{hint}; there are {}", names().collect::<Vec<_>>().join(", ")));
        };
        let none = DeTable::new();
        let mut section = Section::new(file, "", value.span(), table.unwrap_or(&none));
        section.knows("rule");
        visit_rule(&mut init, &mut section);
        section.end().map_err(|fault| format!("rule \"{name}\": {}", fault.reason))?;
        Ok(init)
    }

    fn write(&self) -> String {
        let name = format!("\"{}\"", rule(self));
        let mut pairs = Pairs::default();
        visit_rule(&mut self.clone(), &mut pairs);
        if pairs.is_empty() {
            return name;
        }
        format!("{{ rule = {name}, {pairs} }}")
    }
}
