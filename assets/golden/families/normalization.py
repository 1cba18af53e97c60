"""Normalization: batch (training, with running averages, and evaluation), layer, group, instance, RMS, local."""

import itertools

import torch
import torch.nn.functional as F

from record import add, draw, single

# Presence of weight and bias.
AFFINE = {"none": (False, False), "weight": (True, False), "bias": (False, True), "both": (True, True)}
CHANNELS_OF = [(4, 3), (2, 3, 5), (2, 4, 3, 3), (1, 2, 4, 5)]


def split(affine, rest):
    """Weight and bias, None if absent, and the remaining operands."""
    rest = list(rest)
    w, b = (rest.pop(0) if there else None for there in AFFINE[affine])
    return w, b, rest


def operands(affine, shape):
    return [(shape, "any") for there in AFFINE[affine] if there]


def of_batches():
    tried = draw(28, 6, shape=CHANNELS_OF, affine=list(AFFINE), tracked=[True, False], momentum=[0.1, 0.5], epsilon=[1e-5, 1e-3])
    for one in tried:
        shape, affine = one.pop("shape"), one["affine"]
        c = shape[1]
        momentum, epsilon = single(one["momentum"]), single(one["epsilon"])

        def train(x, *rest):
            w, b, running = split(affine, rest)
            if not running:
                return F.batch_norm(x, None, None, w, b, True, momentum, epsilon)
            mean, variance = running[0].clone()
            y = F.batch_norm(x, mean, variance, w, b, True, momentum, epsilon)
            return y, {"running": torch.stack([mean, variance])}

        inputs = [(shape, "any"), *operands(affine, (c,))]
        inputs += [((2, c), "positive", "variable")] if one["tracked"] else []
        add("batch_norm", inputs, train, one)
    for shape, affine, epsilon in itertools.product(CHANNELS_OF, AFFINE, [1e-5, 1e-2]):
        def infer(x, *rest):
            w, b, ((mean, variance),) = split(affine, rest)
            return F.batch_norm(x, mean, variance, w, b, False, 0.1, single(epsilon))

        inputs = [(shape, "any"), *operands(affine, (shape[1],)), ((2, shape[1]), "positive")]
        options = {"affine": affine, "epsilon": epsilon}
        add("batch_norm_inference", inputs, infer, options, wrt=list(range(len(inputs) - 1)))


def of_images():
    rows = [((2, 3, 4, 5), 1), ((2, 3, 4, 5), 3), ((6, 7), 1), ((3, 4), 0), ((2, 140), 1)]
    for (shape, axis), affine in itertools.product(rows, AFFINE):
        extents = shape[axis:]
        epsilon = 1e-3 if axis == 3 else 1e-5

        def layer(x, *rest):
            w, b, _ = split(affine, rest)
            return F.layer_norm(x, extents, w, b, single(epsilon))

        options = {"affine": affine, "axis": axis, "epsilon": epsilon}
        add("layer_norm", [(shape, "any"), *operands(affine, extents)], layer, options)
        if affine in ("none", "weight"):
            rms = lambda x, w=None: F.rms_norm(x, extents, w, single(epsilon))
            add("rms_norm", [(shape, "any"), *operands(affine, extents)], rms, options)
    for (shape, groups), affine in itertools.product([((2, 6, 3, 2), 3), ((3, 4, 5), 1), ((2, 4, 3, 3), 4), ((3, 6), 2)], AFFINE):
        def group(x, *rest):
            w, b, _ = split(affine, rest)
            return F.group_norm(x, groups, w, b, single(1e-5))

        options = {"affine": affine, "groups": groups, "epsilon": 1e-5}
        add("group_norm", [(shape, "any"), *operands(affine, (shape[1],))], group, options)
    for shape, affine in itertools.product([(2, 3, 4, 5), (3, 2, 7)], AFFINE):
        def instance(x, *rest):
            w, b, _ = split(affine, rest)
            return F.instance_norm(x, weight=w, bias=b, eps=single(1e-5))

        options = {"affine": affine, "epsilon": 1e-5}
        add("instance_norm", [(shape, "any"), *operands(affine, (shape[1],))], instance, options)


def of_adjacent_channels():
    tried = draw(
        18, 7, shape=[(2, 7, 3, 2), (2, 5, 4), (1, 3, 2, 2)], size=[1, 2, 3, 4, 5], alpha=[1e-4, 0.5], beta=[0.75, 0.5, 1.0],
        k=[1.0, 2.0],
    )
    for one in tried:
        shape, size, constants = one.pop("shape"), one["size"], [single(one[key]) for key in ("alpha", "beta", "k")]
        add("local_response_norm", [(shape, "away")], lambda x: F.local_response_norm(x, size, *constants), one)


def add_all():
    of_batches()
    of_images()
    of_adjacent_channels()
