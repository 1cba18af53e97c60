//! Operations whose results depend on more elements than an invocation may go over.

use lenslet::check::{Case, Fill, Input};
use lenslet::{Graph, NodeId, Padding, Result, TensorType, Window};

fn case(
    name: &str,
    shapes: &[&[usize]],
    backward: bool,
    build: impl Fn(&mut Graph, &[NodeId]) -> Result<NodeId> + 'static,
) -> Case {
    let input = |&shape: &&[usize]| Input { ty: TensorType::f32(shape), fill: Fill::Any };
    let inputs = shapes.iter().map(input).collect();
    Case {
        name: name.into(),
        inputs,
        build: Box::new(build),
        differentiable: false,
        backward,
        updates: false,
        joined: false,
    }
}

fn conv(name: &str, x: [usize; 4], w: [usize; 4], window: Window) -> Case {
    case(name, &[&x, &w, &[w[0]]], true, move |g, i| g.conv2d(i[0], i[1], Some(i[2]), window))
}

fn pool(name: &str, x: [usize; 4], window: Window, build: fn(&mut Graph, NodeId, Window) -> Result<NodeId>) -> Case {
    case(name, &[&x], true, move |g, i| build(g, i[0], window))
}

/// Logits of many classes and labels.
fn labelled(name: &str, build: fn(&mut Graph, &[NodeId]) -> Result<NodeId>) -> Case {
    let mut case = case(name, &[&[3, 100_000]], false, build);
    case.inputs.push(Input { ty: TensorType::u32([3]), fill: Fill::Below(100_000) });
    case
}

const MAX: fn(&mut Graph, NodeId, Window) -> Result<NodeId> = |g, x, window| g.max_pool2d(x, window);
const AVERAGE: fn(&mut Graph, NodeId, Window) -> Result<NodeId> = |g, x, window| g.avg_pool2d(x, window, false);

/// Every one.
pub fn all() -> Vec<Case> {
    small().into_iter().chain(large()).collect()
}

