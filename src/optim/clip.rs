//! Gradient clipping before the optimizer.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::graph::{Graph, NodeId};
use crate::optim::{Flat, Group, Optimizer};
use crate::{Error, Result};

/// Gradient clipping. See [`Graph::clip_value`] and [`Graph::clip_norm`].
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// Clips each element to `−bound` to `bound`.
    Value(f32),
    /// Clips each parameter's gradient to this L2 norm.
    Norm(f32),
    /// Clips all gradients together to this L2 norm.
    GlobalNorm(f32),
}

impl Clip {
    /// Appends the clipping of the gradients of `values`.
    fn apply(self, graph: &mut Graph, values: Flat<'_>) -> Result<NodeId> {
        match self {
            Clip::Value(most) => graph.clip_value(values.gradients, most),
            Clip::GlobalNorm(most) => graph.clip_norm(values.gradients, most),
            Clip::Norm(most) => {
                let part = |range: &std::ops::Range<usize>| {
                    let part = graph.slice_flat(values.gradients, range.start, [range.len()])?;
                    graph.clip_norm(part, most)
                };
                let parts = values.ranges.iter().map(part).collect::<Result<Vec<_>>>()?;
                let offsets: Vec<usize> = values.ranges.iter().map(|range| range.start).collect();
                let total = graph.shape(values.gradients).elements();
                graph.pack(&parts, &offsets, total)
            }
        }
    }

    fn bound(self) -> f32 {
        match self {
            Clip::Value(bound) | Clip::Norm(bound) | Clip::GlobalNorm(bound) => bound,
        }
    }

    fn check(self) -> Result<()> {
        match self.bound() > 0.0 && self.bound().is_finite() {
            true => Ok(()),
            false => Err(Error::option("clip", "a finite bound above 0", self.bound())),
        }
    }
}

impl FromStr for Clip {
    type Err = Error;

    /// Reads `value:BOUND`, `norm:BOUND` or `global-norm:BOUND`.
    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::option("clip", "value:BOUND, norm:BOUND or global-norm:BOUND", text);
        let (rule, bound) = text.split_once(':').ok_or_else(invalid)?;
        let bound = bound.parse().map_err(|_| invalid())?;
        let clip = match rule {
            "value" => Clip::Value(bound),
            "norm" => Clip::Norm(bound),
            "global-norm" => Clip::GlobalNorm(bound),
            _ => return Err(invalid()),
        };
        clip.check().map(|()| clip)
    }
}

/// An optimizer with gradient clipping.
#[derive(Debug)]
pub struct Clipped {
    optimizer: Box<dyn Optimizer>,
    clip: Clip,
}

impl Clipped {
    /// `optimizer` with gradient clipping.
    pub fn new(optimizer: impl Optimizer + 'static, clip: Clip) -> Self {
        Self::boxed(Box::new(optimizer), clip)
    }

    /// [`Clipped::new`] for an optimizer chosen at run time.
    pub fn boxed(optimizer: Box<dyn Optimizer>, clip: Clip) -> Self {
        Self { optimizer, clip }
    }
}

impl Optimizer for Clipped {
    fn name(&self) -> &'static str {
        self.optimizer.name()
    }

    fn learning_rate(&self) -> f32 {
        self.optimizer.learning_rate()
    }

    fn states(&self) -> &'static [&'static str] {
        self.optimizer.states()
    }

    fn check(&self) -> Result<()> {
        self.clip.check()?;
        self.optimizer.check()
    }

    fn groups(&self) -> &[Group] {
        self.optimizer.groups()
    }

    fn update(&self, graph: &mut Graph, values: Flat<'_>) -> Result<NodeId> {
        let gradients = self.clip.apply(graph, values)?;
        self.optimizer.update(graph, Flat { gradients, ..values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_from_text() {
        assert_eq!("value:0.5".parse::<Clip>().unwrap(), Clip::Value(0.5));
        assert_eq!("global-norm:1".parse::<Clip>().unwrap(), Clip::GlobalNorm(1.0));
        for text in ["norm", "norm:x", "length:1", "norm:0", "norm:-1", "norm:inf"] {
            assert!(text.parse::<Clip>().is_err(), "{text}");
        }
    }
}
