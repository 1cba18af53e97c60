//! Activations, and branches combined element by element.

use crate::graph::NodeId;
use crate::nn::init::Init;
use crate::nn::layer::kind::{Layer, LayerKind, Place, Role, constructors};
use crate::nn::layer::setting::{Setting, optional, required, unset};
use crate::ops::TABLE;
use crate::{Error, Result};

/// The initial slope of prelu, as in PyTorch and in He et al. 2015 (arXiv:1502.01852).
const SLOPE: f32 = 0.25;

constructors! {
    /// Leaky ReLU with a learned slope for each channel, initially 0.25.
    prelu() {
        Layer::of(Prelu::default(), [])
    }

    /// Leaky ReLU with one learned slope for all channels, initially 0.25: PyTorch's default.
    prelu_shared() {
        Layer::of(Prelu::default(), [("shared", true.into())])
    }

    /// A scalar function by its name in [`crate::ops::TABLE`].
    activation(function: impl Into<String>) {
        Layer::new(Activation { function: function.into(), parameter: None })
    }

    /// As [`Layer::activation`], with a parameter other than the default.
    activation_with(function: impl Into<String>, parameter: f32) {
        Layer::new(Activation { function: function.into(), parameter: Some(parameter) })
    }

    /// `max(x, 0)`.
    relu() {
        Layer::activation("relu")
    }

    /// `1 / (1 + exp(−x))`.
    sigmoid() {
        Layer::activation("sigmoid")
    }

    /// Hyperbolic tangent.
    tanh() {
        Layer::activation("tanh")
    }

    /// `min(max(x, 0), 6)`.
    relu6() {
        Layer::activation("relu6")
    }

    /// The scaled exponential linear unit.
    selu() {
        Layer::activation("selu")
    }

    /// The Gaussian error linear unit, exactly.
    gelu() {
        Layer::activation("gelu")
    }

    /// `x · sigmoid(x)`.
    silu() {
        Layer::activation("silu")
    }

    /// `x · min(max(x + 3, 0), 6) / 6`.
    hard_swish() {
        Layer::activation("hard_swish")
    }

    /// `log(1 + exp(x))`.
    softplus() {
        Layer::activation("softplus")
    }

    /// `x` where it is positive, else `slope · x`.
    leaky_relu(slope: f32) {
        Layer::activation_with("leaky_relu", slope)
    }

    /// `x` where it is positive, else `alpha · (exp(x) − 1)`.
    elu(alpha: f32) {
        Layer::activation_with("elu", alpha)
    }

    /// `min(max(x, min), max)`. The gradient is 0 at the bounds and beyond them, as of [`Layer::relu6`].
    clip(min: f32, max: f32) {
        Layer::of(Clip::default(), [("min", min.into()), ("max", max.into())])
    }
}

impl Layer {
    /// Branches combined by the arithmetic of that name in [`crate::ops::ARITHMETIC`]; axes of 1 repeat.
    pub fn arithmetic(function: impl Into<String>) -> Self {
        Self::new(Arithmetic { function: function.into() })
    }

    /// The sum of branches: residual connections.
    pub fn add() -> Self {
        Self::arithmetic("add")
    }

    /// The product of branches, element by element: gates.
    pub fn mul() -> Self {
        Self::arithmetic("mul")
    }
}

/// `x` where it is positive, else `slope·x`, with learned slopes. Parameter `weight` `[C]`, or `[1]`.
#[derive(Clone, Default)]
pub(super) struct Prelu {
    shared: bool,
}

impl LayerKind for Prelu {
    fn kind(&self) -> &str {
        "prelu"
    }

    fn about(&self) -> &'static str {
        "leaky ReLU with learned slopes, initially 0.25"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![optional("shared", &mut self.shared, false, "whether all channels share one slope").shown_as("shared")]
    }

    fn is_parametric(&self) -> bool {
        true
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let slopes = if self.shared { 1 } else { at.channels() };
        let slope = at.parameter("weight", [slopes], Init::Constant(SLOPE), [1, 1])?;
        at.build.graph.prelu(at.x, slope)
    }
}

/// A scalar function of every value: a row of [`TABLE`], by name.
#[derive(Clone)]
struct Activation {
    function: String,
    /// Its parameter, if it is not the default.
    parameter: Option<f32>,
}

impl LayerKind for Activation {
    fn kind(&self) -> &str {
        &self.function
    }

    fn about(&self) -> &'static str {
        "scalar function of each value"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        let row = TABLE.iter().find(|row| row.name == self.function);
        let parameter = row.and_then(|row| row.parameter.as_ref());
        let setting = |known: &'static crate::ops::Parameter, slot| {
            unset(known.name, slot, known.default, "parameter of the function, from 0").shown()
        };
        parameter.map(|known| setting(known, &mut self.parameter)).into_iter().collect()
    }

    fn role(&self) -> Role {
        Role::Activation
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        match self.parameter {
            Some(parameter) => at.build.graph.unary_with(&self.function, parameter, at.x),
            None => at.build.graph.unary(&self.function, at.x),
        }
    }
}

/// `min(max(x, min), max)`.
#[derive(Clone, Default)]
pub(super) struct Clip {
    min: f32,
    max: f32,
}

impl LayerKind for Clip {
    fn kind(&self) -> &str {
        "clip"
    }

    fn about(&self) -> &'static str {
        "values limited to a range; the gradient is 0 at the bounds and beyond"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        let min = required("min", &mut self.min, "least value").shown();
        vec![min, required("max", &mut self.max, "largest value").shown_as("to")]
    }

    fn role(&self) -> Role {
        Role::Activation
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.build.graph.clamp(at.x, self.min, self.max)
    }
}

/// Branches combined by arithmetic, from the first to the last: a row of [`crate::ops::ARITHMETIC`], by name. They have
/// the same number of axes, and axes of 1 repeat.
#[derive(Clone)]
struct Arithmetic {
    function: String,
}

impl LayerKind for Arithmetic {
    fn kind(&self) -> &str {
        &self.function
    }

    fn about(&self) -> &'static str {
        "branches combined element by element, from the first to the last"
    }

    fn role(&self) -> Role {
        Role::Join
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        same_axes(at, &self.function)?;
        let combine = |y, &x| at.build.graph.binary(&self.function, y, x);
        at.inputs[1..].iter().try_fold(at.x, combine)
    }
}

/// The batch must not meet another axis: with a batch of one it might fit.
///
/// Errors: inputs with different numbers of axes.
pub(super) fn same_axes(at: &Place<'_, '_>, kind: &str) -> Result<()> {
    let shape = |x: NodeId| at.build.graph.shape(x);
    match at.inputs.iter().find(|&&x| shape(x).len() != shape(at.x).len()) {
        None => Ok(()),
        Some(&other) => {
            let expected = format!("as many axes as {}", shape(at.x));
            Err(Error::option(format!("{kind}: inputs"), expected, shape(other)))
        }
    }
}
