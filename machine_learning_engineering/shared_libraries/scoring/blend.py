"""A free ensemble: the kept out-of-fold predictions of a run's scripts, blended at the cost of no script and no call.

Greedy selection with replacement (Caruana et al. 2004) on all select rows gives the weights. What the blend is worth is
not read off the rows that chose it: each fold is predicted with weights that the other folds chose, and that
cross-fitted value is the blend's score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.records import Metric
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

Space = Literal["raw", "log", "rank", "vote"]
ROUNDS = 15  # of greedy selection; each adds one member, perhaps again
MOST_MEMBERS = 5  # different scripts; each is trained for the final submission
_PARTS = 5  # that a single fold is cut into for the cross-fitted value
_BY_RANK = {"auc", "gini", "average_precision", "spearman", "kendall"}
_EPSILON = 1e-6


@dataclass(frozen=True)
class Blend:
    """`weights` by position of the member, summing to 1, without zeros; `predictions` are the cross-fitted ones."""

    space: Space
    weights: dict[int, float]
    predictions: OutOfFold


def space_of(metric: Metric) -> Space | None:
    """In what space predictions for this metric are averaged; None where they cannot be averaged."""
    if metric.predicts == "label":
        return "vote"
    if metric.predicts not in ("value", "probability"):
        return None
    if metric.name in _BY_RANK:
        return "rank"
    return "log" if metric.name == "rmsle" else "raw"


def blend(members: Sequence[OutOfFold]) -> Blend | None:
    """The best blend of these predictions of the same rows; None if one script alone is better."""
    task = members[0].task
    space = space_of(task.metric)
    if space is None or len(members) < 2:
        return None
    fit = _Fit(members, space)
    chosen = fit.select(None)
    if len(set(chosen)) < 2:
        return None
    weights = {one: chosen.count(one) / len(chosen) for one in sorted(set(chosen))}
    return Blend(space, weights, fit.cross_fitted())


class _Fit:
    """Greedy selection on any part of the rows."""

    def __init__(self, members: Sequence[OutOfFold], space: Space) -> None:
        import numpy as np

        self._first = members[0]
        self._classes = members[0].task.profile.classes
        folds = members[0].folds
        self._parts = folds if folds[-1] else np.random.default_rng(0).permutation(len(folds)) % _PARTS
        self._space: Space = space
        self._into = np.stack([into(space, one.predictions, folds, self._classes) for one in members])

    def select(self, without: int | None) -> list[int]:
        """Members by position, each as often as it was chosen, on all rows but those of one part."""
        import numpy as np

        keep = slice(None) if without is None else np.flatnonzero(self._parts != without)
        value, metric = self._valuer(keep), self._first.task.metric
        stack = self._into[:, keep]
        chosen: list[int] = []
        total, reached, length = np.zeros_like(stack[0]), None, 0
        for _ in range(ROUNDS):  # on through rounds that do not help: a second member begins with half the weight
            allowed = range(len(stack)) if len(set(chosen)) < MOST_MEMBERS else sorted(set(chosen))
            tried = [(value((total + stack[one]) / (len(chosen) + 1)), one) for one in allowed]
            found, one = (max if metric.maximize else min)(tried, key=lambda pair: pair[0])
            chosen.append(one)
            total += stack[one]
            if metric.better(found, than=reached):
                reached, length = found, len(chosen)
        return chosen[:length]

    def cross_fitted(self) -> OutOfFold:
        """The blend's predictions of each part, with weights chosen on the others."""
        import numpy as np

        mixed = np.empty_like(self._into[0])
        for part in np.unique(self._parts):
            rows, chosen = np.flatnonzero(self._parts == part), self.select(int(part)) or [0]
            mixed[rows] = self._into[chosen][:, rows].mean(axis=0)
        first = self._first
        return OutOfFold(first.task, first.truth, back(self._space, mixed, self._classes), first.folds, first.units)

    def _valuer(self, keep: Any) -> Callable[["Array"], float]:
        """The metric of mixed predictions on some rows; no value where the metric cannot be computed there."""
        first = self._first

        def value(mixed: "Array") -> float:
            made = back(self._space, mixed, self._classes)
            try:
                return OutOfFold(first.task, first.truth[keep], made, first.folds[keep]).value()
            except SubmissionError:
                return first.task.metric.worst

        return value


def into(space: Space, predictions: "Array", folds: "Array", classes: Sequence[str]) -> "Array":
    """Predictions as numbers that may be averaged; ranks are taken within each fold."""
    import numpy as np

    from machine_learning_engineering.shared_libraries.tasks.metrics.kernels import ranks

    if space == "vote":
        return np.asarray(predictions.astype(str)[:, None] == np.array(classes, dtype=str)[None, :], dtype=float)
    numbers: Array = predictions.astype(float)
    if space == "log":
        return np.asarray(np.log1p(np.maximum(numbers, 0)))
    if space == "rank":
        places = np.empty_like(numbers)
        for fold in np.unique(folds):
            places[folds == fold] = ranks(numbers[folds == fold]) / (folds == fold).sum()
        return places
    return numbers


def back(space: Space, mixed: "Array", classes: Sequence[str]) -> "Array":
    """Averaged numbers as predictions again."""
    import numpy as np

    if space == "vote":
        return np.asarray(np.array(classes, dtype=object)[mixed.argmax(axis=1)])
    return mixed if space != "log" else np.asarray(np.expm1(mixed))
