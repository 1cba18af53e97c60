//! Dense layers.

use crate::Result;
use crate::graph::NodeId;
use crate::nn::init::Init;
use crate::nn::layer::kind::{Layer, LayerKind, Place, constructors};
use crate::nn::layer::setting::{Setting, optional, required};
use crate::nn::parameter::{ParameterSpec, Stored};
use crate::nn::reach::Reach;
use crate::shape::Shape;

constructors! {
    /// A dense layer with a bias and He-uniform weights.
    dense(units: usize) {
        Layer::of(Dense::default(), [("units", units.into())])
    }
}

/// Every output from every input: `[N, in]` to `[N, units]`. Parameters `weight` `[in, units]`, `bias`.
#[derive(Clone, Default)]
pub(super) struct Dense {
    units: usize,
    bias: bool,
    init: Init,
}

impl LayerKind for Dense {
    fn kind(&self) -> &str {
        "dense"
    }

    fn stem(&self) -> &str {
        "fc"
    }

    fn about(&self) -> &'static str {
        "dense (fully connected) layer"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![
            required("units", &mut self.units, "number of outputs"),
            optional("bias", &mut self.bias, true, "whether each output has a bias, initially 0"),
            optional("init", &mut self.init, Init::default(), "rule for the initial weights"),
        ]
    }

    fn is_parametric(&self) -> bool {
        true
    }

    fn reach(&self, _x: &Shape) -> Reach {
        Reach::All
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let rule = |reason| at.refuse("dense", format!("{reason}; flatten what has more axes first"));
        let [_, features] = at.shape().matrix("x").map_err(rule)?;
        at.at_least_one("dense", "units", self.units)?;
        let weight = ParameterSpec::new("weight", [features, self.units]).init(self.init, [features, self.units]);
        let weight = at.declare(weight.stored(Stored::Transposed))?;
        let bias = at.bias(self.bias, self.units)?;
        at.build.graph.dense(at.x, weight, bias)
    }
}
