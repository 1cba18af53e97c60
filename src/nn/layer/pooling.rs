//! Pooling and its inverse.

use crate::graph::NodeId;
use crate::nn::build::MaxPooling;
use crate::nn::layer::kind::{Layer, LayerKind, Place, constructors};
use crate::nn::layer::setting::{Setting, optional, pair, required, same_as, window};
use crate::nn::reach::Reach;
use crate::shape::{Pair, Shape, Window};
use crate::{Error, Result};

constructors! {
    /// Max pooling with adjacent windows: the stride is the window's size unless set.
    max_pool2d(window: impl Into<Pair>) {
        Layer::of(MaxPool2d::default(), [("size", pair(window))])
    }

    /// Average pooling with adjacent windows: the stride is the window's size unless set. Padding counts as zeros
    /// unless [`count_include_pad`](Self::count_include_pad) says otherwise, as in PyTorch.
    avg_pool2d(window: impl Into<Pair>) {
        Layer::of(AvgPool2d::default(), [("size", pair(window))])
    }

    /// Lp pooling, `(Σ |x|^p)^(1/p)`, with adjacent windows: the stride is the window's size unless set.
    lp_pool2d(window: impl Into<Pair>, p: f32) {
        Layer::of(LpPool2d::default(), [("size", pair(window)), ("p", p.into())])
    }

    /// Max pooling to that many rows and columns.
    adaptive_max_pool2d(output: impl Into<Pair>) {
        Layer::of(AdaptiveMaxPool2d::default(), [("output", pair(output))])
    }

    /// Average pooling to that many rows and columns.
    adaptive_avg_pool2d(output: impl Into<Pair>) {
        Layer::of(AdaptiveAvgPool2d::default(), [("output", pair(output))])
    }

    /// The maximum of each channel, as one row and column.
    global_max_pool2d() {
        Layer::new(GlobalMaxPool2d)
    }

    /// The mean of each channel, as one row and column.
    global_avg_pool2d() {
        Layer::new(GlobalAvgPool2d)
    }

    /// The maximum of each `channels` neighboring channels (maxout), every `step` channels.
    max_pool_channels(channels: usize, step: usize) {
        Layer::of(MaxPoolChannels::default(), [("channels", channels.into()), ("step", step.into())])
    }

    /// The mean of each `channels` neighboring channels, every `step` channels.
    avg_pool_channels(channels: usize, step: usize) {
        Layer::of(AvgPoolChannels::default(), [("channels", channels.into()), ("step", step.into())])
    }

    /// Max unpooling: the values go to where the maxima of the max pooling layer `of` were, with zeros elsewhere, in the
    /// rows and columns of that layer's input (PyTorch's `MaxUnpool2d`). Of several values at one position the last in
    /// row-major order stays.
    max_unpool2d(of: impl Into<String>) {
        Layer::of(MaxUnpool2d::default(), [("of", of.into().into())])
    }
}

/// The largest value under each window.
#[derive(Clone, Default)]
pub(super) struct MaxPool2d {
    window: Window,
}

impl LayerKind for MaxPool2d {
    fn kind(&self) -> &str {
        "max_pool2d"
    }

    fn stem(&self) -> &str {
        "pool"
    }

    fn about(&self) -> &'static str {
        "the maximum of each window"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        window(&mut self.window, true)
    }

    fn reach(&self, _x: &Shape) -> Reach {
        Reach::Window(self.window)
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let y = at.build.graph.max_pool2d(at.x, self.window)?;
        at.build.note_max_pooling(at.name, MaxPooling { x: at.x, y, window: self.window });
        Ok(y)
    }
}

/// The mean value under each window.
#[derive(Clone, Default)]
pub(super) struct AvgPool2d {
    window: Window,
    count_include_pad: bool,
}

impl LayerKind for AvgPool2d {
    fn kind(&self) -> &str {
        "avg_pool2d"
    }

    fn stem(&self) -> &str {
        "pool"
    }

    fn about(&self) -> &'static str {
        "the mean of each window"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        const COUNT: &str = "whether padding counts as zeros in the mean";
        let mut list = window(&mut self.window, true);
        list.push(optional("count_include_pad", &mut self.count_include_pad, true, COUNT));
        list
    }

    fn reach(&self, _x: &Shape) -> Reach {
        Reach::Window(self.window)
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.build.graph.avg_pool2d(at.x, self.window, self.count_include_pad)
    }
}

/// `(Σ |x|^p)^(1/p)` under each window.
#[derive(Clone, Default)]
pub(super) struct LpPool2d {
    window: Window,
    p: f32,
}

impl LayerKind for LpPool2d {
    fn kind(&self) -> &str {
        "lp_pool2d"
    }

    fn stem(&self) -> &str {
        "pool"
    }

    fn about(&self) -> &'static str {
        "the p-norm of each window"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        let mut list = window(&mut self.window, true);
        list.push(required("p", &mut self.p, "exponent of the norm"));
        list
    }

    fn title(&self) -> String {
        format!("l{}_pool2d", self.p)
    }

    fn reach(&self, _x: &Shape) -> Reach {
        Reach::Window(self.window)
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.build.graph.lp_pool2d(at.x, self.window, self.p)
    }
}

const OUTPUT: &str = "rows and columns of the output";

/// A fixed number of rows and columns of maxima.
#[derive(Clone, Default)]
pub(super) struct AdaptiveMaxPool2d {
    output: [usize; 2],
}

impl LayerKind for AdaptiveMaxPool2d {
    fn kind(&self) -> &str {
        "adaptive_max_pool2d"
    }

