"""Permutation importance (Breiman 2001): how much worse a script predicts with a column's cells at the wrong rows.

Columns that say the same share what they matter.
"""

from machine_learning_engineering.shared_libraries.records import ColumnImportance
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold, compare
from machine_learning_engineering.shared_libraries.scoring.permuted import permutable


def importances(made: OutOfFold) -> tuple[ColumnImportance, ...]:
    """That of each feature, the most important first, by predictions for `permuted` rows.

    Raises: SubmissionError where the metric has no figure for these rows, or does not tell what single rows contribute.
    """
    columns = permutable(made.task)
    size = len(made.truth) // (len(columns) + 1)
    whole, *without = (_copy(made, slice(start, start + size)) for start in range(0, len(made.truth), size))
    found = [
        ColumnImportance(column=column, comparison=compare(whole, one))
        for column, one in zip(columns, without, strict=True)
    ]
    return tuple(sorted(found, key=lambda one: -one.comparison.gain))


def _copy(made: OutOfFold, rows: slice) -> OutOfFold:
    units = None if made.units is None else made.units[rows]
    return OutOfFold(made.task, made.truth[rows], made.predictions[rows], made.folds[rows], units)
