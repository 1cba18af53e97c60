//! Options of layers as plain data: one list for each layer serves network files, fluent methods, summaries and the guide.

use std::fmt::Write as _;

use crate::shape::{Padding, Pair, Window};

/// The value of an option.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A non-negative integer.
    Integer(usize),
    /// A finite number.
    Number(f32),
    /// True or false.
    Flag(bool),
    /// One integer for rows and one for columns.
    Pair([usize; 2]),
    /// Padding of a window, or an amount for each side.
    Padding(Padding),
    /// A word: one of a list, or the name of a layer.
    Name(String),
    /// Numbers: one for all channels, or one for each.
    Numbers(Vec<f32>),
    /// Integers that may be negative: axes, extents.
    Integers(Vec<i64>),
    /// A rule for initial values and its numbers.
    Rule(&'static str, Vec<(&'static str, f32)>),
}

/// The type of an option's value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Form {
    /// [`Value::Integer`].
    Integer,
    /// [`Value::Number`].
    Number,
    /// [`Value::Flag`].
    Flag,
    /// [`Value::Pair`].
    Pair,
    /// [`Value::Padding`].
    Padding,
    /// [`Value::Name`], one of these.
    Choice(&'static [&'static str]),
    /// [`Value::Integer`], or [`Value::Name`] with this word.
    IntegerOr(&'static str),
    /// [`Value::Name`], the name of a layer.
    Layer,
    /// [`Value::Numbers`].
    Numbers,
    /// [`Value::Integers`], with an example.
    Integers(&'static str),
    /// [`Value::Rule`], one of these.
    Rule(&'static [RuleForm]),
}

/// A rule for initial values: its name and the keys of its numbers, each with its default.
pub type RuleForm = (&'static str, &'static [(&'static str, Option<f32>)]);

/// A field that holds the value of an option.
pub trait Slot {
    /// The type of its values.
    fn form(&self) -> Form;

    /// The value; `None` if the option is unset.
    fn get(&self) -> Option<Value>;

    /// Stores a value. Returns whether it has the right type.
    fn set(&mut self, value: Value) -> bool;
}

/// The default of an option.
#[derive(Clone, PartialEq, Debug)]
pub enum Default {
    /// It cannot be left out.
    Required,
    /// This value.
    Value(Value),
    /// The value of the option with this key.
    As(&'static str),
    /// Unset, which means this value.
    Unset(Value),
}

/// How a summary shows an option.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Text {
    Hidden,
    /// The value behind this word, unless it is the default.
    Changed(&'static str),
    /// The value alone, always.
    Always,
}

/// An option of a layer.
pub struct Setting<'a> {
    /// The key in network files.
    pub key: &'static str,
    /// A description of a few words.
    pub about: &'static str,
    /// The default.
    pub default: Default,
    slot: &'a mut dyn Slot,
    text: Text,
    /// Shown behind the other options.
    late: bool,
}

/// An option that must be given.
pub fn required<'a>(key: &'static str, slot: &'a mut dyn Slot, about: &'static str) -> Setting<'a> {
    Setting { key, about, default: Default::Required, slot, text: Text::Hidden, late: false }
}

/// An option with a default.
pub fn optional<'a>(
    key: &'static str,
    slot: &'a mut dyn Slot,
    default: impl Into<Value>,
    about: &'static str,
) -> Setting<'a> {
    Setting { default: Default::Value(default.into()), ..required(key, slot, about) }
}

/// An option that is, unless given, as the option `other` before it.
pub fn same_as<'a>(key: &'static str, slot: &'a mut dyn Slot, other: &'static str, about: &'static str) -> Setting<'a> {
    Setting { default: Default::As(other), ..required(key, slot, about) }
}

/// An option that may be unset, which means `default`.
pub fn unset<'a>(
    key: &'static str,
    slot: &'a mut dyn Slot,
    default: impl Into<Value>,
    about: &'static str,
) -> Setting<'a> {
    Setting { default: Default::Unset(default.into()), ..required(key, slot, about) }
}

/// The value of an option that has one number for each axis.
pub fn pair(value: impl Into<Pair>) -> Value {
    Value::Pair(value.into().0)
}

