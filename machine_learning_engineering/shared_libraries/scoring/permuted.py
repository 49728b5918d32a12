"""The same test rows several times: as they are, and once for each feature, whose cells stand at the wrong rows.

So one run of a script, and one training, tells how much worse its predictions get without each column. All copies stand
in one random order and under numbers for ids, so that what a script makes of a row's place or id favours none of them.
"""

from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.records import Task
from machine_learning_engineering.shared_libraries.scoring.media import files_of_rows
from machine_learning_engineering.shared_libraries.scoring.split import generator

if TYPE_CHECKING:
    import pandas as pd

    from machine_learning_engineering.shared_libraries.scoring.split import Rows

LEAST_ROWS = 30  # that tell of anything
MOST_TEST_ROWS = 50_000
_MOST_CELLS = 2_000_000
_SILENT = ("constant", "identifier")


def permutable(task: Task) -> tuple[str, ...]:
    """The features whose cells can stand at other rows; none where a row is more than its cells, or there are too many.

    Rows in time are read by their neighbours too, and further files may belong to rows by their ids or names.
    """
    names = tuple(one.name for one in task.profile.columns if one.kind not in _SILENT)
    has_more = task.time is not None or (task.others and task.id is not None) or files_of_rows(task) is not None
    return () if has_more or _most_rows(len(names)) < LEAST_ROWS else names


def repeated(task: Task, rows: "Rows", seed: int) -> "Rows":
    """As many of these rows as fit into one test file so often."""
    import numpy as np

    count = len(permutable(task))
    copies = np.tile(rows[: _most_rows(count)], count + 1)
    return copies[_order(task, len(copies), seed)]


def permuted(task: Task, test: "pd.DataFrame", seed: int) -> "pd.DataFrame":
    """A test file of such rows."""
    columns, rng = permutable(task), generator(task, seed, "permuted cells")
    test = test.copy()
    for name, places in zip(columns, copies(task, len(test), seed)[1:], strict=True):
        cells = test[name].to_numpy(dtype=object, copy=True)
        cells[places] = rng.permutation(cells[places])
        test[name] = cells
    if task.id is not None:  # those of the train file would each come several times
        test[task.id] = [str(number) for number in range(len(test))]
    return test


def copies(task: Task, total: int, seed: int) -> "list[Rows]":
    """Where the rows of each copy stand in such a test file, in the same order: the rows as they are come first."""
    import numpy as np

    return np.split(np.argsort(_order(task, total, seed)), len(permutable(task)) + 1)


def _order(task: Task, total: int, seed: int) -> "Rows":
    return generator(task, seed, "order of copies").permutation(total)


def _most_rows(columns: int) -> int:
    """How many rows a test file can hold once as they are and once for each of so many columns."""
    return min(MOST_TEST_ROWS, _MOST_CELLS // max(columns, 1)) // (columns + 1)
