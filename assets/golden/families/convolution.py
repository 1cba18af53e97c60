"""Convolution and transposed convolution: every option, then the options mixed."""

import torch.nn.functional as F

from record import add, draw

from windows import SAME, SAME_LOWER, VALID, every_window, is_native, padded, place, window

# Groups, channels, filters: one group, two, depthwise, depthwise with a channel multiplier.
PLAIN, TWO, DEPTHWISE, MULTIPLIED, TRIPLED, UNEVEN = (1, 3, 4), (2, 4, 6), (4, 4, 4), (3, 3, 6), (2, 2, 6), (3, 6, 3)


def convolve(options, groups=1):
    def function(x, w, b=None):
        stride, dilation, sides = options["stride"], options["dilation"], options["sides"]
        if is_native(options):
            return F.conv2d(x, w, b, stride, (sides[0], sides[2]), dilation, groups)
        return F.conv2d(padded(x, sides), w, b, stride, 0, dilation, groups)

    return function


def shapes(batch, size, channels, options, bias):
    groups, c, k = channels
    operands = [((batch, c, *size), "any"), ((k, c // groups, *options["size"]), "any"), ((k,), "any")]
    return operands if bias else operands[:2]


def plain():
    size = (7, 8)
    kinds, strides, dilations = [(1, 1), (3, 3), (3, 2)], [(1, 1), (2, 2), (1, 3)], [(1, 1), (2, 1), (2, 3)]
    for options in every_window(kinds, strides, dilations, [VALID, SAME, SAME_LOWER, (2, 0, 1, 3)], size):
        add("conv2d", shapes(2, size, PLAIN, options, True), convolve(options), options)
    for batch, size, channels, extent, padding in [
        (1, (5, 17), (1, 3, 9), (3, 3), SAME),
        (1, (4, 31), (1, 1, 17), (2, 5), (1, 1, 2, 2)),
        (5, (3, 3), (1, 9, 2), (3, 3), VALID),
        (2, (1, 16), (1, 4, 8), (1, 4), (0, 0, 3, 0)),
    ]:
        options = window(extent, padding=padding, over=size)
        add("conv2d", shapes(batch, size, channels, options, False), convolve(options), options)


def grouped():
    size = (7, 9)
    mixed = draw(
        90,
        1,
        size=[(1, 1), (3, 3), (3, 2), (2, 4), (4, 1)],
        stride=[(1, 1), (2, 2), (1, 3), (3, 2)],
        dilation=[(1, 1), (2, 1), (1, 2), (2, 3)],
        padding=[VALID, SAME, SAME_LOWER, (2, 0, 1, 3), (0, 3, 4, 1), (1, 1, 2, 2)],
        channels=[PLAIN, TWO, DEPTHWISE, MULTIPLIED, TRIPLED, UNEVEN],
        bias=[True, False],
    )
    for one in mixed:
        channels, bias = one.pop("channels"), one.pop("bias")
        options = window(**one, over=size)
        if place(options, size):
            operands = shapes(1, size, channels, options, bias)
            add("conv2d_grouped", operands, convolve(options, channels[0]), {**options, "groups": channels[0]})


def transposed_size(options, extra, size):
    """Rows and columns of a transposed convolution's output."""
    if options["padding"] in (SAME, SAME_LOWER):
        return [n * s for n, s in zip(size, options["stride"])]
    full = [(n - 1) * s + d * (w - 1) + 1 for n, s, d, w in zip(size, *(options[k] for k in ("stride", "dilation", "size")))]
    top, bottom, left, right = options["sides"]
    return [full[0] - top - bottom + extra[0], full[1] - left - right + extra[1]]


def transpose(options, extra, groups, to):
    def function(x, w, b=None):
        stride, dilation, (top, _, left, _) = options["stride"], options["dilation"], options["sides"]
        if options["padding"] in (VALID, "explicit") and is_native(options):
            return F.conv_transpose2d(x, w, b, stride, (top, left), extra, groups, dilation)
        # The full output, padded with zeros where the result is larger; then the part that padding does not crop.
        full = F.conv_transpose2d(x, w, None, stride, 0, 0, groups, dilation)
        missing = [max(begin + n - had, 0) for begin, n, had in zip((top, left), to, full.shape[2:])]
        y = padded(full, (0, missing[0], 0, missing[1]))[:, :, top : top + to[0], left : left + to[1]]
        return y if b is None else y + b[:, None, None]

    return function


def transposed():
    size = (4, 5)
    mixed = draw(
        110,
        2,
        size=[(1, 1), (3, 3), (3, 2), (2, 4)],
        stride=[(1, 1), (2, 2), (3, 2), (1, 3)],
        dilation=[(1, 1), (2, 1), (1, 3)],
        padding=[VALID, SAME, SAME_LOWER, (1, 1, 1, 1), (1, 0, 2, 1)],
        extra=[(0, 0), (1, 0), (1, 1), (0, 2)],
        channels=[PLAIN, TWO, DEPTHWISE, MULTIPLIED, UNEVEN],
        bias=[True, False],
    )
    for one in mixed:
        extra, (groups, c, k), bias = one.pop("extra"), one.pop("channels"), one.pop("bias")
        options = window(**one, over=[n * s for n, s in zip(size, one["stride"])])
        is_same = options["padding"] in (SAME, SAME_LOWER)
        if any(e >= max(s, d) or is_same and e for e, s, d in zip(extra, options["stride"], options["dilation"])):
            continue
        to = transposed_size(options, extra, size)
        if min(to) < 1:
            continue
        operands = [((2, c, *size), "any"), ((c, k // groups, *options["size"]), "any"), ((k,), "any")]
        function = transpose(options, extra, groups, to)
        add("conv_transpose2d", operands if bias else operands[:2], function,
            {**options, "groups": groups, "output_padding": extra})


def add_all():
    plain()
    grouped()
    transposed()
