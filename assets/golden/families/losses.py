"""Losses, each the mean over the rows that count."""

import itertools

import torch
import torch.nn.functional as F

from record import IGNORE, add, single


def class_weights(classes, kind):
    """Class weights: none, all different, or with a class of weight 0."""
    weights = {"none": None, "uneven": [0.5 + 0.25 * c for c in range(classes)], "zero": [float(c) for c in range(classes)]}
    return weights[kind]


def options_of(smoothing, weights):
    named = {"label_smoothing": smoothing}
    return named if weights is None else {**named, "class_weights": weights}


def cross_entropy(smoothing, weights, labels=False):
    weights = None if weights is None else torch.tensor(weights)

    def function(x, t):
        if labels:
            return F.cross_entropy(x, t.long(), weights, ignore_index=IGNORE, label_smoothing=single(smoothing))
        return F.cross_entropy(x, t, weights, label_smoothing=single(smoothing))

    return function


def of_labels():
    for (n, c), kind in itertools.product([(1, 2), (5, 10), (64, 3)], ["any", "large"]):
        add("softmax_cross_entropy", [((n, c), kind), ((n,), f"below:{c}")], cross_entropy(0.0, None, labels=True))
    for n, c in [(6, 10), (64, 3)]:
        labels = ((n,), f"below_or_ignored:{c}")
        add("softmax_cross_entropy", [((n, c), "any"), labels], cross_entropy(0.0, None, labels=True))
    options = itertools.product([0.0, 0.1, 1.0], ["none", "uneven", "zero"], ["below", "below_or_ignored"], ["any", "large"])
    for number, (smoothing, weights, labels, kind) in enumerate(options):
        n, c = [(12, 10), (40, 3), (9, 5)][number % 3]
        weights = class_weights(c, weights)
        inputs = [((n, c), kind), ((n,), f"{labels}:{c}")]
        named = options_of(smoothing, weights)
        add("softmax_cross_entropy_with", inputs, cross_entropy(smoothing, weights, labels=True), named)


def of_shares():
    for number, (smoothing, weights, kind, target) in enumerate(
        itertools.product([0.0, 0.1, 1.0], ["none", "uneven"], ["any", "large"], ["share", "bits"])
    ):
        n, c = [(5, 10), (20, 3)][number % 2]
        weights = class_weights(c, weights)
        inputs = [((n, c), kind), ((n, c), target)]
        add("softmax_cross_entropy_soft", inputs, cross_entropy(smoothing, weights), options_of(smoothing, weights))


def of_errors():
    for shape, kind in itertools.product([(), (17,), (4, 5), (2, 3, 4, 2)], ["any", "large"]):
        pair = [(shape, kind), (shape, kind)]
        add("mean_squared_error", pair, F.mse_loss)
        add("mean_absolute_error", pair, F.l1_loss)
        for delta in (1.0, 0.3, 2.5):
            add("huber_loss", pair, lambda x, t: F.huber_loss(x, t, delta=single(delta)), {"delta": delta})
    for shape, kind, target in itertools.product([(), (6,), (4, 5)], ["any", "wide", "large"], ["share", "bits"]):
        add("binary_cross_entropy", [(shape, kind), (shape, target)], F.binary_cross_entropy_with_logits)


def of_classes():
    """Softmax cross-entropy's parts and the metrics computed with it."""
    for (n, c), labels, smoothing in itertools.product([(7, 4), (30, 3)], ["below", "below_or_ignored"], [0.0, 0.2]):
        inputs = [((n,), f"{labels}:{c}"), ((c,), "positive")]

        def targets(t, w):
            counts = (t != IGNORE)[:, None]
            hot = F.one_hot(torch.where(counts[:, 0], t, 0.0).long(), c)
            return torch.where(counts, w * ((1 - single(smoothing)) * hot + single(smoothing) / c), 0.0)

        add("class_targets", inputs, targets, {"smoothing": smoothing}, wrt=[])

        def counts(x, t):
            return torch.stack([(x.argmax(1) == t).sum(), (t != IGNORE).sum()]).double()

        if smoothing == 0.0:
            add("count_correct", [((n, c), "spread"), inputs[0]], counts, wrt=[])


def add_all():
    of_labels()
    of_shares()
    of_errors()
    of_classes()