/// The options of a window, of a pooling's if `disjoint`: then the stride is the size unless given.
pub fn window(window: &mut Window, disjoint: bool) -> Vec<Setting<'_>> {
    const STRIDE: &str = "step between neighboring windows";
    let Window { size, stride, padding, dilation, ceil_mode } = window;
    let stride = match disjoint {
        true => same_as("stride", stride, "size", STRIDE),
        false => optional("stride", stride, Pair([1, 1]), STRIDE),
    };
    vec![
        required("size", size, "rows and columns of the window").shown(),
        stride.shown_as("stride"),
        optional("padding", padding, Padding::Valid, "rows and columns added around the input").shown_as("pad").late(),
        optional("dilation", dilation, Pair([1, 1]), "distance between neighboring taps of a window")
            .shown_as("dilation"),
        optional("ceil_mode", ceil_mode, false, "whether the last window may reach over the end").shown_as("ceil"),
    ]
}

impl Setting<'_> {
    /// Shows the value in summaries.
    pub fn shown(self) -> Self {
        Self { text: Text::Always, ..self }
    }

    /// Shows the value in summaries, behind this word, unless it is the default.
    pub fn shown_as(self, word: &'static str) -> Self {
        Self { text: Text::Changed(word), ..self }
    }

    /// Shows the value behind those of the other options.
    pub fn late(self) -> Self {
        Self { late: true, ..self }
    }

    /// The type of the value.
    pub fn form(&self) -> Form {
        self.slot.form()
    }

    /// The value; `None` if the option is unset.
    pub fn value(&self) -> Option<Value> {
        self.slot.get()
    }

    /// Sets the value. Returns whether it has the right type.
    pub fn set(&mut self, value: Value) -> bool {
        self.slot.set(value)
    }

    /// The text for a summary, with a space before it.
    fn text(&self, is_default: bool) -> String {
        let value = self.value();
        match (self.text, value) {
            (Text::Hidden, _) | (_, None) => String::new(),
            (Text::Changed(_), _) if is_default => String::new(),
            (Text::Changed(word), Some(value)) => described(word, &value),
            (Text::Always, Some(Value::Pair([rows, columns]))) => format!(" {rows}x{columns}"),
            (Text::Always, Some(value)) => described("", &value),
        }
    }
}

/// A word and a value, each with a space before it.
fn described(word: &str, value: &Value) -> String {
    let word = if word.is_empty() { String::new() } else { format!(" {word}") };
    match value {
        Value::Flag(_) => word,
        Value::Integer(n) => format!("{word} {n}"),
        Value::Number(v) => format!("{word} {v}"),
        Value::Pair([v, h]) if v == h => format!("{word} {v}"),
        Value::Pair([v, h]) => format!("{word} {v}x{h}"),
        Value::Padding(Padding::Valid) => String::new(),
        Value::Padding(Padding::Same) => " same".into(),
        Value::Padding(Padding::SameLower) => " same_lower".into(),
        Value::Padding(Padding::Explicit { top, bottom, left, right }) if [bottom, left, right] == [top; 3] => {
            format!("{word} {top}")
        }
        Value::Padding(Padding::Explicit { top, bottom, left, right }) => {
            format!("{word} {top},{bottom},{left},{right}")
        }
        // A word speaks for itself, a layer's name does not.
        Value::Name(name) if word == " of" => format!("{word} {name}"),
        Value::Name(name) => format!(" {name}"),
        Value::Numbers(list) => list.iter().fold(word, |text, v| text + &format!(" {v}")),
        Value::Integers(list) => word + " " + &list.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        Value::Rule(name, _) => format!("{word} {name}"),
    }
}

/// Whether each option has its default.
pub fn defaults(settings: &[Setting<'_>]) -> Vec<bool> {
    let same = |setting: &Setting<'_>| match &setting.default {
        Default::Required => false,
        Default::Value(value) => setting.value().as_ref() == Some(value),
        Default::As(key) => {
            settings.iter().find(|other| other.key == *key).is_some_and(|other| other.value() == setting.value())
        }
        Default::Unset(_) => setting.value().is_none(),
    };
    settings.iter().map(same).collect()
}

/// The options for a summary: `5x5 pad 2`, with a space before each.
pub fn summary(settings: &[Setting<'_>]) -> String {
    let defaults = defaults(settings);
    let mut text = String::new();
    for late in [false, true] {
        let each = settings.iter().zip(&defaults).filter(|(setting, _)| setting.late == late);
        each.for_each(|(setting, default)| text += &setting.text(*default));
    }
    text
}

/// Gives each option the value that `find` has for it, or its default. Required options that `find` lacks stay.
pub fn fill(mut settings: Vec<Setting<'_>>, mut find: impl FnMut(&Setting<'_>) -> Option<Value>) {
    for at in 0..settings.len() {
        let value = find(&settings[at]).or_else(|| match &settings[at].default {
            Default::Value(value) => Some(value.clone()),
            Default::As(key) => settings.iter().find(|other| other.key == *key).and_then(Setting::value),
            Default::Required | Default::Unset(_) => None,
        });
        if let Some(value) = value {
            settings[at].set(value);
        }
    }
}

