"""The score on rows that were set aside from a lone CSV: their labels chose nothing, and no script ever had them."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.records import Task, TaskRequest
from machine_learning_engineering.shared_libraries.scoring.cells import spelling
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold, truth_of, values_of
from machine_learning_engineering.shared_libraries.scoring.submission import check_submission, expect
from machine_learning_engineering.shared_libraries.tasks.lone import set_aside
from machine_learning_engineering.shared_libraries.tasks.table import read_table

_FEW_ROWS = 30


@dataclass(frozen=True)
class SetAside:
    """The metric of a published submission on so many rows that nothing in the run could see.

    On as many other rows it lies between `low` and `high` with 95 % confidence, where that can be told.
    """

    value: float
    rows: int
    low: float | None = None
    high: float | None = None

    @property
    def are_few(self) -> bool:
        """Whether they are too few to expect the same of others."""
        return self.rows < _FEW_ROWS


def score_set_aside(request: TaskRequest, task: Task, submission: Path) -> SetAside | None:
    """The true score of a submission; None for a task whose test rows have no labels, or came in a file of their own.

    Raises: TaskError if the CSV cannot be read any more; SubmissionError for a submission without a score.
    """
    if request.source.is_dir() or request.test is not None:
        return None
    table = read_table(request.source)
    rows = set_aside(table, task.target, task.group, task.time)
    if rows is None:
        return None
    test = table[rows].reset_index(drop=True)
    predictions = check_submission(submission, expect(task, test.drop(columns=task.target)))
    classes, labels = task.profile.classes, test[task.target]
    if task.problem != "regression":
        labels = labels.astype(object).map(spelling(list(labels), classes))
    units = test[task.group].to_numpy() if task.group else None
    made = OutOfFold(task, truth_of(task, labels), values_of(task, predictions), np.zeros(len(test), dtype=int), units)
    value, reach = made.value(), None
    with contextlib.suppress(SubmissionError):  # a metric of the user's own may not tell what rows contribute
        reach = made.interval(len(test))
    return SetAside(value, len(test), *(reach or ()))
