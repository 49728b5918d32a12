"""What a script predicted for rows that it had no labels of, and what two such predictions say of each other."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.records import Comparison, Execution, Task, View
from machine_learning_engineering.shared_libraries.scoring.cells import SUBMISSION
from machine_learning_engineering.shared_libraries.scoring.submission import accept
from machine_learning_engineering.shared_libraries.scoring.views import Splitting, held_out, held_out_by, splitting
from machine_learning_engineering.shared_libraries.tasks.metrics import bounds, compute, contributions, row_losses

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, np.dtype[Any]]

_RULE_OF_THREE = 3.0
_FARTHEST = 20.0  # on the scale of logarithms; farther ends would be no figures


@dataclass(frozen=True)
class OutOfFold:
    """Predictions beside the truth, in the order of the views: each has a row for each held-out row.

    `predictions` has the shape (n_rows,), or (n_rows, n_values) where a submission has several value columns; columns
    named after the classes are in the order of the classes. `folds` has the number of the view that a row was in,
    `units` that of its group, where groups are held out whole: their rows err together.
    """

    task: Task
    truth: "Array"
    predictions: "Array"
    folds: "Array"
    units: "Array | None" = None
    notes: tuple[str, ...] = ()  # what was repaired in the submissions

    @property
    def count(self) -> int:
        """How many views were predicted."""
        return int(self.folds[-1]) + 1

    def first(self, count: int) -> "OutOfFold":
        """The rows of the first `count` views."""
        keep = self.folds < count
        units = None if self.units is None else self.units[keep]
        return OutOfFold(self.task, self.truth[keep], self.predictions[keep], self.folds[keep], units)

    def value(self) -> float:
        """The metric over all rows. Raises: SubmissionError where there is no finite value."""
        return compute(self.task.metric, self.truth, self.predictions, self.task.profile.classes)

    def contributions(self) -> "Array":
        """Each row's share of the metric, shape (n_rows,)."""
        return contributions(self.task.metric, self.truth, self.predictions, self.task.profile.classes)

    def interval(self, rows: int) -> tuple[float, float] | None:
        """Where the metric lies on `rows` other rows of the same kind, with 95 % confidence; None if anywhere at all.

        By Student's t on the contributions; on the scale of logarithms for metrics from 0 on, and of log-odds for those
        between 0 and 1, so that the interval stays there and errs to both sides alike. Where the latter is 0 or 1, by
        the rule of three: of n rows that are all right nothing tells that one in n / 3 others is not. Nothing is known
        by a single group, or by a single row of one of two classes where the metric compares them.

        Raises: SubmissionError where a row's contribution is not known.
        """
        from scipy.special import expit, logit, stdtrit

        value, shares, beyond = self.value(), self.contributions(), 1 + len(self.truth) / max(rows, 1)
        least, most = bounds(self.task.metric)
        count = self.independent()
        error, freedom = standard_error(shares, self.units) * math.sqrt(beyond), self._freedom(shares)
        half = error * float(stdtrit(freedom, 0.975)) if freedom > 0 and count > 1 else math.inf
        if (least, most) == (0.0, math.inf) and value > 0 and math.isfinite(half):
            factor = math.exp(min(half / value, _FARTHEST))
            return value / factor, value * factor
        if (least, most) != (0.0, 1.0):
            return None if math.isinf(half) else (value - half, value + half)
        if math.isinf(half):
            return least, most
        if not 0 < value < 1:
            reach = min(_RULE_OF_THREE / count * beyond, 1.0)
            return (0.0, reach) if value == 0 else (1 - reach, 1.0)
        half /= value * (1 - value)
        low, high = (float(expit(logit(value) + end)) for end in (-half, half))
        a_row = 1 / max(rows, 1)  # an end that is less than a row away from a bound is there
        return low if low > a_row else 0.0, high if high < 1 - a_row else 1.0

    def independent(self) -> int:
        """How many things the metric is made of: groups, or rows; those of the rarer class where it compares two."""
        if self.units is not None:
            return len(set(self.units.tolist()))
        metric, classes = self.task.metric, self.task.profile.classes
        compares = len(classes) == 2 and math.isfinite(bounds(metric)[1])
        if compares and row_losses(metric, self.truth, self.predictions, classes) is None:
            return min(Counter(self.truth.tolist()).values())
        return len(self.truth)

    def _freedom(self, shares: "Array") -> float:
        """Of the error of the shares' mean; few where few rows of one class make most of it (Satterthwaite 1946)."""
        import numpy as np

        if self.units is not None or self.task.metric.predicts == "value":
            return self.independent() - 1
        code = np.unique(self.truth.astype(str), return_inverse=True)[1]
        sizes, parts = np.bincount(code), np.bincount(code, weights=(shares - shares.mean()) ** 2)
        within = float((parts**2 / np.maximum(sizes - 1, 1)).sum())
        return float(parts.sum() ** 2) / within if within else len(shares) - 1