/// Those small enough to be tried.
pub fn small() -> Vec<Case> {
    vec![
        conv("conv2d, a large window", [1, 30, 52, 50], [2, 30, 50, 48], Window::new([50, 48])),
        conv("conv2d, a wide window", [1, 1, 1, 2000], [2, 1, 1, 900], Window::new([1, 900]).padding(3)),
        conv("conv2d, many channels", [1, 9000, 5, 4], [3, 9000, 3, 3], Window::new(3)),
        conv("conv2d, many filters", [1, 3, 5, 4], [9000, 3, 3, 3], Window::new(3).padding(1)),
        conv("conv2d, many filters, strided", [1, 2, 9, 8], [9000, 2, 3, 3], Window::new(3).stride(2)),
        conv("conv2d, a wide picture", [2, 2, 3, 14_000], [2, 2, 3, 3], Window::new(3)),
        conv(
            "conv2d, far apart",
            [1, 2, 3, 4000],
            [3, 2, 1, 3],
            Window::new([1, 3]).stride([1, 90]).dilation([1, 300]),
        ),
        case("conv_transpose2d, many channels", &[&[1, 9000, 3, 4], &[9000, 2, 3, 3], &[2]], true, |g, i| {
            g.conv_transpose2d(i[0], i[1], Some(i[2]), Window::new(3).stride(2), 1, 1)
        }),
        case("conv_transpose2d, a large window", &[&[1, 30, 52, 50], &[30, 2, 50, 48]], false, |g, i| {
            g.conv_transpose2d(i[0], i[1], None, Window::new([50, 48]), 0, 1)
        }),
        case("matmul, long", &[&[2, 200_000], &[200_000, 3]], true, |g, i| g.matmul(i[0], i[1], false, false)),
        pool("max_pool2d, a large window", [1, 1, 160, 150], Window::new([130, 120]), MAX),
        pool("max_pool2d, a large window in padding", [1, 1, 270, 290], Window::new(280).padding(140).stride(100), MAX),
        pool("max_pool2d, one large window", [1, 2, 300, 290], Window::new([300, 290]), MAX),
        pool("max_pool2d, far apart", [1, 1, 300, 200], Window::new([140, 150]).dilation([2, 1]).stride([6, 4]), MAX),
        pool("avg_pool2d, a large window", [1, 2, 300, 290], Window::new([280, 270]), AVERAGE),
        pool(
            "avg_pool2d, in padding",
            [1, 1, 270, 290],
            Window::new(280).padding(Padding::all(140)).stride(100),
            AVERAGE,
        ),
        pool(
            "avg_pool2d, one large window, ceil mode",
            [1, 1, 301, 299],
            Window::new(299).stride(7).ceil_mode(true),
            AVERAGE,
        ),
        pool(
            "avg_pool2d, padding counts",
            [1, 1, 270, 290],
            Window::new(280).padding(140).stride(100),
            |g, x, window| g.avg_pool2d(x, window, true),
        ),
        pool("max_pool2d positions", [1, 2, 300, 290], Window::new([280, 270]).padding(9), |g, x, window| {
            Ok(g.max_pool2d_with_positions(x, window)?[1])
        })
        .forward(),
        case("adaptive_max_pool2d, few of many", &[&[2, 1, 2, 150_000]], true, |g, i| {
            g.adaptive_max_pool2d(i[0], [2, 2])
        }),
        case("adaptive_avg_pool2d, few of many", &[&[1, 2, 150_000, 2]], true, |g, i| {
            g.adaptive_avg_pool2d(i[0], [2, 2])
        }),
        case("adaptive_max_pool2d, many of few", &[&[1, 1, 2, 2]], true, |g, i| {
            g.adaptive_max_pool2d(i[0], [150_001, 2])
        }),
        case("adaptive_avg_pool2d, many of few", &[&[1, 1, 2, 2]], true, |g, i| {
            g.adaptive_avg_pool2d(i[0], [2, 150_001])
        }),
        labelled("count_correct, many classes", |g, i| g.count_correct(i[0], i[1])),
        labelled("softmax_cross_entropy, many classes", |g, i| g.softmax_cross_entropy(i[0], i[1])),
        case("global pooling", &[&[1, 2, 400, 300]], true, |g, i| g.global_avg_pool2d(i[0])),
        case("softmax, a long axis", &[&[2, 100_000]], true, |g, i| g.softmax(i[0], 1)),
        case("layer_norm, a long axis", &[&[2, 100_000]], true, |g, i| g.layer_norm(i[0], 1, Default::default(), 1e-5)),
        case("upsampling far", &[&[1, 1, 2, 2]], true, |g, i| {
            g.upsample(i[0], [3, 32_000], lenslet::ops::Upsampling::Bilinear)
        }),
        case("sum, many", &[&[3, 100_000]], true, |g, i| g.sum(i[0], &[], false)),
    ]
}

/// Too large for a test, but not for the count.
fn large() -> Vec<Case> {
    let beside = Padding::Explicit { top: 0, bottom: 0, left: 16_000, right: 16_000 };
    vec![
        conv("conv2d, a picture of one row", [1, 1, 1, 400_000], [1, 1, 1, 32_767], Window::new([1, 32_767])),
        pool("max_pool2d, the largest column", [1, 1, 40_000, 2], Window::new([32_767, 1]), MAX),
        pool("avg_pool2d, the largest row", [1, 1, 2, 40_000], Window::new([1, 32_767]).padding(beside), AVERAGE),
        pool("avg_pool2d, windows of a thousand", [1, 1, 1500, 1500], Window::new(1000), AVERAGE),
    ]
}

trait Forward {
    fn forward(self) -> Self;
}

impl Forward for Case {
    /// Without the gradient.
    fn forward(mut self) -> Self {
        self.backward = false;
        self
    }
}
