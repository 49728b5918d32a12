"""How predictions compare with the best that a constant can do: better means that labels were known."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.records import Comparison
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold, compare

if TYPE_CHECKING:
    import numpy as np

BEYOND_CHANCE = 3.0  # paired standard errors


def against_constant(made: OutOfFold) -> Comparison | None:
    """By how much predictions are better than the best constant; None where a constant has no figure."""
    found = []
    for guess in _guesses(made):
        row = _as_row(guess, made)
        try:
            found.append(compare(made, OutOfFold(made.task, made.truth, row, made.folds)))
        except SubmissionError:
            continue
    return min(found, key=lambda one: one.gain, default=None)


def beats_chance(comparison: Comparison) -> bool:
    return comparison.gain > max(BEYOND_CHANCE * comparison.error, 0.0)


def _as_row(guess: Any, made: OutOfFold) -> "np.ndarray[Any, np.dtype[Any]]":
    """The guess for each row, in the shape of the predictions."""
    import numpy as np

    return np.broadcast_to(np.asarray(guess, dtype=made.predictions.dtype), made.predictions.shape).copy()


def _guesses(made: OutOfFold) -> Iterator[Any]:
    import numpy as np

    predicts, classes = made.task.metric.predicts, made.task.profile.classes
    if predicts == "value":
        yield made.truth.mean()
        yield np.median(made.truth)
        return
    labels, counts = np.unique(made.truth.astype(str), return_counts=True)
    shares = dict(zip(labels, counts / counts.sum(), strict=True))
    if predicts == "probability":
        chances = [shares.get(label, 0.0) for label in classes]
        yield chances if made.predictions.ndim > 1 else chances[-1]
        return
    common = labels[np.argsort(-counts, kind="stable")]
    yield " ".join(common) if predicts == "ranking" else common[0]
