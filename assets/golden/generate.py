#!/usr/bin/env python3
"""Writes cases.jsonl and values.safetensors: what PyTorch on the CPU, in f64, makes of each operation and option.

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 numpy
    venv/bin/python assets/golden/generate.py

Not needed to run the tests: they read the two files. Inputs are not stored but computed from a hash, here and in
tests/golden.rs alike. For each case the file holds the output `y`, and the gradients `d0`, `d1`, .. of
sum(y * upstream) to each float input. For an optimizer it holds the parameters after each of ten steps.
"""

import itertools
import json
import pathlib
import struct

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
HERE = pathlib.Path(__file__).parent


def unit(count, seed):
    """Floats in [0, 1), exact in f32."""
    with np.errstate(over="ignore"):
        x = np.arange(count, dtype=np.uint32) ^ np.uint32((seed * 0x9E3779B9) & 0xFFFFFFFF)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        x ^= x >> np.uint32(16)
    return (x >> np.uint32(8)).astype(np.float64) / 2**24


def fill(shape, kind, seed):
    """Values of an input; the same rules stand in tests/golden.rs."""
    u = unit(int(np.prod(shape, dtype=np.int64)), seed)
    if kind == "any":
        v = (4 * u - 2).astype(np.float32)
    elif kind == "away":  # from zero
        v = np.where(u < 0.5, -0.5 - 3 * u, 0.5 + 3 * (u - 0.5)).astype(np.float32)
    elif kind == "large":
        v = (20000 * u - 10000).astype(np.float32)
    elif kind == "ties":
        v = np.floor(4 * u) - 1
    elif kind == "spread":  # no two alike: a shuffled ramp
        v = (np.argsort(u, kind="stable") * 0.25 - len(u) * 0.125).astype(np.float32)
    elif kind.startswith("below:"):
        v = np.floor(u * int(kind[6:]))
    else:
        raise ValueError(kind)
    return np.asarray(v, dtype=np.float64).reshape(shape)


cases, values = [], {}


def add(op, inputs, function, options=None, wrt=None):
    """A case: `inputs` are (shape, fill) pairs, `function` computes y from tensors and the options."""
    number = len(cases)
    options = options or {}
    tensors = [torch.tensor(fill(shape, kind, 16 * number + i)) for i, (shape, kind) in enumerate(inputs)]
    floats = [i for i, (_, kind) in enumerate(inputs) if not kind.startswith("below:")]
    wrt = floats if wrt is None else wrt
    for i in wrt:
        tensors[i].requires_grad_(True)
    y = function(*tensors)
    values[f"{number}.y"] = y.detach().numpy()
    if wrt:
        upstream = torch.tensor(fill(tuple(y.shape), "any", 16 * number + 15))
        grads = torch.autograd.grad((y * upstream).sum(), [tensors[i] for i in wrt], allow_unused=True)
        for i, grad in zip(wrt, grads):
            values[f"{number}.d{i}"] = (torch.zeros_like(tensors[i]) if grad is None else grad).numpy()
    listed = [{"shape": list(shape), "fill": kind} for shape, kind in inputs]
    cases.append({"case": number, "op": op, "inputs": listed, "options": options, "wrt": wrt})


def padded(x, sides, value=0.0):
    top, bottom, left, right = sides
    return F.pad(x, (left, right, top, bottom), value=value)


