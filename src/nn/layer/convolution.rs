//! Convolutions.

use crate::Result;
use crate::graph::NodeId;
use crate::nn::init::Init;
use crate::nn::layer::kind::{Layer, LayerKind, Place, constructors};
use crate::nn::layer::setting::{Form, Setting, Slot, Value, optional, pair, required, window};
use crate::nn::reach::Reach;
use crate::shape::{Pair, Shape, Window};

/// The groups of a convolution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Groups {
    /// A number of groups.
    Number(usize),
    /// As many as the input has channels: each filter sees one channel.
    Depthwise,
}

impl Default for Groups {
    fn default() -> Self {
        Groups::Number(1)
    }
}

impl Groups {
    /// The number of groups of an input with that many channels.
    fn number(self, channels: usize) -> usize {
        match self {
            Groups::Number(n) => n,
            Groups::Depthwise => channels,
        }
    }
}

const DEPTHWISE: &str = "depthwise";

impl From<Groups> for Value {
    fn from(groups: Groups) -> Self {
        match groups {
            Groups::Number(n) => Value::Integer(n),
            Groups::Depthwise => Value::Name(DEPTHWISE.into()),
        }
    }
}

impl Slot for Groups {
    fn form(&self) -> Form {
        Form::IntegerOr(DEPTHWISE)
    }

    fn get(&self) -> Option<Value> {
        Some((*self).into())
    }

    fn set(&mut self, value: Value) -> bool {
        *self = match value {
            Value::Integer(n) => Groups::Number(n),
            Value::Name(name) if name == DEPTHWISE => Groups::Depthwise,
            _ => return false,
        };
        true
    }
}

constructors! {
    /// A convolution with stride 1, no padding, a bias, He-uniform weights.
    conv2d(filters: usize, window: impl Into<Pair>) {
        Layer::of(Conv2d::default(), [("filters", filters.into()), ("size", pair(window))])
    }

    /// A transposed convolution with stride 1, no padding, a bias, He-uniform weights. Padding is cut from its result.
    conv_transpose2d(filters: usize, window: impl Into<Pair>) {
        Layer::of(ConvTranspose2d::default(), [("filters", filters.into()), ("size", pair(window))])
    }
}

const FILTERS: &str = "number of output channels";
const GROUPS: &str = "number of groups that filters and channels are divided into; a filter sees its group's channels";
const BIAS: &str = "whether each output channel has a bias, initially 0";
const INIT: &str = "rule for the initial weights";

/// Convolution: `[N, C, H, W]` to `[N, filters, P, Q]`. Parameters `weight` `[filters, C/groups, R, S]`, `bias`.
#[derive(Clone, Default)]
pub(super) struct Conv2d {
    filters: usize,
    window: Window,
    groups: Groups,
    bias: bool,
    init: Init,
}

impl LayerKind for Conv2d {
    fn kind(&self) -> &str {
        "conv2d"
    }

    fn stem(&self) -> &str {
        "conv"
    }

    fn about(&self) -> &'static str {
        "convolution"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        let mut list = vec![required("filters", &mut self.filters, FILTERS)];
        list.extend(window(&mut self.window, false));
        list.push(optional("groups", &mut self.groups, 1, GROUPS).shown_as("groups").late());
        list.push(optional("bias", &mut self.bias, true, BIAS));
        list.push(optional("init", &mut self.init, Init::default(), INIT));
        list
    }

    fn is_parametric(&self) -> bool {
        true
    }

    fn reach(&self, _x: &Shape) -> Reach {
        Reach::Window(self.window)
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let [_, c, h, w] = at.shape().nchw("x").map_err(|reason| at.refuse("conv2d", reason))?;
        at.at_least_one("conv2d", "filters", self.filters)?;
        let groups = self.groups.number(c);
        let [r, s] = self.window.size;
        self.window.place([h, w]).map_err(|reason| at.refuse("conv2d", reason))?;
        let fans = [c, self.filters].map(|n| product(share(n, groups), [r, s]));
        let weight = at.parameter("weight", [self.filters, share(c, groups), r, s], self.init, fans)?;
        let bias = at.bias(self.bias, self.filters)?;
        at.build.graph.conv2d_grouped(at.x, weight, bias, self.window, groups)
    }
}

/// Transposed convolution: `[N, C, P, Q]` to `[N, filters, H, W]`. Parameters `weight` `[C, filters/groups, R, S]`,
/// `bias`.
#[derive(Clone, Default)]
pub(super) struct ConvTranspose2d {
    filters: usize,
    window: Window,
    output_padding: [usize; 2],
    groups: Groups,
    bias: bool,
    init: Init,
}

impl LayerKind for ConvTranspose2d {
    fn kind(&self) -> &str {
        "conv_transpose2d"
    }

    fn stem(&self) -> &str {
        "deconv"
    }

    fn about(&self) -> &'static str {
        "transposed convolution; padding is cut from the result"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        const OUTPUT: &str = "rows and columns added at the end of the result";
        let mut list = vec![required("filters", &mut self.filters, FILTERS)];
        list.extend(window(&mut self.window, false));
        let output = optional("output_padding", &mut self.output_padding, [0, 0], OUTPUT);
        list.push(output.shown_as("output pad").late());
        list.push(optional("groups", &mut self.groups, 1, GROUPS).shown_as("groups").late());
        list.push(optional("bias", &mut self.bias, true, BIAS));
        list.push(optional("init", &mut self.init, Init::default(), INIT));
        list
    }

    fn is_parametric(&self) -> bool {
        true
    }

    fn reach(&self, _x: &Shape) -> Reach {
        // The number of neighboring inputs that one output may depend on.
        let taps = [0, 1].map(|axis| {
            let span = (self.window.size[axis] - 1).saturating_mul(self.window.dilation[axis]).saturating_add(1);
            span.div_ceil(self.window.stride[axis])
        });
        Reach::Resized { taps, from: [1, 1], to: self.window.stride }
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let op = "conv_transpose2d";
        let [_, c, _, _] = at.shape().nchw("x").map_err(|reason| at.refuse(op, reason))?;
        at.at_least_one(op, "filters", self.filters)?;
        let groups = self.groups.number(c);
        // A bad window must not be reported as a bad shape of the weights.
        self.window.place([u32::MAX as usize / 2; 2]).map_err(|reason| at.refuse(op, reason))?;
        let [r, s] = self.window.size;
        // Each output sums over the taps that fall on an input, each input reaches all taps.
        let taps = [0, 1].map(|axis| self.window.size[axis].div_ceil(self.window.stride[axis]));
        let fans = [product(share(c, groups), taps), product(share(self.filters, groups), [r, s])];
        let weight = at.parameter("weight", [c, share(self.filters, groups), r, s], self.init, fans)?;
        let bias = at.bias(self.bias, self.filters)?;
        at.build.graph.conv_transpose2d(at.x, weight, bias, self.window, self.output_padding, groups)
    }
}

/// Channels of one group. Numbers that the groups do not divide are refused by the operation.
fn share(channels: usize, groups: usize) -> usize {
    (channels / groups.max(1)).max(1)
}

fn product(channels: usize, [r, s]: [usize; 2]) -> usize {
    channels.saturating_mul(r).saturating_mul(s)
}
