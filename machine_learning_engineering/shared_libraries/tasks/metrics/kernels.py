"""How metrics are computed: the families that every formula belongs to, and what each row adds to the figure.

A kernel gives the metric's value, and for each row its contribution: the value plus the row's influence on it (the
empirical influence function, also called the infinitesimal jackknife). Contributions have two properties. Their mean is
the value. And their standard deviation over the root of the number of rows is the standard error of the value; the
same holds for the differences of two attempts' contributions on the same rows. For means both are textbook formulas.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from machine_learning_engineering.shared_libraries.errors import SubmissionError

Array = np.ndarray[Any, np.dtype[Any]]
Losses = Callable[[Array, Array, Sequence[str]], Array]


class Kernel(Protocol):
    """The arithmetic of one metric. Truth and predictions are arrays with the same number of rows, at least one."""

    def value(self, truth: Array, predictions: Array, classes: Sequence[str]) -> float: ...

    def contributions(self, truth: Array, predictions: Array, classes: Sequence[str]) -> Array: ...


@dataclass(frozen=True)
class Mean:
    """The mean of a figure of each row, or its square root."""

    losses: Losses
    root: bool = False

    def value(self, truth: Array, predictions: Array, classes: Sequence[str]) -> float:
        mean = float(np.mean(self.losses(truth, predictions, classes)))
        return float(np.sqrt(mean)) if self.root else mean

    def contributions(self, truth: Array, predictions: Array, classes: Sequence[str]) -> Array:
        losses = self.losses(truth, predictions, classes)
        if not self.root:
            return losses
        value = float(np.sqrt(np.mean(losses)))
        return np.asarray(value + (losses - value**2) / (2 * value)) if value else np.zeros(len(losses))


@dataclass(frozen=True)
class Influence:
    """Any statistic with an influence function of its own; `influences` need not be centred."""

    figure: Callable[[Array, Array, Sequence[str]], float]
    influences: Losses

    def value(self, truth: Array, predictions: Array, classes: Sequence[str]) -> float:
        return self.figure(truth, predictions, classes)

    def contributions(self, truth: Array, predictions: Array, classes: Sequence[str]) -> Array:
        influences = self.influences(truth, predictions, classes)
        return np.asarray(self.value(truth, predictions, classes) + influences - influences.mean())


@dataclass(frozen=True)
class Counts:
    """A smooth function of the confusion matrix, whose cell (t, p) is the share of the rows of class t called p.

    Classes that neither side holds have an empty row and column. A row's influence is the slope of the function in
    its cell, found by central differences, which are exact to 1e-8 here.
    """

    figure: Callable[[Array], float]
    order: Callable[[Sequence[str]], Sequence[str]] = tuple

    def value(self, truth: Array, predictions: Array, classes: Sequence[str]) -> float:
        return self.figure(_confusion(*self._codes(truth, predictions, classes)))

    def contributions(self, truth: Array, predictions: Array, classes: Sequence[str]) -> Array:
        wanted, given, count = self._codes(truth, predictions, classes)
        table = _confusion(wanted, given, count)
        slopes = np.zeros_like(table)
        for cell in zip(*np.nonzero(table), strict=True):
            step = np.zeros_like(table)
            step[cell] = min(1e-5, table[cell] / 2)
            slopes[cell] = (self.figure(table + step) - self.figure(table - step)) / (2 * step[cell])
        influences = slopes[wanted, given]
        return np.asarray(self.figure(table) + influences - influences.mean())

    def _codes(self, truth: Array, predictions: Array, classes: Sequence[str]) -> tuple[Array, Array, int]:
        names = self.order(classes or sorted({*truth.tolist(), *predictions.tolist()}))
        return positions(truth, names), positions(predictions, names), len(names)


def positions(labels: Array, names: Sequence[str]) -> Array:
    """The place of each label among the names. Raises: ValueError for a label that is not one of them."""
    places = {name: place for place, name in enumerate(names)}
    try:
        return np.array([places[label] for label in labels.tolist()])
    except KeyError as exc:
        raise ValueError(f"{exc} is no class of the training data") from None


def _confusion(wanted: Array, given: Array, count: int) -> Array:
    cells = np.bincount(wanted * count + given, minlength=count * count)
    return cells.reshape(count, count) / len(wanted)


@dataclass(frozen=True)
class Columns:
    """The mean over several targets, one a column; of `binary` targets, 0 or 1, the chance of 1 is predicted."""

    kernel: Kernel
    binary: bool

    def value(self, truth: Array, predictions: Array, classes: Sequence[str]) -> float:
        return float(np.mean([self.kernel.value(*column) for column in self._columns(truth, predictions)]))

    def contributions(self, truth: Array, predictions: Array, classes: Sequence[str]) -> Array:
        parts = [self.kernel.contributions(*column) for column in self._columns(truth, predictions)]
        return np.asarray(np.mean(parts, axis=0))

    def _columns(self, truth: Array, predictions: Array) -> Iterator[tuple[Array, Array, Sequence[str]]]:
        for wanted, given in zip(truth.T, predictions.T, strict=True):
            if self.binary:
                yield np.where(wanted.astype(float) == 1, "1", "0"), given, ("0", "1")
            else:
                yield wanted, given, ()


def jackknife(value: Callable[[Array], float], rows: int, most: int = 500) -> Array:
    """Contributions of rows to a figure of which nothing is known: `value` computes it from some of the rows.

    Each of at most `most` groups of rows is left out once, so that is how often the figure is computed. The groups are
    the same for equal numbers of rows, which makes the contributions of two attempts comparable. A group without which
    there is no figure, such as the only row of a class, counts as none. Figures that jump, such as a median, have no
    useful jackknife.

    Raises: ValueError where there is no figure without most groups.
    """
    groups = np.arange(rows) % min(rows, most)
    if rows > most:
        groups = np.random.default_rng(0).permutation(groups)
    count = int(groups.max()) + 1
    whole = value(np.arange(rows))
    without = np.array([_or_nan(value, np.flatnonzero(groups != group)) for group in range(count)])
    known = np.isfinite(without)
    if known.mean() < 0.5:
        raise ValueError("it has no figure for most parts of the rows, so its standard error is unknown")
    pseudo = np.where(known, (count - 1) * (without[known].mean() - without), 0.0)
    spread = pseudo[groups] * np.sqrt(rows / count)  # a group's figure stands for all of its rows
    return np.asarray(whole + spread - spread.mean())


def _or_nan(value: Callable[[Array], float], rows: Array) -> float:
    try:
        return value(rows)
    except SubmissionError:
        return float("nan")


def ranks(values: Array) -> Array:
    """The rank of each value in its column, from 1; equal values share the mean of theirs."""
    import pandas as pd

    return pd.DataFrame(values).rank().to_numpy().reshape(values.shape)
