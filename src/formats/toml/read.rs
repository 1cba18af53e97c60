//! From a file to a network.

use serde::Deserialize;
use toml::de::DeTable;

use crate::error::did_you_mean;
use crate::formats::toml::section::{Fault, Section};
use crate::formats::toml::value::{self, Found, unlike};
use crate::graph::Graph;
use crate::nn::{Build, Layer, Layout, Network, Wired, network};
use crate::ops::Augment;

/// The network of a text, called `name` unless the text has a name.
pub(super) fn network(text: &str, name: &str) -> Result<Network, Fault> {
    let syntax = |error: toml::de::Error| Fault {
        at: error.span().map_or(0, |span| span.start),
        reason: format!("not TOML: {}", error.message().replace('\n', ", ")),
    };
    let document = DeTable::parse(text).map_err(syntax)?;
    let table = document.get_ref();
    let mut section = Section::new(text, "", 0..0, table);
    let name = section.get("name", value::text).or_else(|| Some(name.into()));
    let input = section.must("input", value::extents);
    section.knows("layer");
    section.knows("augment");
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
    // An input that is the layer before is the default.
    let names = net.names();
    for (wired, before) in net.layers.iter_mut().skip(1).zip(&names) {
        if !wired.layer.is_join() && wired.inputs.len() == 1 && wired.inputs[0] == *before {
            wired.inputs.clear();
        }
    }
    check(&net).map_err(|fault| {
        let at = fault.layer.map_or_else(|| at("input"), |number| entries[number].at);
        Fault { at, reason: fault.error.to_string() }
    })?;
    Ok(net.with_augment(augment(text, table)?))
}

/// Builds the network once, to find layers that do not fit.
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
    let kinds: Vec<String> = Layer::kinds().map(|layer| layer.kind().to_string()).collect();
    let names = || kinds.join(", ");
    let Some(kind) = table.get("kind") else {
        let near =
            table.keys().map(|key| (key, did_you_mean(key.get_ref(), ["kind"]))).find(|(_, hint)| !hint.is_empty());
        let (at, hint) = near.map_or((at, String::new()), |(key, hint)| (key.span().start, hint));
        let reason = format!("{what}: the key \"kind\" is missing{hint}; the kinds are {}", names());
        return Err(Fault { at, reason });
    };
    let refuse = |reason: String| Fault { at: kind.span().start, reason: format!("{what}: {reason}") };
    let kind = value::text(kind, text).map_err(|reason| refuse(format!("kind: {reason}")))?;
    let unknown = || {
        let hint = did_you_mean(&kind, kinds.iter().map(String::as_str));
        refuse(format!("unknown kind {kind:?}{hint}; the kinds are {}", names()))
    };
    let mut layer = Layer::of_kind(&kind).ok_or_else(unknown)?;
    let what = format!("{what} ({kind})");
    let mut section = Section::new(text, &what, at..at, table);
    section.knows("kind");
    layer.name = section.get("name", value::text);
    layer.fill(|setting| section.option(setting));
    let inputs = if layer.is_join() {
        section.must("inputs", value::names).unwrap_or_default()
    } else {
        section.get("input", value::text).into_iter().collect()
    };
    section.end()?;
    Ok(Wired { layer, inputs })
}

/// The augmentation of training images.
fn augment(text: &str, table: &DeTable<'_>) -> Result<Option<Augment>, Fault> {
    /// The rest of the file is read elsewhere.
    #[derive(Deserialize)]
    struct File {
        augment: Augment,
    }

    let Some(value) = table.get("augment") else { return Ok(None) };
    let fault = |at: usize, reason: String| Fault { at, reason: format!("augment: {reason}") };
    let Some(options) = value.get_ref().as_table() else {
        return Err(fault(value.span().start, unlike("a table, [augment]", value, text)));
    };
    let refuse = |error: toml::de::Error| {
        let at = error.span().map_or(value.span().start, |span| span.start);
        fault(at, error.message().replace('\n', ", "))
    };
    let File { augment } = toml::from_str(text).map_err(refuse)?;
    match augment.check() {
        Ok(()) => Ok(Some(augment)),
        Err(error) => {
            // Its first words are `augment KEY`.
            let reason = error.to_string();
            let reason = reason.strip_prefix("augment ").unwrap_or(&reason);
            let key = reason.split(':').next().unwrap_or_default();
            let at = options.get(key).map_or(value.span().start, |found| found.span().start);
            Err(fault(at, reason.to_string()))
        }
    }
}
