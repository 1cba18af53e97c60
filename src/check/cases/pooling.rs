//! Pooling and its gradients.

use crate::{Graph, NodeId, Padding, Window};

use super::{Case, Fill, case};

pub fn all() -> Vec<Case> {
    let shapes: Vec<(&str, [usize; 4], Window)> = vec![
        ("lenet pool1", [3, 6, 28, 28], Window::new(2).stride(2)),
        ("one", [1, 1, 1, 1], Window::new(1)),
        ("overlapping", [2, 3, 7, 9], Window::new(3).stride(2)),
        ("overlapping rows", [1, 2, 8, 5], Window::new([3, 2]).stride([1, 2])),
        ("gapped", [2, 2, 11, 13], Window::new(2).stride([3, 5])),
        ("remainder", [1, 3, 7, 5], Window::new(2).stride(2)),
        ("padded", [2, 2, 6, 7], Window::new(3).stride(2).padding(1)),
        (
            "uneven padding",
            [1, 2, 6, 7],
            Window::new([4, 3]).stride([3, 2]).padding(Padding::Explicit { top: 2, bottom: 1, left: 0, right: 2 }),
        ),
        ("same", [1, 2, 7, 8], Window::new(3).stride(2).padding(Padding::Same)),
        ("dilated", [2, 1, 9, 8], Window::new(3).dilation(2).stride(1)),
        ("global", [3, 5, 6, 7], Window::new([6, 7])),
    ];
    let mut cases = vec![];
    for (name, x, window) in shapes {
        let max = |kind: &str| case(format!("max_pool2d {name}{kind}"), &[&x], move |g, i| g.max_pool2d(i[0], window));
        cases.extend([max(""), max(", ties").fill(Fill::Ties), max(", special").fill(Fill::Special)]);
        for (what, counted) in [("", true), (", padding not counted", false)] {
            cases
                .push(case(format!("avg_pool2d {name}{what}"), &[&x], move |g, i| g.avg_pool2d(i[0], window, counted)));
        }
    }
    let window = Window::new(1);
    let many = move |g: &mut Graph, i: &[NodeId]| g.max_pool2d(i[0], window);
    cases.push(case("max_pool2d many workgroups", &[&[1, 1, 2049, 2048]], many).forward_only());
    cases
}
