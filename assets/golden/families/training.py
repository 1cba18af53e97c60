"""Ten steps of every optimizer, with each option alone and some combined; gradient clipping before them."""

import torch

from record import add_trajectory, single

SGD = [
    {"lr": 0.1},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.05, "momentum": 0.9, "nesterov": True},
    {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
    {"lr": 0.1, "weight_decay": 0.1},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
    {"lr": 0.1, "momentum": 0.9, "dampening": 1.0},
    {"lr": 0.02, "momentum": 0.7, "dampening": 0.1, "weight_decay": 0.05},
    {"lr": 0.1, "momentum": 0.6, "weight_decay": 0.02},
]
RMSPROP = [
    {"lr": 0.01, "alpha": 0.9, "eps": 1e-7},
    {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, "momentum": 0.9},
    {"lr": 0.01, "alpha": 0.95, "eps": 1e-6, "weight_decay": 0.05},
    {"lr": 0.01, "alpha": 0.9, "eps": 1e-5, "centered": True},
    {"lr": 0.005, "alpha": 0.95, "eps": 1e-5, "centered": True, "momentum": 0.8},
    {"lr": 0.01, "alpha": 0.9, "eps": 1e-3, "centered": True, "momentum": 0.5, "weight_decay": 0.1},
    {"lr": 0.01, "alpha": 0.9, "eps": 1e-3, "epsilon_inside": True},
    {"lr": 0.01, "alpha": 0.9, "eps": 1e-2, "epsilon_inside": True, "momentum": 0.9, "weight_decay": 0.01},
    {"lr": 0.01, "alpha": 0.9, "eps": 1e-2, "epsilon_inside": True, "centered": True},
    {"lr": 0.02, "alpha": 0.0, "eps": 1e-2},
]
ADAM = [
    {"lr": 0.01},
    {"lr": 0.05, "betas": (0.8, 0.99)},
    {"lr": 0.01, "eps": 1e-3},
    {"lr": 0.01, "weight_decay": 0.1},
    {"lr": 0.02, "betas": (0.5, 0.9), "eps": 1e-4, "weight_decay": 0.01},
    {"lr": 0.01, "betas": (0.0, 0.999)},
    {"lr": 0.01, "betas": (0.9, 0.0), "eps": 1e-2},
]
ADAGRAD = [
    {"lr": 0.1},
    {"lr": 0.1, "lr_decay": 0.1},
    {"lr": 0.1, "initial_accumulator_value": 0.5},
    {"lr": 0.1, "eps": 1e-2},
    {"lr": 0.1, "weight_decay": 0.1},
    {"lr": 0.2, "lr_decay": 0.05, "initial_accumulator_value": 0.1, "eps": 1e-4, "weight_decay": 0.02},
]
# By value; by the norm of each parameter's gradient; by the global norm.
CLIPS = [("value", 0.5), ("value", 10.0), ("norm", 1.0), ("norm", 8.0), ("global-norm", 1.0), ("global-norm", 100.0)]
# Length of each parameter.
RANGES = [10, 31, 23]
# Lengths whose ranges need no copies: all but the last are multiples of 64.
ALIGNED = [64, 36]


def rounded(options):
    """Options rounded to f32, as they are stored."""
    def one(value):
        return tuple(map(single, value)) if isinstance(value, tuple) else single(value) if type(value) is float else value

    return {key: one(value) for key, value in options.items()}


class KerasRmsProp(torch.optim.Optimizer):
    """RMSprop with epsilon inside the root, as in Keras but not in PyTorch."""

    def __init__(self, parameters, **options):
        super().__init__(parameters, {"momentum": 0.0, "weight_decay": 0.0, "centered": False, **options})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            alpha = group["alpha"]
            for p in group["params"]:
                state = self.state[p]
                mean, square, velocity = (state.setdefault(k, torch.zeros_like(p)) for k in ("mean", "square", "velocity"))
                d = p.grad + group["weight_decay"] * p
                square.mul_(alpha).add_((1 - alpha) * d * d)
                mean.mul_(alpha).add_((1 - alpha) * d)
                variance = square - mean * mean if group["centered"] else square
                velocity.mul_(group["momentum"]).add_(d / (variance + group["eps"]).sqrt())
                p -= group["lr"] * velocity


def clip(parameters, how, most):
    if how == "value":
        torch.nn.utils.clip_grad_value_(parameters, single(most))
    elif how == "global-norm":
        torch.nn.utils.clip_grad_norm_(parameters, single(most))
    else:
        for parameter in parameters:
            torch.nn.utils.clip_grad_norm_([parameter], single(most))


def trajectory(name, rule, options, clipped=None, ranges=RANGES):
    settings = {key: value for key, value in rounded(options).items() if key != "epsilon_inside"}

    def steps(first, gradients):
        parameters = [part.clone().requires_grad_(True) for part in first.split(ranges)]
        optimizer = rule(parameters, **settings)
        for gradient in gradients:
            for parameter, part in zip(parameters, gradient.split(ranges)):
                parameter.grad = part.clone()
            if clipped:
                clip(parameters, *clipped)
            optimizer.step()
            yield torch.cat(parameters)

    named = {**options, "ranges": ranges}
    add_trajectory(name, sum(ranges), {**named, "clip": "{}:{}".format(*clipped)} if clipped else named, steps)


def add_all():
    optim = torch.optim
    for options in SGD:
        trajectory("sgd", optim.SGD, options)
    for options in RMSPROP:
        trajectory("rmsprop", KerasRmsProp if "epsilon_inside" in options else optim.RMSprop, options)
    for options in ADAM:
        trajectory("adam", optim.Adam, options)
        trajectory("adamw", optim.AdamW, options)
    for options in ADAGRAD:
        trajectory("adagrad", optim.Adagrad, options)
    for clipped in CLIPS:
        trajectory("sgd", optim.SGD, {"lr": 0.1, "momentum": 0.9}, clipped)
    trajectory("sgd", optim.SGD, {"lr": 0.1}, ("norm", 1.0), ALIGNED)
    trajectory("adam", optim.Adam, {"lr": 0.01, "weight_decay": 0.1}, ("norm", 1.0))
    trajectory("adamw", optim.AdamW, {"lr": 0.01}, ("global-norm", 2.0))
    trajectory("rmsprop", optim.RMSprop, {"lr": 0.01, "alpha": 0.9, "eps": 1e-5, "centered": True}, ("value", 0.5))
    trajectory("adagrad", optim.Adagrad, {"lr": 0.1}, ("norm", 0.5))
