"""Scalar functions, arithmetic with broadcasting, standardization and scaling."""

import itertools

import torch
import torch.nn.functional as F

from record import add, single


def huber(x, delta):
    return F.huber_loss(x, torch.zeros_like(x), reduction="none", delta=delta)


# The functions with their inputs and parameters, named as in src/ops/elementwise/scalars.rs.
SCALARS = {
    "relu": (torch.relu, ["away", "wide"]),
    "relu6": (F.relu6, ["away", "wide"]),
    "leaky_relu": (F.leaky_relu, ["away", "wide"], [0.01, 0.3, 0.0]),
    "elu": (F.elu, ["away", "wide"], [1.0, 0.5, 2.0]),
    "selu": (F.selu, ["away", "any", "wide"]),
    "gelu": (F.gelu, ["away", "any", "wide"]),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), ["away", "any", "wide"]),
    "silu": (F.silu, ["away", "any", "wide"]),
    "hard_swish": (F.hardswish, ["away", "any", "wide"]),
    "softplus": (lambda x: torch.logaddexp(x, torch.zeros_like(x)), ["away", "any", "wide"]),
    "sigmoid": (torch.sigmoid, ["away", "any", "wide"]),
    "tanh": (torch.tanh, ["away", "any", "wide"]),
    "exp": (torch.exp, ["away", "any"]),
    "log": (torch.log, ["positive", "share"]),
    "sqrt": (torch.sqrt, ["positive", "share"]),
    "square": (torch.square, ["any", "wide"]),
    "abs": (torch.abs, ["away", "wide"]),
    "neg": (torch.neg, ["any"]),
    "huber": (huber, ["any", "wide"], [1.0, 0.5, 2.5]),
}
BINARY = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}


def scalars():
    for name, (f, kinds, *parameters) in SCALARS.items():
        for kind in kinds:
            if parameters:
                for a in parameters[0]:
                    add(name, [((3, 17), kind)], lambda x: f(x, single(a)), {"parameter": a})
            else:
                add(name, [((3, 17), kind)], f)
        a = parameters[0][0] if parameters else None
        add(name, [((), kinds[0])], f if a is None else lambda x: f(x, single(a)), {} if a is None else {"parameter": a})


def arithmetic():
    pairs = [((), ()), ((7,), (7,)), ((2, 3), ()), ((3, 1, 5), (4, 1)), ((2, 3, 4), (3, 1)), ((1, 2, 1, 3), (2, 1, 4, 1))]
    for (name, f), (a, b) in itertools.product(BINARY.items(), pairs):
        add(name, [(a, "away"), (b, "away")], f)
    for factor, shape in itertools.product([-1.0, 0.3], [(5, 7), ()]):
        add("scale", [(shape, "any")], lambda x: single(factor) * x, {"factor": factor})


def slopes():
    for x, slopes in [((2, 3, 4, 5), 3), ((2, 3, 4, 5), 1), ((6, 4), 4), ((3, 5, 7), 5), ((9,), 1), ((1, 1, 3, 3), 1)]:
        for kind in ("away", "any"):
            add("prelu", [(x, kind), ((slopes,), "any")], F.prelu)


def clips():
    for shape, most in itertools.product([(7, 9), (130,), ()], [0.75, 20.0]):
        add("clip_value", [(shape, "any")], lambda x: x.clamp(-single(most), single(most)), {"most": most}, wrt=[])

        def by_norm(x):
            holder = torch.zeros_like(x).requires_grad_(True)
            holder.grad = x.clone()
            torch.nn.utils.clip_grad_norm_([holder], single(most))
            return holder.grad

        add("clip_norm", [(shape, "any")], by_norm, {"most": most}, wrt=[])


def add_all():
    scalars()
    arithmetic()
    slopes()
    clips()
