//! Reductions.

use crate::Result;
use crate::graph::NodeId;
use crate::nn::layer::kind::{Layer, LayerKind, Place, constructors};
use crate::nn::reach::Reach;
use crate::shape::Shape;

constructors! {
    /// The mean over rows and columns: `[N, C, H, W]` to `[N, C]`. As [`Layer::global_avg_pool2d`] and
    /// [`Layer::flatten`].
    mean() {
        Layer::new(Mean)
    }
}

/// The mean over rows and columns: `[N, C]`.
#[derive(Clone, Default)]
pub(super) struct Mean;

impl LayerKind for Mean {
    fn kind(&self) -> &str {
        "mean"
    }

    fn about(&self) -> &'static str {
        "the mean over rows and columns: one feature for each channel"
    }

    fn reach(&self, _x: &Shape) -> Reach {
        Reach::All
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.shape().nchw("x").map_err(|reason| at.refuse("mean", reason))?;
        at.build.graph.mean(at.x, &[2, 3], false)
    }
}
