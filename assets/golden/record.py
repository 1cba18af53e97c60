"""Golden cases and their PyTorch results: inputs from a hash, outputs and gradients, collected until written."""

import itertools
import json
import pathlib
import struct

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

# Label of an ignored row.
IGNORE = 2**32 - 1
# Index of the upstream gradient among a case's seeds; the inputs have those before.
UPSTREAM = 15

cases, values = [], {}


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
    """Values of an input, by the same rules as tests/golden/cases.rs."""
    u = unit(int(np.prod(shape, dtype=np.int64)), seed)
    name, _, bound = kind.partition(":")
    if name == "any":
        v = 4 * u - 2
    elif name == "away":  # from zero
        v = np.where(u < 0.5, -0.5 - 3 * u, 0.5 + 3 * (u - 0.5))
    elif name == "positive":
        v = 0.5 + 1.5 * u
    elif name == "share":
        v = u
    elif name == "bits":
        v = np.floor(2 * u)
    elif name == "wide":
        v = 80 * u - 40
    elif name == "large":
        v = 20000 * u - 10000
    elif name == "ties":
        v = np.floor(4 * u) - 1
    elif name == "spread":  # no two alike: a shuffled ramp
        v = np.argsort(u, kind="stable") * 0.25 - len(u) * 0.125
    elif name == "below":
        v = np.floor(u * int(bound))
    elif name == "below_or_ignored":
        v = np.floor(u * (int(bound) + 1))
        v[v == int(bound)] = IGNORE
        return v.reshape(shape)
    else:
        raise ValueError(kind)
    return v.astype(np.float32).astype(np.float64).reshape(shape)


def is_integer(kind):
    return kind.startswith("below")


def single(number):
    """An option's value rounded to f32."""
    return float(np.float32(number))


def draw(count, seed, **lists):
    """`count` different combinations of the options, selected by the hash."""
    combinations = list(itertools.product(*lists.values()))
    order = np.argsort(unit(len(combinations), seed), kind="stable")
    return [dict(zip(lists, combinations[i])) for i in order[:count]]


def add(op, inputs, function, options=None, wrt=None):
    """Adds a case.

    `inputs` are (shape, fill) pairs, with "variable" as a third element for one that the operation replaces. `function`
    computes y from them, or y and a dictionary of further results. `wrt` numbers the inputs that get gradients: by
    default all floats that are not variables.
    """
    number = len(cases)
    tensors = [torch.tensor(fill(shape, kind, 16 * number + i)) for i, (shape, kind, *_) in enumerate(inputs)]
    if wrt is None:
        wrt = [i for i, (_, kind, *variable) in enumerate(inputs) if not is_integer(kind) and not variable]
    for i in wrt:
        tensors[i].requires_grad_(True)
    y = function(*tensors)
    y, others = y if isinstance(y, tuple) else (y, {})
    for name, value in {"y": y, **others}.items():
        values[f"{number}.{name}"] = value.detach().numpy()
    if wrt:
        upstream = torch.tensor(fill(tuple(y.shape), "any", 16 * number + UPSTREAM))
        grads = torch.autograd.grad((y * upstream).sum(), [tensors[i] for i in wrt], allow_unused=True)
        for i, grad in zip(wrt, grads):
            values[f"{number}.d{i}"] = (torch.zeros_like(tensors[i]) if grad is None else grad).numpy()
    keys = ("shape", "fill", "variable")
    listed = [dict(zip(keys, (list(shape), kind, *(True for _ in more)))) for shape, kind, *more in inputs]
    cases.append({"case": number, "op": op, "inputs": listed, "options": options or {}, "wrt": wrt})


def add_trajectory(name, length, options, steps):
    """Adds an optimizer's case: `steps` maps initial parameters and ten gradients to the parameters after each step."""
    number = len(cases)
    first, *gradients = (torch.tensor(fill((length,), "any", 16 * number + i)) for i in range(11))
    values[f"{number}.y"] = np.stack([p.detach().numpy().copy() for p in steps(first, gradients)])
    inputs = [{"shape": [length], "fill": "any"}]
    cases.append({"case": number, "op": name, "inputs": inputs, "options": options, "wrt": []})


def write(folder: pathlib.Path):
    """Writes cases.jsonl and values.safetensors."""
    with open(folder / "cases.jsonl", "w") as out:
        for case in cases:
            out.write(json.dumps(case, separators=(",", ":")) + "\n")
    version = torch.__version__.partition("+")[0]
    header, blob = {"__metadata__": {"made_by": f"generate.py, torch {version}"}}, bytearray()
    for name, value in values.items():
        assert np.isfinite(value).all(), f"{name} is not finite: {cases[int(name.partition('.')[0])]}"
        data = np.ascontiguousarray(value, dtype="<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (folder / "values.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + blob)
    print(f"{len(cases)} cases, {len(blob)} bytes of values")