def same(size, window, stride, dilation, lower=False):
    """Sides of `same` padding: out = ceil(in / stride), the odd row at the end, or at the beginning."""
    sides = []
    for n, w, s, d in zip(size, window, stride, dilation):
        total = max((-(-n // s) - 1) * s + d * (w - 1) + 1 - n, 0)
        half = total // 2
        sides += [total - half, half] if lower else [half, total - half]
    return sides


PADDINGS = [("valid", [0, 0, 0, 0]), ("same", None), ("same_lower", None), ("explicit", [2, 0, 1, 3])]


def windows(sizes, strides, dilations, size):
    """Every combination of window, stride, dilation and padding."""
    for w, s, d, (name, sides) in itertools.product(sizes, strides, dilations, PADDINGS):
        sides = sides or same(size, w, s, d, lower=name == "same_lower")
        yield {"size": w, "stride": s, "dilation": d, "padding": name, "sides": sides}, sides


def convolutions():
    size = (7, 8)
    for options, sides in windows([(1, 1), (3, 3), (3, 2)], [(1, 1), (2, 2), (1, 3)], [(1, 1), (2, 1), (2, 3)], size):
        def conv(x, w, b, options=options, sides=sides):
            return F.conv2d(padded(x, sides), w, b, stride=options["stride"], dilation=options["dilation"])
        shapes = [((2, 3, *size), "any"), ((4, 3, *options["size"]), "any"), ((4,), "any")]
        add("conv2d", shapes, conv, options)


def pools():
    size = (9, 8)
    kinds = [(2, 2), (3, 2), (3, 3)]
    for options, sides in windows(kinds, [(1, 1), (2, 2), (3, 4)], [(1, 1), (2, 1)], size):
        if max(sides) > 1 and options["padding"] == "explicit":
            sides = options["sides"] = [1, 0, 1, 1]
        def max_pool(x, options=options, sides=sides):
            x = padded(x, sides, -np.inf)
            return F.max_pool2d(x, options["size"], options["stride"], dilation=options["dilation"])
        add("max_pool2d", [((2, 2, *size), "spread")], max_pool, options)
        if options["dilation"] != (1, 1):
            continue
        for counted in (True, False):
            def avg_pool(x, options=options, sides=sides, counted=counted):
                total = F.avg_pool2d(padded(x, sides), options["size"], options["stride"], divisor_override=1)
                inside = F.avg_pool2d(padded(torch.ones_like(x), sides), options["size"], options["stride"], divisor_override=1)
                return total / (options["size"][0] * options["size"][1] if counted else inside.clamp(min=1))
            add("avg_pool2d", [((2, 2, *size), "any")], avg_pool, {**options, "count_include_pad": counted})
    # The first of equal maxima gets the gradient.
    for stride in [(1, 1), (2, 2), (3, 3)]:
        options = {"size": (3, 3), "stride": stride, "dilation": (1, 1), "padding": "valid", "sides": [0] * 4}
        add("max_pool2d", [((2, 3, *size), "ties")], lambda x, s=stride: F.max_pool2d(x, 3, s), options)


def matrices():
    for m, k, n in [(1, 1, 1), (3, 5, 4), (9, 2, 7), (8, 16, 8)]:
        for ta, tb in itertools.product([False, True], repeat=2):
            a, b = ((k, m) if ta else (m, k)), ((n, k) if tb else (k, n))
            def product(a, b, ta=ta, tb=tb):
                return (a.T if ta else a) @ (b.T if tb else b)
            add("matmul", [(a, "any"), (b, "any")], product, {"transpose_a": ta, "transpose_b": tb})
        add("dense", [((m, k), "any"), ((k, n), "any"), ((n,), "any")], lambda x, w, b: x @ w + b)


SCALARS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}
BINARY = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}


def elementwise():
    for name, f in SCALARS.items():
        add(name, [((3, 17), "away")], f)
        add(name, [((), "away")], f)
    pairs = [((), ()), ((7,), (7,)), ((2, 3), ()), ((3, 1, 5), (4, 1)), ((2, 3, 4), (3, 1)), ((1, 2, 1, 3), (2, 1, 4, 1))]
    for (name, f), (a, b) in itertools.product(BINARY.items(), pairs):
        add(name, [(a, "away"), (b, "away")], f)


def reductions():
    shapes = [((7,), (0,)), ((3, 5), (1,)), ((2, 3, 4, 5), (0, 2, 3)), ((2, 3, 4, 5), (1, 3)), ((2, 3, 4), (0, 1, 2))]
    for (shape, axes), keep in itertools.product(shapes, [False, True]):
        options = {"axes": axes, "keep": keep}
        add("sum", [(shape, "any")], lambda x: x.sum(axes, keepdim=keep), options)
        add("mean", [(shape, "any")], lambda x: x.mean(axes, keepdim=keep), options)
        add("max", [(shape, "spread")], lambda x: x.amax(axes, keepdim=keep), options)


def losses():
    for (shape, axis), kind in itertools.product([((4, 10), 1), ((3, 5, 2), 1), ((6, 3), 0), ((1, 1), 1)], ["any", "large"]):
        add("softmax", [(shape, kind)], lambda x: F.softmax(x, axis), {"axis": axis})
    for (n, c), kind in itertools.product([(1, 2), (5, 10), (64, 3)], ["any", "large"]):
        inputs = [((n, c), kind), ((n,), f"below:{c}")]
        add("softmax_cross_entropy", inputs, lambda x, t: F.cross_entropy(x, t.long()))


def layouts():
    for shape, axes in [((3, 5), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((2, 3, 4, 5), (0, 2, 3, 1))]:
        add("transpose", [(shape, "any")], lambda x: x.permute(axes), {"axes": axes})
    for shape, to in [((3, 1), (2, 3, 4)), ((), (5,)), ((1, 4), (3, 4))]:
        add("broadcast_to", [(shape, "any")], lambda x: x.expand(to), {"shape": to})
    add("reshape", [((2, 3, 4), "any")], lambda x: x.reshape(6, 4), {"shape": (6, 4)})
    add("flatten", [((2, 3, 4), "any")], lambda x: x.flatten(1))


def optimizers():
    sgd, rmsprop = torch.optim.SGD, torch.optim.RMSprop
    settings = [
        ("sgd", sgd, {"lr": 0.1}),
        ("sgd", sgd, {"lr": 0.1, "momentum": 0.9}),
        ("sgd", sgd, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
        ("sgd", sgd, {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01}),
        ("sgd", sgd, {"lr": 0.1, "weight_decay": 0.1}),
        ("rmsprop", rmsprop, {"lr": 0.01, "alpha": 0.9, "eps": 1e-7}),
        ("rmsprop", rmsprop, {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, "momentum": 0.9}),
        ("rmsprop", rmsprop, {"lr": 0.01, "alpha": 0.95, "eps": 1e-6, "weight_decay": 0.05}),
    ]
    for name, rule, options in settings:
        number = len(cases)
        p = torch.tensor(fill((64,), "any", 16 * number)).requires_grad_(True)
        optimizer = rule([p], **options)
        steps = []
        for step in range(10):
            p.grad = torch.tensor(fill((64,), "any", 16 * number + 1 + step))
            optimizer.step()
            steps.append(p.detach().numpy().copy())
        values[f"{number}.y"] = np.stack(steps)
        inputs = [{"shape": [64], "fill": "any"}]
        cases.append({"case": number, "op": name, "inputs": inputs, "options": options, "wrt": []})


def main():
    for family in (convolutions, pools, matrices, elementwise, reductions, losses, layouts, optimizers):
        family()
    with open(HERE / "cases.jsonl", "w") as out:
        for case in cases:
            out.write(json.dumps(case, separators=(",", ":")) + "\n")
    header, blob = {"__metadata__": {"made_by": f"generate.py, torch {torch.__version__}"}}, b""
    for name, value in values.items():
        data = np.ascontiguousarray(value, dtype="<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (HERE / "values.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + blob)
    print(f"{len(cases)} cases, {len(blob)} bytes of values")


if __name__ == "__main__":
    main()
