"""Pooling of every kind, and unpooling."""

import torch
import torch.nn.functional as F

from record import add, draw, single

from windows import SAME, SAME_LOWER, VALID, every_window, is_native, padded, place, under, window

SIZES, STRIDES = [(2, 2), (3, 2), (2, 3), (3, 3)], [(1, 1), (2, 2), (3, 2), (2, 3)]
DILATIONS = [(1, 1), (2, 1), (1, 2)]
PADDINGS = [VALID, SAME, SAME_LOWER, (1, 0, 1, 1), (1, 1, 1, 1)]


def has_taps_inside(options, over):
    """Whether there is a window and every window has a tap inside the image."""
    return place(options, over) and bool((under(torch.ones(1, 1, *over), options).sum(2) > 0).all())


def max_pool(options, with_positions=False):
    def function(x):
        size, stride, dilation = options["size"], options["stride"], options["dilation"]
        ceil, (top, _, left, _) = options.get("ceil_mode", False), options["sides"]
        height, width = x.shape[2:]
        if is_native(options, size):
            y, positions = F.max_pool2d(x, size, stride, (top, left), dilation, ceil, return_indices=True)
        else:
            (p, q), (down, right) = place(options, (height, width))
            sides = [n + more for n, more in zip(options["sides"], (0, down, 0, right))]
            bare = padded(x, sides, -torch.inf)
            y, found = F.max_pool2d(bare, size, stride, 0, dilation, return_indices=True)
            y, found = y[..., :p, :q], found[..., :p, :q]
            positions = (found // bare.shape[3] - top) * width + found % bare.shape[3] - left
        return (y, {"positions": positions}) if with_positions else y

    return function


def max_pools():
    size = (9, 8)
    kinds, strides = [(2, 2), (3, 2), (3, 3)], [(1, 1), (2, 2), (3, 4)]
    for options in every_window(kinds, strides, [(1, 1), (2, 1)], [VALID, SAME, SAME_LOWER, (1, 0, 1, 1)], size):
        add("max_pool2d", [((2, 2, *size), "spread")], max_pool(options), options)
    # The first of equal maxima gets the gradient.
    for stride in [(1, 1), (2, 2), (3, 3)]:
        options = window((3, 3), stride)
        add("max_pool2d", [((2, 3, *size), "ties")], max_pool(options), options)
    lists = dict(size=SIZES, stride=STRIDES, dilation=DILATIONS, padding=PADDINGS, ceil=[False, True])
    for one in draw(50, 3, **lists, kind=["spread", "ties"]):
        kind = one.pop("kind")
        options = window(**one, over=size)
        if has_taps_inside(options, size):
            add("max_pool2d_with_positions", [((1, 3, *size), kind)], max_pool(options, True), options)


def avg_pool(options, counted):
    def function(x):
        size, stride, sides = options["size"], options["stride"], options["sides"]
        if options["dilation"] == (1, 1) and is_native(options, size):
            ceil = options.get("ceil_mode", False)
            return F.avg_pool2d(x, size, stride, (sides[0], sides[2]), ceil, counted)
        image = torch.ones(1, 1, *x.shape[2:])
        inside = under(image, options)
        if counted:
            # Padding counts; the overhang of ceil mode does not.
            inside = under(padded(image, sides, 1.0), options, over=x.shape[2:])
        return under(x, options).sum(2) / inside.sum(2).clamp(min=1)

    return function


def avg_pools():
    size = (9, 8)
    kinds, strides = [(2, 2), (3, 2), (3, 3)], [(1, 1), (2, 2), (3, 4)]
    for options in every_window(kinds, strides, [(1, 1)], [VALID, SAME, SAME_LOWER, (1, 0, 1, 1)], size):
        for counted in (True, False):
            named = {**options, "count_include_pad": counted}
            add("avg_pool2d", [((2, 2, *size), "any")], avg_pool(options, counted), named)
    lists = dict(size=SIZES, stride=STRIDES, dilation=DILATIONS, padding=PADDINGS, ceil=[False, True, True])
    for one in draw(60, 4, **lists, counted=[True, False]):
        counted = one.pop("counted")
        options = window(**one, over=size)
        if place(options, size):
            named = {**options, "count_include_pad": counted}
            add("avg_pool2d", [((1, 3, *size), "any")], avg_pool(options, counted), named)


def lp_pool(options, p):
    def function(x):
        if options["sides"] == [0, 0, 0, 0] and options["dilation"] == (1, 1):
            return F.lp_pool2d(x, p, options["size"], options["stride"], options.get("ceil_mode", False))
        taps = options["size"][0] * options["size"][1]
        return (avg_pool(options, True)(x.pow(p)) * taps).pow(1 / p)

    return function


def lp_pools():
    size = (7, 8)
    lists = dict(size=SIZES, stride=STRIDES, dilation=DILATIONS, padding=[VALID, VALID, SAME, (1, 0, 1, 1)])
    for one in draw(40, 5, **lists, ceil=[False, True], p=[1, 1.5, 2, 3, 4.25]):
        p = one.pop("p")
        options = window(**one, over=size)
        if has_taps_inside(options, size):
            kind = "any" if p == 2 else "positive"
            add("lp_pool2d", [((1, 2, *size), kind)], lp_pool(options, single(p)), {**options, "p": p})


def adaptive():
    for height, width, to in [
        (7, 5, (3, 2)), (7, 5, (1, 1)), (7, 5, (7, 5)), (7, 5, (9, 11)), (7, 5, (1, 4)), (8, 6, (4, 3)),
        (5, 9, (4, 1)), (3, 10, (2, 7)), (1, 6, (3, 4)), (6, 6, (6, 2)),
    ]:
        x = (2, 2, height, width)
        for kind in ("spread", "ties"):
            add("adaptive_max_pool2d", [(x, kind)], lambda x: F.adaptive_max_pool2d(x, to), {"to": to})
        add("adaptive_avg_pool2d", [(x, "any")], lambda x: F.adaptive_avg_pool2d(x, to), {"to": to})
    for x in [(2, 3, 5, 7), (1, 4, 1, 9), (3, 1, 12, 11)]:
        add("global_max_pool2d", [(x, "spread")], lambda x: F.adaptive_max_pool2d(x, 1))
        add("global_avg_pool2d", [(x, "any")], lambda x: F.adaptive_avg_pool2d(x, 1))


def across_channels():
    for shape, size, stride in [
        ((2, 7, 3, 4), 3, 2), ((2, 7, 3, 4), 2, 1), ((1, 6, 2, 5), 2, 2), ((2, 4, 3, 3), 4, 1), ((1, 9, 4, 2), 2, 4),
        ((2, 5, 1, 3), 1, 2),
    ]:
        options = {"size": size, "stride": stride}
        window, step = (size, 1, 1), (stride, 1, 1)
        for kind in ("spread", "ties"):
            add("max_pool_channels", [(shape, kind)], lambda x: F.max_pool3d(x[:, None], window, step)[:, 0], options)
        add("avg_pool_channels", [(shape, "any")], lambda x: F.avg_pool3d(x[:, None], window, step)[:, 0], options)


def unpool():
    for size, stride, padding, (height, width) in [
        ((2, 2), (2, 2), (0, 0), (8, 6)), ((2, 2), (2, 2), (0, 0), (7, 9)), ((2, 3), (2, 3), (0, 0), (6, 10)),
        ((3, 2), (3, 3), (0, 0), (9, 8)), ((3, 3), (3, 3), (1, 1), (7, 8)), ((2, 2), (3, 2), (1, 0), (7, 6)),
    ]:
        options = window(size, stride, padding=(padding[0], padding[0], padding[1], padding[1]))
        to = (height, width)
        image = (2, 2, *to)

        def back(x, v=None):
            y, positions = F.max_pool2d(x, size, stride, padding, return_indices=True)
            return F.max_unpool2d(y if v is None else v, positions, size, stride, padding, to)

        values = (2, 2, *place(options, to)[0])
        add("max_unpool2d", [(image, "spread"), (values, "any")], back, {**options, "to": to}, wrt=[1])
        add("max_unpool2d", [(image, "spread")], back, {**options, "to": to})


def add_all():
    max_pools()
    avg_pools()
    lp_pools()
    adaptive()
    across_channels()
    unpool()
