//! The values of options in TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::did_you_mean;
use crate::nn::setting::{Form, RuleForm, Value};
use crate::shape::Padding;

/// A value in a file, and its place.
pub(super) type Found<'a> = Spanned<DeValue<'a>>;

/// The message about a value that is none of those expected.
pub(super) fn unlike(expected: &str, value: &Found<'_>, file: &str) -> String {
    const MOST: usize = 40;
    let text = file.get(value.span()).unwrap_or("");
    let short: String = text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("expected {expected}, found {short}{}", if text.chars().nth(MOST).is_some() { "…" } else { "" })
}

/// The first key of a table that is not known: its place, and the message.
pub(super) fn unknown_key(table: &DeTable<'_>, known: &[&str]) -> Option<(usize, String)> {
    let key = table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())).min_by_key(|key| key.span().start)?;
    let name: &str = key.get_ref();
    let hint = did_you_mean(name, known.iter().copied());
    Some((key.span().start, format!("unknown key \"{name}\"{hint}; the keys are {}", known.join(", "))))
}

/// The value of an option of that form.
///
/// Errors: the message of a value of another form.
pub(super) fn read(form: Form, value: &Found<'_>, file: &str) -> Result<Value, String> {
    let found = match form {
        Form::Integer => whole(value).map(Value::Integer),
        Form::Number => number(value).map(Value::Number),
        Form::Flag => value.get_ref().as_bool().map(Value::Flag),
        Form::Pair => whole(value).map(|n| [n; 2]).or_else(|| numbers(value)?.try_into().ok()).map(Value::Pair),
        Form::Padding => padding(value).map(Value::Padding),
        Form::Choice(words) => value.get_ref().as_str().filter(|word| words.contains(word)).map(name),
        Form::IntegerOr(word) => {
            let named = || value.get_ref().as_str().filter(|found| *found == word).map(name);
            whole(value).map(Value::Integer).or_else(named)
        }
        Form::Layer => value.get_ref().as_str().map(name),
        Form::Numbers => return each(value, file).map(Value::Numbers),
        Form::Integers(_) => signed(value).map(Value::Integers),
        Form::Rule(rules) => return rule(rules, value, file),
    };
    found.ok_or_else(|| unlike(&expected(form), value, file))
}

/// The description of a form in messages.
fn expected(form: Form) -> String {
    match form {
        Form::Integer => "a whole number".into(),
        Form::Number => "a number".into(),
        Form::Flag => "true or false".into(),
        Form::Pair => "a whole number for both axes, or [vertical, horizontal]".into(),
        Form::Padding => {
            "\"same\", \"same_lower\", \"valid\", a whole number for all sides, [vertical, horizontal] or \
                          [top, bottom, left, right]"
                .into()
        }
        Form::Choice(words) => words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or "),
        Form::IntegerOr(word) => format!("a whole number, or \"{word}\""),
        Form::Layer => "a text in quotes".into(),
        Form::Numbers => "a number, or a list with one for each channel".into(),
        Form::Integers(example) => format!("a list of {example}"),
        Form::Rule(_) => "a rule's name, or a table such as { rule = \"normal\", std = 0.01 }".into(),
    }
}

fn name(word: &str) -> Value {
    Value::Name(word.into())
}

fn whole(value: &Found<'_>) -> Option<usize> {
    let integer = value.get_ref().as_integer()?;
    usize::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn numbers(value: &Found<'_>) -> Option<Vec<usize>> {
    value.get_ref().as_array()?.iter().map(whole).collect()
}

fn signed(value: &Found<'_>) -> Option<Vec<i64>> {
    let integer = |value: &Found<'_>| {
        let integer = value.get_ref().as_integer()?;
        i64::from_str_radix(integer.as_str(), integer.radix()).ok()
    };
    value.get_ref().as_array()?.iter().map(integer).collect()
}

fn number(value: &Found<'_>) -> Option<f32> {
    let number = match value.get_ref() {
        DeValue::Float(float) => float.as_str().parse().ok(),
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
        _ => None,
    };
    number.filter(|n: &f32| n.is_finite())
}

/// One number, or a list with one for each channel.
fn each(value: &Found<'_>, file: &str) -> Result<Vec<f32>, String> {
    let Some(list) = value.get_ref().as_array() else {
        return number(value).map(|number| vec![number]).ok_or_else(|| unlike(&expected(Form::Numbers), value, file));
    };
    let one = |found: &Found<'_>| number(found).ok_or_else(|| unlike(&expected(Form::Number), found, file));
    let numbers = list.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    if numbers.is_empty() { Err(unlike("at least one number", value, file)) } else { Ok(numbers) }
}

fn padding(value: &Found<'_>) -> Option<Padding> {
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
    whole(value).map(Padding::all).or_else(named).or_else(sides)
}

/// A rule's name, or a table with it and its numbers: `{ rule = "normal", std = 0.01 }`.
fn rule(rules: &[RuleForm], value: &Found<'_>, file: &str) -> Result<Value, String> {
    let names = || rules.iter().map(|(name, _)| *name);
    let list = || names().collect::<Vec<_>>().join(", ");
    let table = value.get_ref().as_table();
    let Some(name) = value.get_ref().as_str().or_else(|| table?.get("rule")?.get_ref().as_str()) else {
        return Err(format!("{}; the rules: {}", unlike(&expected(Form::Rule(&[])), value, file), list()));
    };
    let Some(&(name, keys)) = rules.iter().find(|(known, _)| *known == name) else {
        return Err(format!("unknown rule \"{name}\"{}; there are {}", did_you_mean(name, names()), list()));
    };
    let none = DeTable::new();
    let table = table.unwrap_or(&none);
    let about = |reason: String| format!("rule \"{name}\": {reason}");
    let known: Vec<&str> = std::iter::once("rule").chain(keys.iter().map(|(key, _)| *key)).collect();
    if let Some((_, reason)) = unknown_key(table, &known) {
        return Err(about(reason));
    }
    let mut numbers = vec![];
    for &(key, default) in keys {
        match (table.get(key), default) {
            (Some(found), _) => {
                let refuse = || about(format!("{key}: {}", unlike(&expected(Form::Number), found, file)));
                numbers.push((key, number(found).ok_or_else(refuse)?));
            }
            (None, Some(_)) => {}
            (None, None) => return Err(about(format!("the key \"{key}\" is missing"))),
        }
    }
    Ok(Value::Rule(name, numbers))
}

/// A text.
pub(super) fn text(value: &Found<'_>, file: &str) -> Result<String, String> {
    value.get_ref().as_str().map(Into::into).ok_or_else(|| unlike("a text in quotes", value, file))
}

/// Names of layers, `["a", "b"]`.
pub(super) fn names(value: &Found<'_>, file: &str) -> Result<Vec<String>, String> {
    let list = value.get_ref().as_array();
    let names = list.and_then(|list| list.iter().map(|v| Some(v.get_ref().as_str()?.into())).collect());
    names.ok_or_else(|| unlike("a list of names such as [\"conv1\", \"input\"]", value, file))
}

/// The extents of one input, `[1, 28, 28]`.
pub(super) fn extents(value: &Found<'_>, file: &str) -> Result<Vec<usize>, String> {
    let extents = numbers(value).filter(|extents| !extents.is_empty() && !extents.contains(&0));
    extents.ok_or_else(|| unlike("the extents of one input, such as [1, 28, 28] or [features]", value, file))
}
