//! From a network to a file.

use crate::nn::setting::{Setting, Value, defaults};
use crate::nn::{Network, Wired};
use crate::ops::Augment;

pub(super) fn network(net: &Network) -> String {
    let mut file = format!("name = {}\ninput = {:?}\n", text(&net.name), net.input);
    file += "\nlayer = [\n";
    for Wired { layer, inputs } in &net.layers {
        let mut pairs = vec![format!("kind = {}", text(layer.kind()))];
        pairs.extend(layer.name.as_ref().map(|name| format!("name = {}", text(name))));
        layer.with_options(|options| pairs.extend(given(options)));
        match &inputs[..] {
            [] => {}
            [input] if !layer.is_join() => pairs.push(format!("input = {}", text(input))),
            _ => {
                let names: Vec<_> = inputs.iter().map(|input| text(input)).collect();
                pairs.push(format!("inputs = [{}]", names.join(", ")));
            }
        }
        file += &format!("    {{ {} }},\n", pairs.join(", "));
    }
    file += "]\n";
    if let Some(augment) = &net.augment {
        file += &augmentation(augment);
    }
    file
}

fn text(text: &str) -> String {
    Value::Name(text.into()).to_string()
}

/// The options that do not have their defaults.
fn given(options: &[Setting<'_>]) -> Vec<String> {
    let changed = options.iter().zip(defaults(options)).filter(|(_, is_default)| !is_default);
    changed.filter_map(|(option, _)| Some(format!("{} = {}", option.key, option.value()?))).collect()
}

/// The table of augmentation, without options that have their defaults.
fn augmentation(augment: &Augment) -> String {
    let lines = |augment: &Augment| toml::to_string(augment).expect("numbers and words");
    let defaults = lines(&Augment::default());
    let changed = lines(augment);
    let changed = changed.split_inclusive('\n').filter(|line| !defaults.contains(line));
    format!("\n[augment]\n{}", changed.collect::<String>())
}
