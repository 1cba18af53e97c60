//! Normalization.

use crate::Result;
use crate::graph::NodeId;
use crate::nn::build::Statistics;
use crate::nn::init::Init;
use crate::nn::layer::kind::{Layer, LayerKind, Place, constructors};
use crate::nn::layer::setting::{Setting, optional, required};
use crate::nn::reach::Reach;
use crate::ops::{Affine, LocalResponse};
use crate::shape::Shape;

/// PyTorch's default ε.
const EPSILON: f32 = 1e-5;

const ADDED: &str = "number added to the variance";
const AFFINE: &str = "whether it has weight and bias";
const AXIS: &str = "first axis of those normalized over; 1 is the axis after the batch";

constructors! {
    /// Batch normalization of `[N, C, ..]` with weight and bias, ε 1e-5 and momentum 0.1: the weight of the new value, as
    /// in PyTorch (Keras has the weight of the old). A frozen layer uses its running averages and does not change them,
    /// as in Keras.
    batch_norm() {
        Layer::of(BatchNorm::default(), [])
    }

    /// Layer normalization over all axes but the batch, with weight and bias and ε 1e-5.
    layer_norm() {
        Layer::of(LayerNorm::default(), [])
    }

    /// Group normalization of `[N, C, ..]` with weight and bias and ε 1e-5; `groups` divides C.
    group_norm(groups: usize) {
        Layer::of(GroupNorm::default(), [("groups", groups.into())])
    }

    /// Instance normalization of `[N, C, ..]` with ε 1e-5, without weight and bias unless set, as in PyTorch.
    instance_norm() {
        Layer::of(InstanceNorm::default(), [])
    }

    /// RMS normalization over all axes but the batch, with a weight and ε 1e-5.
    rms_norm() {
        Layer::of(RmsNorm::default(), [])
    }

    /// Local response normalization over `size` channels with α 1e-4, β 0.75 and k 1, or over [`LocalResponse`].
    local_response_norm(by: impl Into<LocalResponse>) {
        Layer::new(LocalResponseNorm { by: by.into() })
    }

    /// `(x − mean) / deviation`: one number each for all channels of `[N, C, ..]`, or one for each channel. For images,
    /// before all other layers: Keras' `Normalization` (which takes the variance), torchvision's `Normalize`.
    normalize(mean: impl Into<Vec<f32>>, deviation: impl Into<Vec<f32>>) {
        Layer::new(Normalize { mean: mean.into(), deviation: deviation.into() })
    }
}

/// A parameter of ones or zeros, if there is one.
fn constant(at: &mut Place<'_, '_>, name: &str, extents: &[usize], value: f32, has: bool) -> Result<Option<NodeId>> {
    has.then(|| at.parameter(name, extents.to_vec(), Init::Constant(value), [1, 1])).transpose()
}

fn affine(at: &mut Place<'_, '_>, extents: &[usize], has: bool) -> Result<Affine> {
    let weight = constant(at, "weight", extents, 1.0, has)?;
    Ok(Affine { weight, bias: constant(at, "bias", extents, 0.0, has)? })
}

/// The extents from an axis on.
fn from(at: &Place<'_, '_>, axis: usize) -> Vec<usize> {
    at.shape().get(axis..).unwrap_or_default().to_vec()
}

/// Normalization of each channel over the batch; in evaluation by running averages. Parameters `weight`, `bias`,
/// `running_mean`, `running_var`, each `[C]`.
#[derive(Clone, Default)]
pub(super) struct BatchNorm {
    momentum: f32,
    epsilon: f32,
    affine: bool,
}

impl LayerKind for BatchNorm {
    fn kind(&self) -> &str {
        "batch_norm"
    }

    fn stem(&self) -> &str {
        "bn"
    }

    fn about(&self) -> &'static str {
        "batch normalization"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        const MOMENTUM: &str = "weight of the new value in the running averages";
        vec![
            optional("momentum", &mut self.momentum, 0.1, MOMENTUM),
            optional("epsilon", &mut self.epsilon, EPSILON, ADDED),
            optional("affine", &mut self.affine, true, AFFINE),
        ]
    }

    fn is_parametric(&self) -> bool {
        true
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let channels = at.channels();
        let by = affine(at, &[channels], self.affine)?;
        match at.build.statistics(channels, at.trainable)? {
            Statistics::Tracked(running) => {
                at.build.graph.batch_norm(at.x, by, Some(running), self.momentum, self.epsilon)
            }
            Statistics::Fixed(running) => at.build.graph.batch_norm_inference(at.x, by, running, self.epsilon),
        }
    }
}

/// Normalization over all axes from one on. Parameters `weight` and `bias`, of the extents of those.
#[derive(Clone, Default)]
pub(super) struct LayerNorm {
    axis: usize,
    epsilon: f32,
    affine: bool,
}

impl LayerKind for LayerNorm {
    fn kind(&self) -> &str {
        "layer_norm"
    }

    fn stem(&self) -> &str {
        "norm"
    }

