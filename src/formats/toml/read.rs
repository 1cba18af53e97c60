//! From a file to a network.

use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

use crate::error::did_you_mean;
use crate::formats::toml::kinds::Keys;
use crate::formats::toml::value::{Found, Value, unlike};
use crate::formats::toml::{KEYS, kinds};
use crate::graph::Graph;
use crate::nn::{Build, Layer, Layout, Network, Wired, network};
use crate::{Error, Result};

/// What is wrong, and where in the text.
pub(super) struct Fault {
    at: usize,
    pub reason: String,
}

impl Fault {
    /// As the library's error.
    pub fn at(self, text: &str, path: Option<&Path>) -> Error {
        let before = text.as_bytes().iter().take(self.at);
        let line = 1 + before.filter(|&&byte| byte == b'\n').count();
        Error::Network { path: path.map(Into::into), line, reason: self.reason }
    }
}

/// A table under reading. The first thing that is wrong is told at the end, where unknown keys, which may be missing ones
/// misspelt, are known.
pub(super) struct Section<'a> {
    file: &'a str,
    /// What the table is of.
    what: &'a str,
    at: usize,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
    fault: Option<Fault>,
}

impl<'a> Section<'a> {
    pub fn new(file: &'a str, what: &'a str, span: Range<usize>, table: &'a DeTable<'a>) -> Self {
        Self { file, what, at: span.start, table, known: vec![], fault: None }
    }

    /// A key that is read elsewhere.
    pub fn knows(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// Errors: an unknown key; else what was wrong first.
    pub fn end(self) -> Result<(), Fault> {
        let colon = if self.what.is_empty() { "" } else { ": " };
        let Self { what, known, fault, table, .. } = self;
        let mut unknown: Vec<_> = table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())).collect();
        unknown.sort_by_key(|key| key.span().start);
        if let Some(key) = unknown.first() {
            let name: &str = key.get_ref();
            let hint = did_you_mean(name, known.iter().copied());
            let reason = format!("{what}{colon}unknown key \"{name}\"{hint}; the keys are {}", known.join(", "));
            return Err(Fault { at: key.span().start, reason });
        }
        fault.map_or(Ok(()), |fault| Err(Fault { reason: format!("{what}{colon}{}", fault.reason), ..fault }))
    }

    /// The value at a key, if it is there and right.
    fn get<T: Value>(&mut self, key: &'static str) -> Option<T> {
        self.known.push(key);
        let value = self.table.get(key)?;
        match T::read(value, self.file) {
            Ok(value) => Some(value),
            Err(reason) => {
                let fault = Fault { at: value.span().start, reason: format!("{key}: {reason}") };
                self.fault.get_or_insert(fault);
                None
            }
        }
    }

    fn must<T: Value>(&mut self, key: &'static str) -> Option<T> {
        let value = self.get(key);
        if !self.table.contains_key(key) {
            self.fault.get_or_insert(Fault { at: self.at, reason: format!("the key \"{key}\" is missing") });
        }
        value
    }
}

impl Keys for Section<'_> {
    fn required<T: Value>(&mut self, key: &'static str, value: &mut T) {
        if let Some(found) = self.must(key) {
            *value = found;
        }
    }

    fn optional<T: Value>(&mut self, key: &'static str, value: &mut T, usual: T) {
        *value = self.get(key).unwrap_or(usual);
    }
}

/// The network of a text, called `name` if it does not say how.
pub(super) fn network(text: &str, name: &str) -> Result<Network, Fault> {
    let syntax = |error: toml::de::Error| Fault {
        at: error.span().map_or(0, |span| span.start),
        reason: format!("not TOML: {}", error.message().replace('\n', ", ")),
    };
    let document = DeTable::parse(text).map_err(syntax)?;
    let table = document.get_ref();
    let mut section = Section::new(text, "", 0..0, table);
    let name: Option<String> = section.get("name").or_else(|| Some(name.into()));
    let input: Option<Vec<usize>> = section.must("input");
    section.knows(KEYS[2]);
    section.knows(KEYS[3]);
    section.end()?;
    let (name, input) = (name.unwrap_or_default(), input.unwrap_or_default());
    let at = |key: &str| table.get(key).map_or(0, |value| value.span().start);
    if name.is_empty() || name.starts_with('.') || name.chars().any(|c| "/\\:".contains(c) || c.is_control()) {
        let reason = format!("name: expected a name that a folder can have, found {name:?}");
        return Err(Fault { at: at("name"), reason });
    }
    let entries = layers(text, table)?;
    let mut net = Network::new(input).named(name);
    net.layers = entries.iter().map(|entry| layer(text, entry)).collect::<Result<_, _>>()?;
    // Naming the layer before as what is read says nothing.
    let names = net.names();
    for (wired, before) in net.layers.iter_mut().skip(1).zip(&names) {
        if !wired.layer.kind.is_join() && wired.inputs.len() == 1 && wired.inputs[0] == *before {
            wired.inputs.clear();
        }
    }
    check(&net).map_err(|fault| {
        let at = fault.layer.map_or_else(|| at("input"), |number| entries[number].at);
        Fault { at, reason: fault.error.to_string() }
    })?;
    Ok(net.with_augment(augment(text, table)?))
}

