"""Metrics of labels: functions of the confusion matrix, whose cell (t, p) is the share of rows of class t called p."""

import math
from collections.abc import Sequence

import numpy as np

from machine_learning_engineering.shared_libraries.tasks.metrics.kernels import Array, Counts, Kernel, Mean


def _right(truth: Array, predictions: Array, classes: Sequence[str]) -> Array:
    return np.asarray(truth == predictions).astype(float)


def _balanced(table: Array) -> float:
    """The mean share of the rows that are recognised, over the classes that have rows."""
    rows = table.sum(axis=1)
    return float(np.mean(np.diag(table)[rows > 0] / rows[rows > 0]))


def _f1_of_each(table: Array) -> Array:
    """The F1 score of each class; 0 where neither side holds it."""
    sums = table.sum(axis=0) + table.sum(axis=1)
    return np.asarray(2 * np.diag(table) / np.where(sums > 0, sums, 1))


def _f1_last(table: Array) -> float:
    return float(_f1_of_each(table)[-1])


def _f1_macro(table: Array) -> float:
    """The mean over the classes that one of the sides holds."""
    held = table.sum(axis=0) + table.sum(axis=1) > 0
    return float(_f1_of_each(table)[held].mean())


def _f1_weighted(table: Array) -> float:
    return float(_f1_of_each(table) @ table.sum(axis=1) / table.sum())


def _matthews(table: Array) -> float:
    total, wanted, given = table.sum(), table.sum(axis=1), table.sum(axis=0)
    spread = (total**2 - wanted @ wanted) * (total**2 - given @ given)
    agreement = np.trace(table) * total - wanted @ given
    return float(agreement / np.sqrt(spread)) if spread > 1e-15 else 0.0


def _kappa(table: Array, power: int) -> float:
    """Cohen's kappa: 1 less the disagreement over that expected by chance; a distance counts with this power."""
    places = np.arange(len(table))
    costs = np.abs(places[:, None] - places[None, :]) ** power if power else 1.0 - np.eye(len(table))
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    chance = float((costs * expected).sum())
    return 1 - float((costs * table).sum()) / chance if chance else float("nan")


def by_number(classes: Sequence[str]) -> list[str]:
    """Labels in the order of the numbers that they are; others last, as text."""
    return sorted(classes, key=lambda label: (_number(label), label))


def _number(label: str) -> float:
    try:
        return float(label)
    except ValueError:
        return math.inf


KERNELS: dict[str, Kernel] = {
    "accuracy": Mean(_right),
    "balanced_accuracy": Counts(_balanced),
    "f1": Counts(_f1_last),
    "f1_macro": Counts(_f1_macro),
    "f1_micro": Mean(_right),  # each row has one label, so hits, misses and false alarms are counted once
    "f1_weighted": Counts(_f1_weighted),
    "mcc": Counts(_matthews),
    "kappa": Counts(lambda table: _kappa(table, 0)),
    "qwk": Counts(lambda table: _kappa(table, 2), by_number),
}
