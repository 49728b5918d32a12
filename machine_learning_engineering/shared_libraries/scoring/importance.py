"""Permutation importance (Breiman 2001): how much worse a script predicts with a column's cells at the wrong rows.

Columns that say the same share what they matter.
"""

import time
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.records import ColumnImportance, Comparison
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold, standard_error
from machine_learning_engineering.shared_libraries.scoring.permuted import LEAST_ROWS, copies, permutable

if TYPE_CHECKING:
    from machine_learning_engineering.shared_libraries.scoring.split import Rows

_LEAST_UNITS = 5  # groups, or rows of the rarer class, that tell how sure a figure is


def importances(made: OutOfFold, seed: int, seconds: float) -> tuple[ColumnImportance, ...]:
    """That of each feature, the most important first, by predictions for `permuted` rows, within about this time.

    Raises: SubmissionError where the rows are too few, where the metric has no figure for them, does not tell what
    single rows contribute, or takes too long to compute for every column.
    """
    begun = time.monotonic()
    places = copies(made.task, len(made.truth), seed)
    whole = _copy(made, places[0])
    if len(whole.truth) < LEAST_ROWS or whole.independent() < _LEAST_UNITS:
        raise SubmissionError(f"{len(whole.truth)} held-out rows, or what is rarest among them, tell too little.")
    value, shares = whole.value(), whole.contributions()
    if (time.monotonic() - begun) * len(places) > seconds:
        raise SubmissionError(f"{made.task.metric.title} takes too long to compute for every column.")
    found = []
    for column, one in zip(permutable(made.task), (_copy(made, some) for some in places[1:]), strict=True):
        gain = made.task.metric.gain(value, over=one.value())
        error = standard_error(shares - one.contributions(), whole.units)
        comparison = Comparison(gain=gain, error=error, rows=len(shares))
        found.append(ColumnImportance(column=column, comparison=comparison))
    return tuple(sorted(found, key=lambda one: -one.comparison.gain))


def _copy(made: OutOfFold, rows: "Rows") -> OutOfFold:
    units = None if made.units is None else made.units[rows]
    return OutOfFold(made.task, made.truth[rows], made.predictions[rows], made.folds[rows], units)
