"""The workloads of `lenslet bench` in PyTorch: pytorch.py train|infer MODEL BATCH SECONDS THREADS [cpu|cuda].

Pictures, labels and first parameters come from the hash of src/bench/pictures.rs; batches are taken in order and go
from host memory to the network at every step. Prints one line of JSON with the fields of `lenslet bench --json`.
"""
import json
import os
import sys
import time

WHAT, MODEL, BATCH, SECONDS, THREADS = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
os.environ["OMP_NUM_THREADS"] = str(THREADS)
DEVICE = sys.argv[6] if len(sys.argv) > 6 else "cpu"
START = time.perf_counter()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

torch.set_num_threads(THREADS)
IMAGES = 8192
STRETCHES = 5


def hashed(i, seed):
    x = i.astype(np.uint32) ^ np.uint32((seed * 0x9E3779B9) & 0xFFFFFFFF)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


def pictures():
    n = np.arange(IMAGES, dtype=np.uint32)
    label = hashed(n, 2) % 10
    noise = (hashed(np.arange(IMAGES * 784, dtype=np.uint32), 1) & 127).reshape(IMAGES, 28, 28)
    rows = np.arange(28, dtype=np.uint32)[None, :] // 2 == label[:, None] + 2
    x = (noise + 128 * rows[:, :, None].astype(np.uint32)).astype(np.float32) / np.float32(255)
    y = np.where(hashed(n, 3) % 5 == 0, hashed(n, 4) % 10, label).astype(np.int64)
    return torch.from_numpy(np.ascontiguousarray(x.reshape(IMAGES, 1, 28, 28))), torch.from_numpy(y)


def network():
    if MODEL == "lenet5":
        layers = [
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        ]
    else:
        layers = [
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10),
        ]
    model = nn.Sequential(*layers)
    weighted = [layer for layer in layers if hasattr(layer, "weight")]
    with torch.no_grad():
        for k, layer in enumerate(weighted):
            shape = tuple(layer.weight.shape)
            fan_in = np.float32(np.prod(shape[1:]))
            unit = (hashed(np.arange(np.prod(shape), dtype=np.uint32), 100 + k) >> np.uint32(8)).astype(np.float32)
            values = (2 * unit / np.float32(16777216) - 1) / np.sqrt(fan_in)
            layer.weight.copy_(torch.from_numpy(values.astype(np.float32).reshape(shape)))
            layer.bias.zero_()
    return model


def spread(values):
    values = sorted(values)
    return {"min": values[0], "median": values[len(values) // 2], "max": values[-1]}


def measure(step):
    """`step(i)` does batch i of an epoch and waits for its own result only if it must."""
    a_stretch, done = 1, 0

    def run(count):
        nonlocal done
        begin = time.perf_counter()
        for _ in range(count):
            result = step(done % (IMAGES // BATCH))
            done += 1
        float(result)
        return time.perf_counter() - begin

    first = run(1)
    first_step = time.perf_counter() - START
    took = first
    while took < SECONDS / 10:
        a_stretch *= 2
        took = run(a_stretch)
    a_stretch = max(1, int(a_stretch * SECONDS / STRETCHES / took))
    times = [run(a_stretch) / a_stretch for _ in range(STRETCHES)]
    print(json.dumps({
        "event": WHAT, "peer": f"PyTorch {torch.__version__}", "model": MODEL, "batch_size": BATCH,
        "device": torch.cuda.get_device_name() if DEVICE == "cuda" else f"cpu, {THREADS} threads",
        "images_per_s": spread([BATCH / t for t in times]),
        "ms_per_step": spread([1e3 * t for t in times]), "first_step_s": first_step, **LOSSES,
    }))


LOSSES = {}
x, y = pictures()
model = network().to(DEVICE)
if WHAT == "train":
    if MODEL == "lenet5":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    else:
        optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.9, eps=1e-7)
    count = 0

    def step(i):
        global count
        batch = slice(i * BATCH, (i + 1) * BATCH)
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(model(x[batch].to(DEVICE)), y[batch].to(DEVICE))
        loss.backward()
        optimizer.step()
        count += 1
        if count in (1, 32):
            LOSSES[f"loss_{count}"] = loss.item()
        return loss

    measure(step)
else:
    model.eval()
    with torch.inference_mode():
        measure(lambda i: model(x[i * BATCH:(i + 1) * BATCH].to(DEVICE)).cpu()[0, 0])