/// An option for the guide: its key, and its default.
pub fn documented(setting: &Setting<'_>) -> String {
    match &setting.default {
        Default::Required => format!("`{}`", setting.key),
        Default::Value(value) | Default::Unset(value) => format!("`{} = {value}`", setting.key),
        Default::As(key) => format!("`{}` (the {key})", setting.key),
    }
}

impl std::fmt::Display for Value {
    /// As in a network file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Integer(n) => write!(f, "{n}"),
            Value::Number(v) => f.write_str(&format!("{v:?}").to_lowercase()),
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::Pair([v, h]) if v == h => write!(f, "{v}"),
            Value::Pair(pair) => write!(f, "{pair:?}"),
            Value::Padding(padding) => match *padding {
                Padding::Valid => f.write_str("\"valid\""),
                Padding::Same => f.write_str("\"same\""),
                Padding::SameLower => f.write_str("\"same_lower\""),
                Padding::Explicit { top, bottom, left, right } => match [bottom, left, right] {
                    [b, l, r] if [b, l, r] == [top; 3] => write!(f, "{top}"),
                    [b, l, r] if [b, r] == [top, l] => write!(f, "[{top}, {l}]"),
                    _ => write!(f, "[{top}, {bottom}, {left}, {right}]"),
                },
            },
            Value::Name(name) => f.write_str(&toml::Value::from(name.as_str()).to_string()),
            Value::Numbers(list) => match list[..] {
                [one] => write!(f, "{}", Value::Number(one)),
                _ => write!(f, "[{}]", joined(list.iter().map(|v| Value::Number(*v).to_string()))),
            },
            Value::Integers(list) => write!(f, "{list:?}"),
            Value::Rule(name, numbers) if numbers.is_empty() => write!(f, "\"{name}\""),
            Value::Rule(name, numbers) => {
                let pairs = numbers.iter().fold(String::new(), |mut text, (key, v)| {
                    let _ = write!(text, ", {key} = {}", Value::Number(*v));
                    text
                });
                write!(f, "{{ rule = \"{name}\"{pairs} }}")
            }
        }
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// A slot for a type that one kind of value holds.
macro_rules! slots {
    ($($ty:ty: $form:expr, $variant:ident;)*) => {$(
        impl Slot for $ty {
            fn form(&self) -> Form {
                $form
            }

            fn get(&self) -> Option<Value> {
                Some(Value::$variant(self.clone()))
            }

            fn set(&mut self, value: Value) -> bool {
                match value {
                    Value::$variant(value) => *self = value,
                    _ => return false,
                }
                true
            }
        }

        impl From<$ty> for Value {
            fn from(value: $ty) -> Self {
                Value::$variant(value)
            }
        }
    )*};
}

slots! {
    usize: Form::Integer, Integer;
    f32: Form::Number, Number;
    bool: Form::Flag, Flag;
    [usize; 2]: Form::Pair, Pair;
    Padding: Form::Padding, Padding;
    Vec<f32>: Form::Numbers, Numbers;
    String: Form::Layer, Name;
}

impl From<Pair> for Value {
    fn from(pair: Pair) -> Self {
        Value::Pair(pair.0)
    }
}

impl Slot for Option<f32> {
    fn form(&self) -> Form {
        Form::Number
    }

    fn get(&self) -> Option<Value> {
        self.map(Value::Number)
    }

    fn set(&mut self, value: Value) -> bool {
        match value {
            Value::Number(number) => *self = Some(number),
            _ => return false,
        }
        true
    }
}

/// Axes, numbered from 1, the one after the batch.
#[derive(Clone, PartialEq, Eq, Debug, std::default::Default)]
pub struct Axes(pub Vec<i64>);

/// Extents without the batch; −1 is computed from the others.
#[derive(Clone, PartialEq, Eq, Debug, std::default::Default)]
pub struct Extents(pub Vec<i64>);

macro_rules! lists {
    ($($ty:ty: $example:expr;)*) => {$(
        impl Slot for $ty {
            fn form(&self) -> Form {
                Form::Integers($example)
            }

            fn get(&self) -> Option<Value> {
                Some(Value::Integers(self.0.clone()))
            }

            fn set(&mut self, value: Value) -> bool {
                match value {
                    Value::Integers(list) => self.0 = list,
                    _ => return false,
                }
                true
            }
        }
    )*};
}

lists! {
    Axes: "axes, such as [2, 3, 1]";
    Extents: "extents, such as [16, -1]";
}