    fn about(&self) -> &'static str {
        "layer normalization"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![
            optional("axis", &mut self.axis, 1, AXIS).shown_as("from axis"),
            optional("epsilon", &mut self.epsilon, EPSILON, ADDED),
            optional("affine", &mut self.affine, true, AFFINE),
        ]
    }

    fn is_parametric(&self) -> bool {
        self.affine
    }

    fn reach(&self, _x: &Shape) -> Reach {
        Reach::All
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let extents = from(at, self.axis);
        let by = affine(at, &extents, self.affine)?;
        at.build.graph.layer_norm(at.x, self.axis, by, self.epsilon)
    }
}

/// Normalization of each image over groups of neighboring channels. Parameters `weight`, `bias`, each `[C]`.
#[derive(Clone, Default)]
pub(super) struct GroupNorm {
    groups: usize,
    epsilon: f32,
    affine: bool,
}

impl LayerKind for GroupNorm {
    fn kind(&self) -> &str {
        "group_norm"
    }

    fn stem(&self) -> &str {
        "norm"
    }

    fn about(&self) -> &'static str {
        "group normalization"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![
            required("groups", &mut self.groups, "number of groups of neighboring channels").shown(),
            optional("epsilon", &mut self.epsilon, EPSILON, ADDED),
            optional("affine", &mut self.affine, true, AFFINE),
        ]
    }

    fn is_parametric(&self) -> bool {
        self.affine
    }

    fn reach(&self, _x: &Shape) -> Reach {
        Reach::All
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let by = affine(at, &[at.channels()], self.affine)?;
        at.build.graph.group_norm(at.x, self.groups, by, self.epsilon)
    }
}

/// Normalization of each channel of each image. Parameters `weight`, `bias`, each `[C]`, if affine.
#[derive(Clone, Default)]
pub(super) struct InstanceNorm {
    epsilon: f32,
    affine: bool,
}

impl LayerKind for InstanceNorm {
    fn kind(&self) -> &str {
        "instance_norm"
    }

    fn stem(&self) -> &str {
        "norm"
    }

    fn about(&self) -> &'static str {
        "instance normalization"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![
            optional("epsilon", &mut self.epsilon, EPSILON, ADDED),
            optional("affine", &mut self.affine, false, AFFINE),
        ]
    }

    fn is_parametric(&self) -> bool {
        self.affine
    }

    fn reach(&self, _x: &Shape) -> Reach {
        Reach::All
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let by = affine(at, &[at.channels()], self.affine)?;
        at.build.graph.instance_norm(at.x, by, self.epsilon)
    }
}

/// Division by the root of the mean square over all axes from one on. Parameter `weight`, of the extents of those.
#[derive(Clone, Default)]
pub(super) struct RmsNorm {
    axis: usize,
    epsilon: f32,
    affine: bool,
}

impl LayerKind for RmsNorm {
    fn kind(&self) -> &str {
        "rms_norm"
    }

    fn stem(&self) -> &str {
        "norm"
    }

    fn about(&self) -> &'static str {
        "RMS normalization"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![
            optional("axis", &mut self.axis, 1, AXIS).shown_as("from axis"),
            optional("epsilon", &mut self.epsilon, EPSILON, "number added to the mean square"),
            optional("affine", &mut self.affine, true, "whether it has a weight"),
        ]
    }

    fn is_parametric(&self) -> bool {
        self.affine
    }

    fn reach(&self, _x: &Shape) -> Reach {
        Reach::All
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let extents = from(at, self.axis);
        let weight = constant(at, "weight", &extents, 1.0, self.affine)?;
        at.build.graph.rms_norm(at.x, self.axis, weight, self.epsilon)
    }
}

/// Division by the energy of neighboring channels.
#[derive(Clone)]
pub(super) struct LocalResponseNorm {
    by: LocalResponse,
}

impl Default for LocalResponseNorm {
    fn default() -> Self {
        Self { by: LocalResponse::new(1) }
    }
}

impl LayerKind for LocalResponseNorm {
    fn kind(&self) -> &str {
        "local_response_norm"
    }

    fn stem(&self) -> &str {
        "norm"
    }

    fn about(&self) -> &'static str {
        "local response normalization across channels"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        let LocalResponse { size, alpha, beta, k } = &mut self.by;
        vec![
            required("size", size, "channels of a window").shown(),
            optional("alpha", alpha, 1e-4, "factor of the mean square"),
            optional("beta", beta, 0.75, "exponent"),
            optional("k", k, 1.0, "number added to the mean square"),
        ]
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.build.graph.local_response_norm(at.x, self.by)
    }
}

/// `(x − mean) / deviation`, by given numbers.
#[derive(Clone, Default)]
pub(super) struct Normalize {
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

impl LayerKind for Normalize {
    fn kind(&self) -> &str {
        "normalize"
    }

    fn about(&self) -> &'static str {
        "`(x - mean) / deviation`, by given numbers"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![
            required("mean", &mut self.mean, "one number for all channels, or a list with one for each"),
            required("deviation", &mut self.deviation, "as `mean`, above 0"),
        ]
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.build.graph.normalize(at.x, &self.mean, &self.deviation)
    }
}
