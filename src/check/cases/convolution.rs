//! Convolution and its gradients.

use crate::{Padding, Window};

use super::{Case, case};

fn conv(name: &str, x: [usize; 4], w: [usize; 4], bias: bool, window: Window) -> Case {
    let k = [w[0]];
    let shapes: Vec<&[usize]> = if bias { vec![&x, &w, &k] } else { vec![&x, &w] };
    case(format!("conv2d {name}"), &shapes, move |g, i| g.conv2d(i[0], i[1], i.get(2).copied(), window))
}

pub fn all() -> Vec<Case> {
    let window = |size: usize| Window::new(size);
    let uneven = Padding::Explicit { top: 2, bottom: 0, left: 1, right: 3 };
    vec![
        conv("all ones", [1, 1, 1, 1], [1, 1, 1, 1], true, window(1)),
        conv("pointwise", [2, 5, 3, 7], [3, 5, 1, 1], false, window(1)),
        conv("lenet conv1", [5, 1, 28, 28], [6, 1, 5, 5], true, window(5).padding(2)).no_differences(),
        conv("lenet conv2", [3, 6, 14, 14], [16, 6, 5, 5], true, window(5)).no_differences(),
        conv("convnet conv3", [2, 64, 5, 5], [64, 64, 3, 3], true, window(3)).no_differences(),
        conv("primes", [3, 5, 11, 13], [7, 5, 3, 3], true, window(3)).no_differences(),
        conv("one over a tile", [1, 2, 6, 17], [9, 2, 3, 3], false, window(3)),
        conv("stride", [2, 3, 9, 10], [4, 3, 3, 3], true, window(3).stride(2)),
        conv("stride past the window", [1, 2, 11, 9], [2, 2, 2, 2], true, window(2).stride([3, 4])),
        conv("same", [2, 2, 7, 6], [3, 2, 4, 2], true, Window::new([4, 2]).padding(Padding::Same)),
        conv(
            "same lower, stride",
            [1, 2, 8, 7],
            [3, 2, 3, 2],
            false,
            Window::new([3, 2]).stride(2).padding(Padding::SameLower),
        ),
        conv("uneven padding", [2, 2, 5, 6], [2, 2, 3, 4], true, Window::new([3, 4]).padding(uneven)),
        conv("padding wider than the picture", [1, 1, 2, 3], [2, 1, 3, 3], true, window(3).padding(5)),
        conv("dilation", [1, 2, 9, 11], [3, 2, 3, 3], true, window(3).dilation([2, 3])),
        conv(
            "dilation, stride, padding",
            [2, 2, 9, 10],
            [3, 2, 3, 2],
            true,
            Window::new([3, 2]).dilation([2, 3]).stride([2, 3]).padding(uneven),
        ),
        conv("window of the picture", [2, 3, 6, 5], [4, 3, 6, 5], true, Window::new([6, 5])),
        conv("window too large for a tile of taps", [1, 1, 14, 13], [2, 1, 12, 12], false, window(12)),
        conv("many workgroups", [260, 1, 130, 127], [1, 1, 1, 1], false, window(1)).forward_only(),
    ]
}
