"""The same test rows several times: as they are, and once for each feature, whose cells stand at the wrong rows.

So one run of a script, and one training, tells how much worse its predictions get without each column.
"""

from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.records import Task
from machine_learning_engineering.shared_libraries.scoring.media import files_of_rows

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from machine_learning_engineering.shared_libraries.scoring.split import Rows

MOST_TEST_ROWS = 50_000
_LEAST_ROWS = 30  # that tell of anything
_SILENT = ("constant", "identifier")


def permutable(task: Task) -> tuple[str, ...]:
    """The features whose cells can stand at other rows; none where a row is more than its cells.

    Rows in time are read by their neighbours too, and further files may belong to rows by their ids or names.
    """
    names = tuple(one.name for one in task.profile.columns if one.kind not in _SILENT)
    is_wide = (len(names) + 1) * _LEAST_ROWS > MOST_TEST_ROWS
    has_more = task.time is not None or (task.others and task.id is not None) or files_of_rows(task) is not None
    return () if is_wide or has_more else names


def repeated(task: Task, rows: "Rows") -> "Rows":
    """As many of these rows as fit into one test file so often, one copy after the other."""
    import numpy as np

    copies = len(permutable(task)) + 1
    return np.tile(rows[: MOST_TEST_ROWS // copies], copies)


def permuted(task: Task, test: "pd.DataFrame", rng: "np.random.Generator") -> "pd.DataFrame":
    """A test file of such rows, their ids numbers, since the ids of the train file would each come several times."""
    columns = permutable(task)
    size = len(test) // (len(columns) + 1)
    test = test.copy()
    for number, name in enumerate(columns, 1):
        copy = slice(number * size, (number + 1) * size)
        cells = test[name].to_numpy(dtype=object, copy=True)
        cells[copy] = rng.permutation(cells[copy])
        test[name] = cells
    if task.id is not None:
        test[task.id] = [str(number) for number in range(len(test))]
    return test
