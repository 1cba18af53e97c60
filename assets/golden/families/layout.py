"""Operations that move values: reshaping, slicing, padding, concatenation, resizing."""

import itertools

import torch
import torch.nn.functional as F

from record import add, single


def views():
    for shape, axes in [((3, 5), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((2, 3, 4, 5), (0, 2, 3, 1)), ((2, 1, 3, 2, 2), (4, 2, 1, 0, 3))]:
        add("transpose", [(shape, "any")], lambda x: x.permute(axes), {"axes": axes})
    for shape, to in [((3, 1), (2, 3, 4)), ((), (5,)), ((1, 4), (3, 4)), ((3, 4), (1, 1, 3, 4))]:
        add("broadcast_to", [(shape, "any")], lambda x: x.expand(to), {"to": to})
        add("sum_to", [(to, "any")], lambda x: x.sum_to_size(shape), {"to": shape})
    add("reshape", [((2, 3, 4), "any")], lambda x: x.reshape(6, 4), {"to": (6, 4)})
    add("flatten", [((2, 3, 4), "any")], lambda x: x.flatten(1))
    add("copy", [((2, 3, 4), "any")], torch.clone)
    # Ranges at multiples of 64 are views, others are copied.
    for offset, to in [(4, (2, 3)), (0, (10,)), (64, (4, 2)), (71, ())]:
        def part(x):
            return x[offset : offset + torch.Size(to).numel()].reshape(to)

        add("slice_flat", [((72,), "any")], part, {"offset": offset, "to": to}, wrt=[])
    for shapes, offsets, total in [
        (((2, 3), (4,)), (5, 0), 12), (((3,),), (0,), 3), (((), (2, 2), (1,)), (1, 4, 2), 9),
        (((2, 2), (64,), (3,)), (64, 0, 128), 140),
    ]:
        def pack(*parts):
            y = torch.zeros(total)
            for offset, part in zip(offsets, parts):
                y[offset : offset + part.numel()] = part.flatten()
            return y

        add("pack", [(shape, "any") for shape in shapes], pack, {"offsets": offsets, "total": total}, wrt=[])


def parts():
    # Cuts are axis, start, end, step.
    for shape, cuts in [
        ((9,), [(0, 2, 7, 1)]), ((9,), [(0, 0, 9, 2)]), ((9,), [(0, 1, 9, 3)]), ((4, 6), [(1, 1, 6, 2)]),
        ((4, 6), [(0, 1, 3, 1), (1, 0, 5, 4)]), ((2, 3, 5, 4), [(2, 1, 5, 2), (3, 0, 4, 3)]), ((2, 3, 5, 4), [(1, 2, 3, 1)]),
        ((2, 3, 5, 4), [(3, 1, 4, 2), (0, 1, 2, 1), (2, 0, 5, 3)]), ((3, 4, 2), [(0, 0, 3, 5)]), ((3, 4, 2), []),
    ]:
        def cut(x):
            index = [slice(None)] * x.ndim
            for axis, start, end, step in cuts:
                index[axis] = slice(start, end, step)
            return x[tuple(index)]

        add("slice", [(shape, "any")], cut, {"cuts": cuts})


def wholes():
    for shapes, axis in [
        (((3,), (5,)), 0), (((2, 3), (2, 1), (2, 4)), 1), (((1, 4), (3, 4)), 0), (((2, 3, 4, 2), (2, 2, 4, 2)), 1),
        (((2, 3, 2, 2), (2, 3, 5, 2), (2, 3, 1, 2)), 2), (((2, 2, 3, 1), (2, 2, 3, 4)), 3), (((4, 2),), 1),
        (((1, 2), (2, 2), (3, 2), (1, 2), (2, 2), (1, 2), (2, 2), (1, 2), (1, 2)), 0),
    ]:
        add("concat", [(shape, "any") for shape in shapes], lambda *parts: torch.cat(parts, axis), {"axis": axis})
    for shape, sides, value in [
        ((5,), [(2, 3)], 0.0), ((3, 4), [(0, 1), (2, 0)], 1.5), ((2, 3, 4), [(0, 0), (1, 1), (0, 3)], -0.7),
        ((2, 2, 3, 3), [(0, 0), (0, 0), (1, 2), (3, 0)], 0.0), ((2, 1, 2, 3), [(1, 0), (2, 1), (0, 1), (1, 1)], 2.0),
        ((3, 2), [(0, 0), (0, 0)], 1.0),
    ]:
        flat = [side for pair in reversed(sides) for side in pair]
        add("pad", [(shape, "any")], lambda x: F.pad(x, flat, value=single(value)), {"sides": sides, "value": value})


def images():
    sizes = [
        ((3, 4), (6, 8)), ((3, 4), (5, 9)), ((5, 3), (5, 7)), ((2, 5), (7, 5)), ((1, 1), (3, 4)), ((4, 6), (9, 15)),
        ((8, 6), (4, 3)), ((7, 5), (3, 2)), ((3, 7), (10, 4)), ((4, 4), (4, 4)),
    ]
    for (given, to), how in itertools.product(sizes, ["nearest", "bilinear"]):
        corners = False if how == "bilinear" else None
        resize = lambda x: F.interpolate(x, to, mode=how, align_corners=corners)
        add("upsample", [((2, 2, *given), "any")], resize, {"to": to, "how": how})
    for factor, how in itertools.product([(2, 2), (3, 1), (1, 4), (3, 5)], ["nearest", "bilinear"]):
        corners = False if how == "bilinear" else None
        resize = lambda x: F.interpolate(x, scale_factor=factor, mode=how, align_corners=corners)
        add("upsample_by", [((1, 2, 3, 4), "any")], resize, {"factor": factor, "how": how})


def add_all():
    views()
    parts()
    wholes()
    images()
