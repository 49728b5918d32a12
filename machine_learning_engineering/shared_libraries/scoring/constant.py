"""How predictions compare with the best that a constant can do: better means that labels were known."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.records import Comparison
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold, compare

if TYPE_CHECKING:
    import numpy as np

BEYOND_CHANCE = 3.0  # paired standard errors


@dataclass(frozen=True)
class Guess:
    """The same answer for every row: in words, its figure, and how predictions compare with it."""

    what: str
    value: float
    comparison: Comparison


def against_constant(made: OutOfFold) -> Guess | None:
    """The best that a constant can do on the rows of these predictions; None where a constant has no figure."""
    found = []
    for what, guess in _guesses(made):
        constant = OutOfFold(made.task, made.truth, _as_row(guess, made), made.folds, made.units)
        try:
            found.append(Guess(what, constant.value(), compare(made, constant)))
        except SubmissionError:
            continue
    return min(found, key=lambda one: one.comparison.gain, default=None)


def beats_chance(comparison: Comparison) -> bool:
    return comparison.gain > max(BEYOND_CHANCE * comparison.error, 0.0)


def _as_row(guess: Any, made: OutOfFold) -> "np.ndarray[Any, np.dtype[Any]]":
    """The guess for each row, in the shape of the predictions."""
    import numpy as np

    return np.broadcast_to(np.asarray(guess, dtype=made.predictions.dtype), made.predictions.shape).copy()


def _guesses(made: OutOfFold) -> Iterator[tuple[str, Any]]:
    """What may be guessed for every row, in words and as a prediction."""
    import numpy as np

    predicts, classes = made.task.metric.predicts, made.task.profile.classes
    if predicts == "value":
        yield "the mean", made.truth.mean()
        yield "the median", np.median(made.truth)
        return
    labels, counts = np.unique(made.truth.astype(str), return_counts=True)
    shares = dict(zip(labels, counts / counts.sum(), strict=True))
    if predicts == "probability":
        chances = [shares.get(label, 0.0) for label in classes]
        yield "the shares of the classes", chances if made.predictions.ndim > 1 else chances[-1]
        return
    common = labels[np.argsort(-counts, kind="stable")]
    if predicts == "ranking":
        yield "the classes by their shares", " ".join(common)
    else:
        yield repr(str(common[0])), common[0]
