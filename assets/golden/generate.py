#!/usr/bin/env python3
"""Writes cases.jsonl and values.safetensors: the outputs and gradients of PyTorch on the CPU, in f64, for each case.

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 numpy
    venv/bin/python assets/golden/generate.py

See README.md for the contents of the files.
"""

import pathlib

import torch

import record
from families import convolution, elementwise, layout, losses, matrices, normalization, pooling, reductions, training

WANTED = "2.15.0"


def main():
    assert torch.__version__.partition("+")[0] == WANTED, f"made with torch {WANTED}, this is {torch.__version__}"
    for family in (convolution, pooling, matrices, elementwise, reductions, losses, normalization, layout, training):
        family.add_all()
    record.write(pathlib.Path(__file__).parent)


if __name__ == "__main__":
    main()
