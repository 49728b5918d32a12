"""Metrics of texts: rankings of labels, free text, masks in run lengths. Truth and predictions hold one text a row."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from machine_learning_engineering.shared_libraries.tasks.metrics.kernels import Array, Kernel, Losses, Mean


def _each(formula: Callable[[str, str], float]) -> Losses:
    def losses(truth: Array, predictions: Array, classes: Sequence[str]) -> Array:
        return np.array([formula(str(y), str(p)) for y, p in zip(truth, predictions, strict=True)])

    return losses


def _precision_at(k: int) -> Callable[[str, str], float]:
    """The average precision of the first k labels of a ranking; a label that comes twice counts once."""

    def formula(wanted: str, ranking: str) -> float:
        right, hits, total = set(wanted.split()), 0, 0.0
        for place, label in enumerate(ranking.split()[:k], 1):
            if label in right:
                right.remove(label)
                hits += 1
                total += hits / place
        return total / max(1, min(k, len(set(wanted.split()))))

    return formula


def _gain_at(k: int) -> Callable[[str, str], float]:
    """The normalised discounted cumulative gain of the first k labels; a label that comes twice counts once."""

    def formula(wanted: str, ranking: str) -> float:
        right = set(wanted.split())
        best = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(right)) + 1))
        gain = 0.0
        for place, label in enumerate(ranking.split()[:k], 1):
            if label in right:
                right.remove(label)
                gain += 1 / math.log2(place + 1)
        return gain / best if best else 0.0

    return formula


def _edits(wanted: str, given: str) -> float:
    """How many characters must be inserted, removed or replaced (Levenshtein's distance)."""
    row = list(range(len(given) + 1))
    for n, left in enumerate(wanted, 1):
        last, row[0] = row[0], n
        for m, right in enumerate(given, 1):
            last, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, last + (left != right))
    return float(row[-1])


def _shared_words(wanted: str, given: str) -> float:
    """Jaccard's index of the sets of words; 1 where both are empty."""
    a, b = set(wanted.lower().split()), set(given.lower().split())
    return len(a & b) / len(a | b) if a | b else 1.0


def _overlap(wanted: str, given: str) -> float:
    """Dice's coefficient of two masks, each `start length start length ...`; 1 where both are empty."""
    a, b = _pixels(wanted), _pixels(given)
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0


def _pixels(mask: str) -> set[int]:
    numbers = [int(number) for number in mask.split()]
    return {
        pixel
        for start, length in zip(numbers[::2], numbers[1::2], strict=True)
        for pixel in range(start, start + length)
    }


KERNELS: dict[str, Kernel] = {
    "exact_match": Mean(_each(lambda wanted, given: float(wanted == given))),
    "levenshtein": Mean(_each(_edits)),
    "jaccard": Mean(_each(_shared_words)),
    "dice": Mean(_each(_overlap)),
}
FAMILIES: dict[str, Callable[[float], Kernel]] = {
    "map": lambda k: Mean(_each(_precision_at(int(k)))),
    "ndcg": lambda k: Mean(_each(_gain_at(int(k)))),
}
