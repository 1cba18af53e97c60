"""Matrix products, single and batched, and the dense layer."""

import itertools

from record import add


def product(flip_a, flip_b):
    return lambda a, b: (a.mT if flip_a else a) @ (b.mT if flip_b else b)


def products(lead_a, lead_b, m, k, n):
    for flip_a, flip_b in itertools.product([False, True], repeat=2):
        a, b = (k, m) if flip_a else (m, k), (n, k) if flip_b else (k, n)
        options = {"transpose_a": flip_a, "transpose_b": flip_b}
        add("matmul", [((*lead_a, *a), "any"), ((*lead_b, *b), "any")], product(flip_a, flip_b), options)


def dense(lead, k, n, bias=True):
    operands = [((*lead, k), "any"), ((k, n), "any"), ((n,), "any")]
    add("dense", operands if bias else operands[:2], lambda x, w, b=0.0: x @ w + b)


def add_all():
    for m, k, n in [(1, 1, 1), (3, 5, 4), (9, 2, 7), (8, 16, 8)]:
        products((), (), m, k, n)
        dense((m,), k, n)
    stacks = [((2,), (2,)), ((2, 1), (3,)), ((4, 1), ()), ((), (3,)), ((2, 3), (2, 3)), ((1, 2), (3, 1)), ((3,), (1,))]
    for lead_a, lead_b in stacks:
        products(lead_a, lead_b, 3, 5, 4)
    # Long enough for the sum to be split.
    products((), (), 1, 2304, 2)
    dense((2, 3), 5, 4)
    dense((2, 1, 3), 4, 2)
    dense((4,), 3, 5, bias=False)
    dense((2, 2), 6, 3, bias=False)
