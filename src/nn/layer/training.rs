//! Layers that act in training only.

use crate::graph::NodeId;
use crate::nn::layer::kind::{Layer, LayerKind, Place, constructors};
use crate::nn::layer::setting::{Setting, required};
use crate::{Error, Result};

constructors! {
    /// In training, zeroes each value with probability `p` and multiplies the others by `1 / (1 − p)`.
    dropout(p: f32) {
        Layer::of(Dropout::default(), [("p", p.into())])
    }

    /// As [`Layer::dropout`], by whole channels of `[N, C, ..]`.
    spatial_dropout(p: f32) {
        Layer::of(SpatialDropout::default(), [("p", p.into())])
    }
}

const P: &str = "probability that a value becomes 0, below 1";

/// Values zeroed at random in training, the others scaled by `1 / (1 − p)`; the identity in evaluation.
#[derive(Clone, Default)]
pub(super) struct Dropout {
    p: f32,
}

impl LayerKind for Dropout {
    fn kind(&self) -> &str {
        "dropout"
    }

    fn about(&self) -> &'static str {
        "in training, values zeroed at random"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![required("p", &mut self.p, P).shown()]
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        check(at, self.p)?;
        match at.build.training() {
            None => Ok(at.x),
            Some(t) => at.build.graph.dropout(at.x, t.clock, self.p, t.seed),
        }
    }
}

/// As dropout, by whole channels.
#[derive(Clone, Default)]
pub(super) struct SpatialDropout {
    p: f32,
}

impl LayerKind for SpatialDropout {
    fn kind(&self) -> &str {
        "spatial_dropout"
    }

    fn stem(&self) -> &str {
        "dropout"
    }

    fn about(&self) -> &'static str {
        "in training, whole channels zeroed at random"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![required("p", &mut self.p, P).shown()]
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        check(at, self.p)?;
        match at.build.training() {
            None => Ok(at.x),
            Some(t) => at.build.graph.spatial_dropout(at.x, t.clock, self.p, t.seed),
        }
    }
}

/// Errors: a probability out of range, in evaluation too.
fn check(at: &Place<'_, '_>, p: f32) -> Result<()> {
    let refuse = || Error::option(format!("dropout \"{}\": p", at.name), "at least 0 and below 1", p);
    if (0.0..1.0).contains(&p) { Ok(()) } else { Err(refuse()) }
}
