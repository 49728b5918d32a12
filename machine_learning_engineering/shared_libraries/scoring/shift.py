"""Whether test rows are unlike training rows, so that a random split promises too much; and what to do about it."""

import asyncio
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.common_util import listed
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import SandboxError
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox
from machine_learning_engineering.shared_libraries.records import ColumnProfile, Job, Task
from machine_learning_engineering.shared_libraries.tasks.table import read_table, typed

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 2_500  # looked at of each file
MOST_COLUMNS = 100
LEAST_ROWS = 50  # of each file; fewer tell nothing
TELLING = 0.8  # cross-validated area under the ROC curve
_NAMED = 3  # columns that a warning names
_KEY_REPEATS = 3.0  # rows that a value of a key has, on average
_SAME = 0.05  # of the test file's keys that training rows have as well
_LARGEST = 1e38  # number that the classifier, which counts in 32 bits, can hold
_CLASSIFIER = Path(__file__).with_name("shift_classifier.py")


async def shift_warning(task: Task, config: RunConfig, sandbox: Sandbox, folder: Path) -> tuple[str, str]:
    """What to warn of, empty where training and test rows look alike; and the figures that say so.

    Ids may differ. Where groups or a time are declared, held-out rows are chosen to be as new as the test rows are.
    The classifier that tries to tell the rows apart runs in `folder`, which does not exist yet.
    """
    looked_at = await asyncio.to_thread(_look, task, config.seed)
    if isinstance(looked_at, tuple):
        return looked_at
    auc, telling = await _told_apart(looked_at, config, sandbox, folder)
    figures = f"a classifier tells training from test rows with AUC {auc:.3f}"
    return "" if auc <= TELLING else _about_columns(task.profile.columns, telling, auc), figures


def _look(task: Task, seed: int) -> "tuple[str, str] | pd.DataFrame":
    """What can be said at once; or rows of both files as numbers, their index 1 where they are of the test file."""
    import pandas as pd

    if task.group or task.time:
        return "", "held-out rows are chosen as --group or --time says"
    train, test = read_table(task.train), read_table(task.test)
    columns = [one for one in task.profile.columns if one.name in test.columns]
    if min(len(train), len(test)) < LEAST_ROWS or not columns:
        return "", "too few rows or columns to tell"
    names = [one.name for one in columns]
    if keys := _new_keys(columns, train, test):
        return _about_keys(keys[0]), f"no value of {listed(keys, _NAMED)} is in both files"
    names = names[:MOST_COLUMNS]
    rows = [table[names].sample(min(len(table), MOST_ROWS), random_state=seed) for table in (train, test)]
    return _encoded(pd.concat(rows, ignore_index=True)).set_axis([0] * len(rows[0]) + [1] * len(rows[1]))


def _about_keys(name: str) -> str:
    return (
        f"Test rows have other values of {name!r} than training rows, so scores on known values promise too much. If "
        f"rows of one {name!r} belong together, set --group {name!r}."
    )


def _about_columns(columns: Sequence[ColumnProfile], telling: list[str], auc: float) -> str:
    kinds = {one.name: one.kind for one in columns}
    first = telling[0]
    if kinds[first] == "datetime":
        advice = f"If test rows are later, set --time {first!r}."
    elif kinds[first] == "identifier":
        advice = f"If it only numbers the rows, set --id {first!r}."
    else:
        advice = (
            f"If {first!r} grows with time, set --time {first!r}; if it names what rows belong to, --group; if it only "
            "numbers the rows, --id."
        )
    return (
        f"Test rows differ from training rows (a classifier tells them apart with AUC {auc:.2f}), most in "
        f"{listed(telling, _NAMED)}, so scores on training rows may promise too much. {advice}"
    )


def _new_keys(columns: list[ColumnProfile], train: "pd.DataFrame", test: "pd.DataFrame") -> list[str]:
    """Columns whose values repeat in each file, as those of a user or a shop do, and differ between the files."""
    found = []
    for one in columns:
        if one.kind not in ("categorical", "integer"):
            continue
        known, new = train[one.name], test[one.name]
        values = set(new)
        repeats = min(len(known) / known.nunique(), len(new) / len(values))
        if len(values) >= 5 and repeats >= _KEY_REPEATS and len(values & set(known)) <= _SAME * len(values):
            found.append(one.name)
    return found


async def _told_apart(
    rows: "pd.DataFrame", config: RunConfig, sandbox: Sandbox, folder: Path
) -> tuple[float, list[str]]:
    """The AUC of a classifier of the two, out of fold, and the columns that it uses, the most telling first.

    Raises: SandboxError if it could not be trained.
    """
    import numpy as np

    given = io.BytesIO()
    cells = rows.to_numpy(float).clip(-_LARGEST, _LARGEST)
    np.save(given, np.column_stack([rows.index, cells]))
    job = Job(
        script=_CLASSIFIER.read_text(encoding="utf-8"),
        name=_CLASSIFIER.name,
        folder=folder,
        limits=config.limits,
        stdin=given.getvalue(),
        argv=(str(config.seed),),
        seed=config.seed,
        low_priority=True,
    )
    execution = await sandbox.run(job)
    if execution.outcome != "ok":
        raise SandboxError(f"a classifier of the rows ended with {execution.outcome} {execution.last_error}".strip())
    told = json.loads(execution.stdout)
    return told["auc"], [str(rows.columns[place]) for place in told["columns"]]


def _encoded(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Numbers for everything: dates as days, texts by how often they occur, gaps below all else."""
    import pandas as pd

    encoded: dict[str, Any] = {}
    for name, cells in typed(rows).items():
        if pd.api.types.is_numeric_dtype(cells):
            encoded[str(name)] = cells.astype(float)
            continue
        dates = pd.to_datetime(cells, errors="coerce", format="mixed", utc=True)
        if dates.notna().mean() > 0.5:
            encoded[str(name)] = dates.astype("int64").where(dates.notna()).astype(float)
        else:
            encoded[str(name)] = cells.map(cells.value_counts()).astype(float)
    table = pd.DataFrame(encoded)
    return table.fillna(table.min() - 1).fillna(0)
