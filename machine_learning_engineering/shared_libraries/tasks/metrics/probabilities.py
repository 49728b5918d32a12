"""Metrics of probabilities: of the last class, shape (n_rows,), or of all classes, (n_rows, n_classes)."""

from collections.abc import Callable, Sequence

import numpy as np

from machine_learning_engineering.shared_libraries.tasks.metrics.kernels import (
    Array,
    Influence,
    Kernel,
    Mean,
    positions,
    ranks,
)

_TINY = float(np.finfo(float).eps)  # as scikit-learn clips
Binary = Callable[[Array, Array], Array]


def _log_losses(truth: Array, predictions: Array, classes: Sequence[str]) -> Array:
    chances, code = _all_classes(predictions), positions(truth, classes)
    return np.asarray(-np.log(np.clip(chances[np.arange(len(code)), code], _TINY, 1 - _TINY)))


def _brier_losses(truth: Array, predictions: Array, classes: Sequence[str]) -> Array:
    """One probability: its squared error. Several: the sum of the squared errors of all."""
    code = positions(truth, classes)
    if predictions.ndim == 1:
        return np.asarray(((code == len(classes) - 1) - predictions) ** 2)
    return np.asarray(((np.eye(len(classes))[code] - predictions) ** 2).sum(axis=1))


def _all_classes(predictions: Array) -> Array:
    if predictions.ndim == 1:
        return np.column_stack([1 - predictions, predictions])
    return np.asarray(predictions / predictions.sum(axis=1, keepdims=True))


def _divergences(truth: Array, predictions: Array, classes: Sequence[str]) -> Array:
    """Of predicted from true shares, both (n_rows, n_classes)."""
    from scipy.special import xlogy

    given = np.clip(predictions, 1e-15, 1)
    return np.asarray((xlogy(truth, truth) - truth * np.log(given)).sum(axis=1))


# --- Rankings of rows -------------------------------------------------------------------------------------------------


def _placements(hits: Array, scores: Array) -> Array:
    """DeLong's placements: for each hit the share of the others below it, for each other the share of the hits above.

    Equal scores count half.
    """
    hits_count = int(hits.sum())
    others = len(hits) - hits_count
    places = np.empty(len(hits))
    among_all = ranks(scores)
    places[hits] = (among_all[hits] - ranks(scores[hits])) / others
    places[~hits] = 1 - (among_all[~hits] - ranks(scores[~hits])) / hits_count
    return places


def _area(hits: Array, scores: Array) -> float:
    count = int(hits.sum())
    return float((ranks(scores)[hits].sum() - count * (count + 1) / 2) / (count * (len(hits) - count)))


def _area_influences(hits: Array, scores: Array) -> Array:
    """A row's placement weighs as much as its side's rows are few."""
    places, share = _placements(hits, scores), hits.mean()
    return np.asarray((places - places[hits].mean()) / np.where(hits, share, 1 - share))


def _precision_steps(hits: Array, scores: Array) -> tuple[Array, Array, Array]:
    """For each distinct score, the highest first: each row's step, and its cumulated hits and rows, over n."""
    names, code = np.unique(-scores, return_inverse=True)
    caught = np.bincount(code, weights=hits, minlength=len(names)).cumsum() / len(hits)
    called = np.bincount(code, minlength=len(names)).cumsum() / len(hits)
    return code, caught, called


def _average_precision(hits: Array, scores: Array) -> float:
    _, caught, called = _precision_steps(hits, scores)
    return float(np.diff(caught, prepend=0) @ (caught / called) / hits.mean())


def _average_precision_influences(hits: Array, scores: Array) -> Array:
    """A hit adds its step's precision; every row changes the precision of its own step and of those after it."""
    code, caught, called = _precision_steps(hits, scores)
    gains = np.diff(caught, prepend=0)
    precision, share = caught / called, hits.mean()
    later = (gains / called)[::-1].cumsum()[::-1]
    lost = (gains * precision / called)[::-1].cumsum()[::-1]
    figure = gains @ precision / share
    return np.asarray((hits * (precision[code] + later[code] - figure) - lost[code]) / share)


def _one_against_rest(formula: Binary) -> Callable[[Array, Array, Sequence[str]], Array]:
    """A formula of hits and scores for labels: that of the last class, or the mean of each class against the rest.

    Of more than two classes, those without rows are left out.
    """

    def apply(truth: Array, predictions: Array, classes: Sequence[str]) -> Array:
        code = positions(truth, classes)
        counts = np.bincount(code, minlength=len(classes))
        held = np.flatnonzero(counts)
        if len(held) < 2:
            raise ValueError(f"it needs rows of two classes; there are only those of {classes[int(held[0])]!r}")
        if predictions.ndim == 1:
            return formula(code == len(classes) - 1, predictions)
        # As they are: dividing rows by sums near 1 would make equal probabilities unequal.
        return np.asarray(np.mean([formula(code == n, predictions[:, n]) for n in held], axis=0))

    return apply


def _ranking(figure: Callable[[Array, Array], float], influences: Binary) -> Influence:
    value = _one_against_rest(lambda hits, scores: np.asarray(figure(hits, scores)))
    return Influence(lambda *sides: float(value(*sides)), _one_against_rest(influences))


KERNELS: dict[str, Kernel] = {
    "auc": _ranking(_area, _area_influences),
    "gini": _ranking(lambda hits, scores: 2 * _area(hits, scores) - 1, lambda h, s: 2 * _area_influences(h, s)),
    "average_precision": _ranking(_average_precision, _average_precision_influences),
    "log_loss": Mean(_log_losses),
    "brier": Mean(_brier_losses),
    "kl": Mean(_divergences),
}
