//! From a network to a file.

use std::fmt;

use crate::formats::toml::kinds;
use crate::formats::toml::kinds::Keys;
use crate::formats::toml::value::Value;
use crate::nn::{Network, Wired};

/// Keys with their values, those left out that are as usual.
#[derive(Default)]
pub(super) struct Pairs(Vec<(&'static str, String)>);

impl Pairs {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Keys for Pairs {
    fn required<T: Value>(&mut self, key: &'static str, value: &mut T) {
        self.0.push((key, value.write()));
    }

    fn optional<T: Value>(&mut self, key: &'static str, value: &mut T, usual: T) {
        if *value != usual {
            self.required(key, value);
        }
    }
}

impl fmt::Display for Pairs {
    /// `filters = 6, size = 5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<_> = self.0.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        f.write_str(&pairs.join(", "))
    }
}

pub(super) fn network(net: &Network) -> String {
    let mut text = format!("name = {}\ninput = {}\n", net.name.write(), net.input.write());
    text += "\nlayer = [\n";
    for Wired { layer, inputs } in &net.layers {
        let mut layer = layer.clone();
        let mut pairs = Pairs::default();
        pairs.required("kind", &mut kinds::name(&layer.kind).to_string());
        if let Some(name) = &mut layer.name {
            pairs.required("name", name);
        }
        kinds::visit(&mut layer, &mut pairs);
        match &inputs[..] {
            [] => {}
            [input] if !layer.kind.is_join() => pairs.required("input", &mut input.clone()),
            _ => pairs.required("inputs", &mut inputs.clone()),
        }
        text += &format!("    {{ {pairs} }},\n");
    }
    text += "]\n";
    if let Some(augment) = &net.augment {
        let table = toml::Table::from_iter([("augment".to_string(), augment.clone().into())]);
        text += &format!("\n{table}");
    }
    text
}
