//! Cases of convolution, transposed convolution and their gradients.

use crate::{Padding, Window};

use crate::check::cases::{Case, case};

fn conv(name: &str, x: [usize; 4], w: [usize; 4], bias: bool, window: Window) -> Case {
    let k = [w[0]];
    let shapes: Vec<&[usize]> = if bias { vec![&x, &w, &k] } else { vec![&x, &w] };
    case(format!("conv2d {name}"), &shapes, move |g, i| g.conv2d(i[0], i[1], i.get(2).copied(), window))
}

/// A case with w `[K, C/groups, R, S]`.
fn grouped(name: &str, x: [usize; 4], w: [usize; 4], bias: bool, window: Window, groups: usize) -> Case {
    let k = [w[0]];
    let shapes: Vec<&[usize]> = if bias { vec![&x, &w, &k] } else { vec![&x, &w] };
    case(format!("conv2d groups, {name}"), &shapes, move |g, i| {
        g.conv2d_grouped(i[0], i[1], i.get(2).copied(), window, groups)
    })
}

/// A case of transposed convolution with w `[C, K/groups, R, S]`.
fn transposed(
    name: &str,
    x: [usize; 4],
    w: [usize; 4],
    bias: bool,
    window: Window,
    output_padding: [usize; 2],
    groups: usize,
) -> Case {
    let k = [w[1] * groups];
    let shapes: Vec<&[usize]> = if bias { vec![&x, &w, &k] } else { vec![&x, &w] };
    case(format!("conv_transpose2d {name}"), &shapes, move |g, i| {
        g.conv_transpose2d(i[0], i[1], i.get(2).copied(), window, output_padding, groups)
    })
}

pub fn all() -> Vec<Case> {
    plain().into_iter().chain(in_groups()).chain(transposes()).collect()
}

/// A window with stride, dilation and padding at once.
fn all_options() -> Window {
    let uneven = Padding::Explicit { top: 2, bottom: 0, left: 1, right: 3 };
    Window::new([3, 2]).dilation([2, 3]).stride([2, 3]).padding(uneven)
}

fn in_groups() -> Vec<Case> {
    let window = |size: usize| Window::new(size);
    vec![
        grouped("two", [2, 4, 5, 6], [6, 2, 3, 3], true, window(3), 2),
        grouped("pointwise", [2, 6, 3, 4], [9, 2, 1, 1], false, window(1), 3),
        grouped(
            "stride, same",
            [2, 6, 7, 6],
            [4, 3, 3, 2],
            true,
            Window::new([3, 2]).stride(2).padding(Padding::Same),
            2,
        ),
        grouped("same lower", [1, 4, 6, 7], [4, 2, 2, 4], false, Window::new([2, 4]).padding(Padding::SameLower), 2),
        grouped("crowded", [2, 4, 9, 10], [6, 2, 3, 2], true, all_options(), 2),
        grouped("over a tile", [2, 22, 6, 17], [18, 11, 3, 3], true, window(3).padding(1), 2).no_differences(),
        grouped("many", [3, 32, 9, 8], [64, 4, 3, 3], true, window(3).padding(1), 8).no_differences(),
        grouped("rows kept", [9, 4, 8, 9], [8, 2, 3, 3], true, window(3).padding(1), 2),
        grouped("depthwise", [2, 5, 6, 7], [5, 1, 3, 3], true, window(3).padding(1), 5),
        grouped("depthwise, multiplier 3", [2, 3, 6, 5], [9, 1, 3, 3], true, window(3).stride(2), 3),
        grouped("depthwise, crowded", [2, 3, 9, 10], [6, 1, 3, 2], true, all_options(), 3),
        grouped("depthwise, large", [2, 48, 28, 29], [48, 1, 5, 5], true, window(5).padding(2), 48).no_differences(),
        grouped("depthwise, window too large for a tile of taps", [1, 3, 14, 13], [3, 1, 12, 12], true, window(12), 3),
        grouped("depthwise, by fours", [2, 3, 9, 12], [3, 1, 3, 3], true, window(3).padding(1), 3),
        grouped("depthwise, one over a tile", [3, 2, 5, 20], [4, 1, 3, 3], false, window(3).padding(1), 2),
        grouped("depthwise, by fours, stride", [2, 2, 10, 20], [2, 1, 5, 6], true, Window::new([5, 6]).stride(2), 2),
        grouped(
            "depthwise, one row",
            [2, 3, 3, 4],
            [6, 1, 3, 3],
            true,
            window(3).padding(Padding::Explicit { top: 0, bottom: 0, left: 1, right: 1 }),
            3,
        ),
        grouped("depthwise, padding wider than the image", [1, 2, 2, 4], [2, 1, 3, 3], true, window(3).padding(5), 2),
        grouped("depthwise, dilation", [1, 4, 11, 16], [4, 1, 3, 3], true, window(3).dilation([2, 3]).padding(3), 4),
        grouped("depthwise, many parts", [40, 2, 61, 68], [2, 1, 3, 3], true, window(3).padding(1), 2).no_differences(),
        grouped("many rows a part", [64, 128, 3, 3], [512, 64, 1, 1], false, window(1), 2).no_differences(),
    ]
}

