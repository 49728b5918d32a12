"""A free ensemble: the kept out-of-fold predictions of a run's scripts, blended at the cost of no script and no call.

Greedy selection with replacement (Caruana et al. 2004) on all select rows gives the weights. What the blend is worth is
not read off the rows that chose it: each fold is predicted with weights that the other folds chose, and that
cross-fitted value is the blend's score.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.records import Metric
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold
from machine_learning_engineering.shared_libraries.scoring.places import Curve, place_curve, value_curve

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
class Scale:
    """For a column of a blend in the space of ranks: from each member's values to places, and from their mean back."""

    members: tuple[Curve, ...]
    back: Curve


@dataclass(frozen=True)
class Blend:
    """`weights` by position of the member, summing to 1, without zeros; `predictions` are the cross-fitted ones.

    `scales` has one entry a column in the space of ranks, its members in the order of `weights`; else it is empty.
    """

    space: Space
    weights: dict[int, float]
    predictions: OutOfFold
    scales: tuple[Scale, ...] = ()

    def of(self, predictions: Sequence["Array"], classes: Sequence[str]) -> "Array":
        """What the blend makes of its members' predictions of other rows, in the order of `weights`."""
        import numpy as np

        weights = [*self.weights.values()]
        if self.space != "rank":
            told = [into(self.space, one, np.zeros(len(one)), classes) for one in predictions]
            return back(self.space, np.average(told, axis=0, weights=weights), classes)
        columns = zip(*(np.atleast_2d(one.astype(float).T) for one in predictions), strict=True)
        places = [
            np.average([np.interp(one, *curve) for one, curve in zip(own, scale.members, strict=True)], 0, weights)
            for own, scale in zip(columns, self.scales, strict=True)
        ]
        return _values(np.array(places).T.reshape(predictions[0].shape), self.scales)


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
    crossed = fit.cross_fitted()
    if space != "rank":
        return Blend(space, weights, crossed)
    scales = tuple(_scales([members[one] for one in weights], [*weights.values()]))
    return Blend(space, weights, replace(crossed, predictions=_values(crossed.predictions, scales)), scales)


def _scales(members: Sequence[OutOfFold], weights: Sequence[float]) -> Iterator[Scale]:
    """For each column of the members' predictions."""
    import numpy as np

    chances = members[0].task.metric.predicts == "probability"
    columns = [np.atleast_2d(one.predictions.astype(float).T) for one in members]
    places = [np.atleast_2d(into("rank", one.predictions, one.folds, ()).T) for one in members]
    for column in range(len(columns[0])):
        own = [one[column] for one in columns]
        mean = np.average([one[column] for one in places], axis=0, weights=weights)
        bounded = chances and all(one.min() >= 0 and one.max() <= 1 for one in own)
        yield Scale(tuple(map(place_curve, own)), value_curve(mean, own, weights, bounded))


def _values(places: "Array", scales: Sequence[Scale]) -> "Array":
    """Mean places of the rows, as values again."""
    import numpy as np

    columns = np.atleast_2d(places.T)
    made = [np.interp(column, *scale.back) for column, scale in zip(columns, scales, strict=True)]
    return np.asarray(np.array(made).T.reshape(places.shape))


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