/// Builds the network once, to find what does not fit.
fn check(net: &Network) -> Result<(), network::Fault> {
    let mut graph = Graph::new();
    let mut build = Build::declare(&mut graph);
    let whole = |error| network::Fault { layer: None, error };
    let x = build.begin(&net.input.clone().into()).map_err(whole)?;
    net.run(&mut build, x)?;
    Layout::of(net).map(drop).map_err(whole)
}

/// A layer's table.
struct Entry<'a> {
    number: usize,
    at: usize,
    table: &'a DeTable<'a>,
}

/// The tables of the list of layers.
fn layers<'a>(text: &str, table: &'a DeTable<'a>) -> Result<Vec<Entry<'a>>, Fault> {
    let missing = || Fault { at: 0, reason: "the key \"layer\" is missing: the list of layers".into() };
    let value = table.get("layer").ok_or_else(missing)?;
    let refuse = |expected: &str, value: &Found<'_>| Fault {
        at: value.span().start,
        reason: format!("layer: {}", unlike(expected, value, text)),
    };
    let Some(list) = value.get_ref().as_array().filter(|list| !list.is_empty()) else {
        return Err(refuse("a list of layers, [{ kind = \"conv2d\", .. }, ..] or [[layer]] for each", value));
    };
    let entry = |(number, value): (usize, &'a Found<'a>)| {
        let expected = || refuse("a table such as { kind = \"relu\" }", value);
        let table = value.get_ref().as_table().ok_or_else(expected)?;
        Ok(Entry { number: number + 1, at: value.span().start, table })
    };
    list.iter().enumerate().map(entry).collect()
}

fn layer(text: &str, entry: &Entry<'_>) -> Result<Wired, Fault> {
    let Entry { number, at, table } = *entry;
    let named = table.get("name").and_then(|name| name.get_ref().as_str());
    let what = named.map_or_else(|| format!("layer {number}"), |name| format!("layer {name:?}"));
    let names = || kinds::names().collect::<Vec<_>>().join(", ");
    let Some(kind) = table.get("kind") else {
        let near =
            table.keys().map(|key| (key, did_you_mean(key.get_ref(), ["kind"]))).find(|(_, hint)| !hint.is_empty());
        let (at, hint) = near.map_or((at, String::new()), |(key, hint)| (key.span().start, hint));
        let reason = format!("{what}: the key \"kind\" is missing{hint}; the kinds are {}", names());
        return Err(Fault { at, reason });
    };
    let refuse = |reason: String| Fault { at: kind.span().start, reason: format!("{what}: {reason}") };
    let kind = String::read(kind, text).map_err(|reason| refuse(format!("kind: {reason}")))?;
    let unknown = || {
        let hint = did_you_mean(&kind, kinds::names());
        refuse(format!("unknown kind {kind:?}{hint}; the kinds are {}", names()))
    };
    let mut layer: Layer = kinds::make(&kind).ok_or_else(unknown)?;
    let what = format!("{what} ({kind})");
    let mut section = Section::new(text, &what, at..at, table);
    section.knows("kind");
    layer.name = section.get("name");
    kinds::visit(&mut layer, &mut section);
    let inputs = if layer.kind.is_join() {
        section.must("inputs").unwrap_or_default()
    } else {
        section.get("input").into_iter().collect()
    };
    section.end()?;
    Ok(Wired { layer, inputs })
}

/// What says how to augment is read by who augments.
fn augment(text: &str, table: &DeTable<'_>) -> Result<Option<toml::Table>, Fault> {
    let Some(value) = table.get("augment") else { return Ok(None) };
    if !value.get_ref().is_table() {
        let found = unlike("a table, [augment]", value, text);
        return Err(Fault { at: value.span().start, reason: format!("augment: {found}") });
    }
    let whole: Result<toml::Table, _> = toml::from_str(text);
    let table = whole.ok().and_then(|mut table| table.remove("augment"));
    Ok(table.and_then(|value| value.try_into().ok()))
}