fn transposes() -> Vec<Case> {
    let window = |size: usize| Window::new(size);
    let uneven = Padding::Explicit { top: 2, bottom: 0, left: 1, right: 3 };
    vec![
        transposed("all ones", [1, 1, 1, 1], [1, 1, 1, 1], true, window(1), [0, 0], 1),
        transposed("plain", [2, 3, 4, 5], [3, 2, 3, 3], true, window(3), [0, 0], 1),
        transposed("stride", [2, 3, 4, 5], [3, 4, 3, 3], false, window(3).stride(2), [0, 0], 1),
        transposed(
            "stride, output padding",
            [2, 3, 4, 3],
            [3, 2, 3, 3],
            true,
            window(3).stride(2).padding(1),
            [1, 1],
            1,
        ),
        transposed("stride past the window", [1, 2, 4, 3], [2, 3, 2, 2], true, window(2).stride([3, 4]), [2, 3], 1),
        transposed(
            "same",
            [2, 2, 4, 5],
            [2, 3, 4, 3],
            true,
            Window::new([4, 3]).stride(2).padding(Padding::Same),
            [0, 0],
            1,
        ),
        transposed(
            "same lower, stride past the window",
            [1, 2, 3, 4],
            [2, 2, 2, 2],
            true,
            window(2).stride([3, 2]).padding(Padding::SameLower),
            [0, 0],
            1,
        ),
        transposed(
            "dilation, output padding past the stride",
            [2, 2, 4, 5],
            [2, 3, 3, 3],
            true,
            window(3).dilation([2, 3]).padding(uneven),
            [1, 2],
            1,
        ),
        transposed("padding to one row", [1, 2, 1, 3], [2, 2, 3, 3], true, window(3).padding(1), [0, 0], 1),
        transposed("crowded", [2, 4, 4, 3], [4, 3, 3, 2], true, all_options(), [1, 2], 2),
        transposed("groups", [2, 6, 4, 5], [6, 2, 3, 3], true, window(3).stride(2), [1, 0], 3),
        transposed("depthwise", [2, 4, 4, 5], [4, 1, 4, 4], false, window(4).stride(2).padding(1), [0, 0], 4),
        transposed("depthwise, multiplier 2", [2, 3, 4, 5], [3, 2, 3, 3], true, window(3), [0, 0], 3),
        transposed("primes", [3, 7, 11, 13], [7, 5, 3, 3], true, window(3).padding(1), [0, 0], 1).no_differences(),
        transposed("upsampling", [2, 32, 8, 8], [32, 16, 4, 4], true, window(4).stride(2).padding(1), [0, 0], 1)
            .no_differences(),
    ]
}