def read_predictions(
    task: Task, views: Sequence[View], executions: Sequence[Execution], config: RunConfig
) -> OutOfFold | None:
    """What the executions of one script on these views predicted; None if nobody has labels of a view.

    Raises: SubmissionError for a submission that does not hold what it must.
    """
    import numpy as np

    truths, predictions, folds, units, notes = [], [], [], [], tuple[str, ...]()
    for number, (view, execution) in enumerate(zip(views, executions, strict=True)):
        held = held_out(task, view, config)
        if held is None:
            return None
        submission = execution.folder / SUBMISSION
        made, repaired = _read(task, view, splitting(config), submission, _stamp(submission))
        notes = notes or repaired
        predictions.append(made)
        truths.append(truth_of(task, held.labels))
        folds.append(np.full(len(held.rows), number))
        units += [] if held.units is None else [held.units]
    whole = np.concatenate(units) if units else None
    return OutOfFold(task, np.concatenate(truths), np.concatenate(predictions), np.concatenate(folds), whole, notes)


@lru_cache(maxsize=32)
def _read(
    task: Task, view: View, settings: Splitting, submission: Path, stamp: tuple[int, ...]
) -> tuple["Array", tuple[str, ...]]:
    """What one execution predicted, and what was repaired; kept, since a script is scored and then compared."""
    held = held_out_by(task, view, settings)
    assert held is not None
    accepted = accept(submission, held.expected)
    return values_of(task, accepted.predictions), accepted.notes


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes with the content of a file; empty where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def truth_of(task: Task, labels: "pd.Series[str]") -> "Array":
    """Labels as metrics take them: numbers where numbers are predicted, else text."""
    dtype: Any = float if task.metric.predicts == "value" else object
    return labels.to_numpy(dtype=dtype)


def values_of(task: Task, table: "pd.DataFrame") -> "Array":
    """Accepted predictions as metrics take them: (n_rows,), or a column for each class, in the order of the classes."""
    classes = list(task.profile.classes)
    values: Array = (table[classes] if set(table.columns) == set(classes) else table).to_numpy()
    return values[:, 0] if values.shape[1] == 1 else values


def compare(challenger: OutOfFold, incumbent: OutOfFold) -> Comparison:
    """How much better the challenger is on the rows that both predicted, and how sure that is.

    Raises: SubmissionError where the metric does not tell what single rows contribute.
    """
    count = min(challenger.count, incumbent.count)
    challenger, incumbent = challenger.first(count), incumbent.first(count)
    differences = challenger.contributions() - incumbent.contributions()
    gain = challenger.task.metric.gain(challenger.value(), over=incumbent.value())
    return Comparison(gain=gain, error=standard_error(differences, challenger.units), rows=len(differences))


def standard_error(shares: "Array", units: "Array | None") -> float:
    """Of the mean of these shares; rows of one unit count as one. 0 for a single unit, of which nothing is known."""
    import numpy as np

    away = shares - shares.mean()
    if units is not None:
        away = np.bincount(np.unique(units, return_inverse=True)[1], weights=away)
    count = len(away)
    return math.sqrt(count / (count - 1) * float((away**2).sum())) / len(shares) if count > 1 else 0.0
