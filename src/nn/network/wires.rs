//! Which layer reads what.

use std::collections::HashMap;

use crate::error::did_you_mean;
use crate::nn::build::INPUT;
use crate::nn::network::{Fault, Network};
use crate::{Error, Result};

/// The layers' names, and the numbers of the values that each reads: 0 is the network's input, and what a layer gives has
/// the layer's number and one.
type Wires = (Vec<String>, Vec<Vec<usize>>);

impl Network {
    /// Errors: two layers of a name; a layer with an input that is not above it, or that no layer reads.
    pub(crate) fn wires(&self) -> Result<Wires, Fault> {
        let names = self.names();
        let fault = |number: usize, what: &str, expected: String, found: String| Fault {
            layer: Some(number),
            error: Error::option(format!("layer \"{}\"{what}", names[number]), expected, found),
        };
        let mut above = HashMap::from([(INPUT, 0)]);
        let mut wires = vec![];
        let mut is_read = vec![false; names.len() + 1];
        for (number, (name, wired)) in names.iter().zip(&self.layers).enumerate() {
            let read = |input: &String| {
                let refuse = || {
                    let expected = format!("\"{INPUT}\" or the name of a layer above it");
                    let found = match names.iter().position(|other| other == input) {
                        Some(own) if own == number => "its own".into(),
                        Some(_) => format!("\"{input}\", which comes after it"),
                        None => format!("\"{input}\"{}", did_you_mean(input, above.keys().copied())),
                    };
                    fault(number, ": input", expected, found)
                };
                above.get(input.as_str()).copied().ok_or_else(refuse)
            };
            let inputs = match &wired.inputs[..] {
                [] if wired.layer.is_join() => {
                    let expected = "the names of what it joins, at least 2".into();
                    return Err(fault(number, ": inputs", expected, "none".into()));
                }
                [] => vec![number],
                inputs => inputs.iter().map(read).collect::<Result<Vec<_>, _>>()?,
            };
            inputs.iter().for_each(|&value| is_read[value] = true);
            wires.push(inputs);
            if name.is_empty() {
                return Err(fault(number, ": name", "a name that is not empty".into(), "\"\"".into()));
            }
            match above.insert(name, number + 1) {
                None => {}
                Some(0) => {
                    let expected = format!("another name than \"{INPUT}\", which the network's input has");
                    return Err(fault(number, ": name", expected, format!("\"{name}\"")));
                }
                Some(other) => {
                    let found = format!("that of layer {other}; layers without a name are numbered by kind");
                    return Err(fault(number, ": name", "a name that no other layer has".into(), found));
                }
            }
        }
        // The last gives the output; the input need not be read by name.
        let ends = (1..names.len()).find(|&value| !is_read[value]);
        match ends {
            None => Ok((names, wires)),
            Some(value) => {
                let expected = "a later layer that reads it, as only the last layer gives the output".into();
                Err(fault(value - 1, "", expected, "none".into()))
            }
        }
    }
}