fn plain() -> Vec<Case> {
    let window = |size: usize| Window::new(size);
    let uneven = Padding::Explicit { top: 2, bottom: 0, left: 1, right: 3 };
    vec![
        conv("all ones", [1, 1, 1, 1], [1, 1, 1, 1], true, window(1)),
        conv("pointwise", [2, 5, 3, 7], [3, 5, 1, 1], false, window(1)),
        conv("lenet conv1", [5, 1, 28, 28], [6, 1, 5, 5], true, window(5).padding(2)).no_differences(),
        conv("lenet conv2", [3, 6, 14, 14], [16, 6, 5, 5], true, window(5)).no_differences(),
        conv("convnet conv3", [2, 64, 5, 5], [64, 64, 3, 3], true, window(3)).no_differences(),
        conv("blocks", [26, 37, 24, 27], [61, 37, 3, 3], true, window(3).padding(1)).no_differences(),
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
        conv("padding wider than the image", [1, 1, 2, 3], [2, 1, 3, 3], true, window(3).padding(5)),
        conv("dilation", [1, 2, 9, 11], [3, 2, 3, 3], true, window(3).dilation([2, 3])),
        conv(
            "dilation, stride, padding",
            [2, 2, 9, 10],
            [3, 2, 3, 2],
            true,
            Window::new([3, 2]).dilation([2, 3]).stride([2, 3]).padding(uneven),
        ),
        conv("ceil", [2, 2, 6, 9], [3, 2, 3, 2], true, Window::new([3, 2]).stride([2, 3]).ceil_mode(true)),
        conv("window of the image", [2, 3, 6, 5], [4, 3, 6, 5], true, Window::new([6, 5])),
        conv("window too large for a tile of taps", [1, 1, 14, 13], [2, 1, 12, 12], false, window(12)),
        conv("window too wide for a tile", [1, 1, 2, 520], [2, 1, 1, 514], true, Window::new([1, 514]))
            .no_differences(),
        conv("tiles, one filter", [2, 16, 6, 17], [1, 16, 3, 3], false, window(3)).no_differences(),
        conv("tiles, primes", [3, 17, 13, 19], [23, 17, 3, 3], true, window(3).padding(1)).no_differences(),
        conv("tiles, one over", [1, 17, 9, 17], [33, 17, 3, 3], true, window(3)).no_differences(),
        conv("tiles, one output", [5, 16, 3, 3], [16, 16, 3, 3], false, window(3)).no_differences(),
        conv("tiles, one row", [2, 20, 1, 31], [18, 20, 3, 3], true, window(3).padding(1)).no_differences(),
        conv("tiles, uneven padding", [2, 16, 7, 6], [17, 16, 3, 3], true, window(3).padding(uneven)).no_differences(),
        conv("tiles, padding wider than the image", [1, 16, 2, 3], [16, 16, 3, 3], false, window(3).padding(5))
            .no_differences(),
        conv("rows kept", [9, 1, 9, 11], [5, 1, 3, 3], true, window(3).padding(1)),
        conv("rows kept, channels", [8, 3, 7, 10], [4, 3, 2, 3], false, Window::new([2, 3]).padding(uneven)),
        conv("rows kept, ragged columns", [3, 1, 6, 31], [4, 1, 3, 3], true, window(3)),
        conv("rows kept, wide steps", [9, 2, 8, 15], [6, 2, 3, 2], true, {
            Window::new([3, 2]).stride([1, 2]).dilation([1, 3]).padding(uneven)
        }),
        conv("rows kept, inside", [8, 1, 12, 11], [6, 1, 5, 5], true, window(5)).no_differences(),
        conv("rows kept, one part", [136, 1, 9, 6], [5, 1, 3, 3], true, window(3).padding(1)).no_differences(),
        conv("rows kept, the other way", [9, 5, 9, 11], [1, 5, 3, 3], true, window(3).padding(1)),
        conv("rows kept, padding wider than the image", [9, 1, 2, 3], [4, 1, 3, 3], false, window(3).padding(5)),
        conv("deep", [1, 2600, 3, 3], [9, 2600, 3, 3], false, window(3)).no_differences(),
        conv("deep, the other way", [1, 9, 3, 3], [2600, 9, 3, 3], false, window(3)).no_differences(),
        conv("many workgroups", [260, 1, 130, 127], [1, 1, 1, 1], false, window(1)).forward_only(),
    ]
}