    fn stem(&self) -> &str {
        "pool"
    }

    fn about(&self) -> &'static str {
        "maxima, with this output size for every input size"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![required("output", &mut self.output, OUTPUT).shown()]
    }

    fn reach(&self, x: &Shape) -> Reach {
        adaptive(x, self.output)
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.build.graph.adaptive_max_pool2d(at.x, self.output)
    }
}

/// A fixed number of rows and columns of means.
#[derive(Clone, Default)]
pub(super) struct AdaptiveAvgPool2d {
    output: [usize; 2],
}

impl LayerKind for AdaptiveAvgPool2d {
    fn kind(&self) -> &str {
        "adaptive_avg_pool2d"
    }

    fn stem(&self) -> &str {
        "pool"
    }

    fn about(&self) -> &'static str {
        "means, with this output size for every input size"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![required("output", &mut self.output, OUTPUT).shown()]
    }

    fn reach(&self, x: &Shape) -> Reach {
        adaptive(x, self.output)
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.build.graph.adaptive_avg_pool2d(at.x, self.output)
    }
}

/// The largest window of adaptive pooling; windows begin at `⌊i·in/out⌋` and end at `⌈(i + 1)·in/out⌉`.
fn adaptive(x: &Shape, output: [usize; 2]) -> Reach {
    let [.., h, w] = x[..] else { return Reach::All };
    let from = [h, w];
    let taps = [0, 1].map(|axis| {
        let (input, out) = (from[axis], output[axis].max(1));
        (0..out.min(1 << 16)).map(|i| ((i + 1) * input).div_ceil(out) - i * input / out).max().unwrap_or(1)
    });
    Reach::Resized { taps, from, to: output.map(|n| n.max(1)) }
}

/// The maximum of each channel: `[N, C, 1, 1]`.
#[derive(Clone, Default)]
pub(super) struct GlobalMaxPool2d;

impl LayerKind for GlobalMaxPool2d {
    fn kind(&self) -> &str {
        "global_max_pool2d"
    }

    fn stem(&self) -> &str {
        "pool"
    }

    fn about(&self) -> &'static str {
        "the maximum of each channel, as one row and column"
    }

    fn reach(&self, _x: &Shape) -> Reach {
        Reach::All
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.build.graph.global_max_pool2d(at.x)
    }
}

/// The mean of each channel: `[N, C, 1, 1]`.
#[derive(Clone, Default)]
pub(super) struct GlobalAvgPool2d;

impl LayerKind for GlobalAvgPool2d {
    fn kind(&self) -> &str {
        "global_avg_pool2d"
    }

    fn stem(&self) -> &str {
        "pool"
    }

    fn about(&self) -> &'static str {
        "the mean of each channel, as one row and column"
    }

    fn reach(&self, _x: &Shape) -> Reach {
        Reach::All
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.build.graph.global_avg_pool2d(at.x)
    }
}

const CHANNELS: &str = "channels of a window";
const STEP: &str = "channels from one window to the next";

/// The maximum of neighboring channels (maxout).
#[derive(Clone, Default)]
pub(super) struct MaxPoolChannels {
    channels: usize,
    step: usize,
}

impl LayerKind for MaxPoolChannels {
    fn kind(&self) -> &str {
        "max_pool_channels"
    }

    fn stem(&self) -> &str {
        "pool"
    }

    fn about(&self) -> &'static str {
        "the maximum of neighboring channels (maxout)"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        let channels = required("channels", &mut self.channels, CHANNELS).shown();
        vec![channels, same_as("step", &mut self.step, "channels", STEP).shown_as("stride")]
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.build.graph.max_pool_channels(at.x, self.channels, self.step)
    }
}

/// The mean of neighboring channels.
#[derive(Clone, Default)]
pub(super) struct AvgPoolChannels {
    channels: usize,
    step: usize,
}

impl LayerKind for AvgPoolChannels {
    fn kind(&self) -> &str {
        "avg_pool_channels"
    }

    fn stem(&self) -> &str {
        "pool"
    }

    fn about(&self) -> &'static str {
        "the mean of neighboring channels"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        let channels = required("channels", &mut self.channels, CHANNELS).shown();
        vec![channels, same_as("step", &mut self.step, "channels", STEP).shown_as("stride")]
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        at.build.graph.avg_pool_channels(at.x, self.channels, self.step)
    }
}

/// Values at the positions of an earlier layer's maxima.
#[derive(Clone, Default)]
pub(super) struct MaxUnpool2d {
    of: String,
}

impl LayerKind for MaxUnpool2d {
    fn kind(&self) -> &str {
        "max_unpool2d"
    }

    fn stem(&self) -> &str {
        "unpool"
    }

    fn about(&self) -> &'static str {
        "values at the positions of the maxima of a `max_pool2d` layer, in the size of that layer's input; 0 elsewhere"
    }

    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![required("of", &mut self.of, "name of the `max_pool2d` layer").shown_as("of")]
    }

    fn reach(&self, _x: &Shape) -> Reach {
        Reach::Point
    }

    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId> {
        let Some(MaxPooling { x, y, window }) = at.build.max_pooling(&self.of) else {
            let option = format!("max_unpool2d \"{}\": of", at.name);
            return Err(Error::option(option, "the name of a max_pool2d layer above it", format!("{:?}", self.of)));
        };
        let [_, _, h, w] = at.build.graph.shape(x).nchw("x").map_err(|reason| at.refuse("max_unpool2d", reason))?;
        let positions = at.build.graph.max_pool2d_positions(x, y, window)?;
        at.build.graph.max_unpool2d(at.x, positions, [h, w])
    }
}
