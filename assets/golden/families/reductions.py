"""Sums, means and maxima over axes; softmax and log-softmax."""

import itertools

import torch.nn.functional as F

from record import add


def add_all():
    shapes = [((7,), (0,)), ((3, 5), (1,)), ((2, 3, 4, 5), (0, 2, 3)), ((2, 3, 4, 5), (1, 3)), ((2, 3, 4), (0, 1, 2))]
    for (shape, axes), keep in itertools.product(shapes, [False, True]):
        options = {"axes": axes, "keep": keep}
        add("sum", [(shape, "any")], lambda x: x.sum(axes, keepdim=keep), options)
        add("mean", [(shape, "any")], lambda x: x.mean(axes, keepdim=keep), options)
        add("max", [(shape, "spread")], lambda x: x.amax(axes, keepdim=keep), options)
    # The first of equal maxima gets the gradient.
    for (shape, axis), keep in itertools.product([((9,), 0), ((4, 11), 1), ((3, 8, 5), 1), ((12, 3), 0)], [False, True]):
        add("max", [(shape, "ties")], lambda x: x.max(axis, keepdim=keep).values, {"axes": (axis,), "keep": keep})
    lines = [((4, 10), 1), ((3, 5, 2), 1), ((6, 3), 0), ((1, 1), 1)]
    for (shape, axis), kind in itertools.product(lines, ["any", "large"]):
        add("softmax", [(shape, kind)], lambda x: F.softmax(x, axis), {"axis": axis})
    lines += [((2, 3, 4, 5), 0), ((2, 3, 4, 5), 1), ((2, 3, 4, 5), 3), ((7,), 0), ((2, 150), 1)]
    for (shape, axis), kind in itertools.product(lines, ["any", "large"]):
        add("log_softmax", [(shape, kind)], lambda x: F.log_softmax(x, axis), {"axis": axis})
