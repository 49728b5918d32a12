"""Which training rows are held out: a pure function of the task's digest, the seed and the fraction."""

import hashlib
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.records import Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Rows = np.ndarray[tuple[int], np.dtype[np.int64]]

MAX_HELD_OUT_ROWS = 20_000


def hold_out(task: Task, train: "pd.DataFrame", seed: int, fraction: float) -> "Rows":
    """The positions of the held-out rows of a training table whose cells are text, ascending.

    The last rows where the task has a time column, whole groups where it has groups, the same share of each class
    where it has classes. At least one row, at most 20,000, and never all.

    Raises: TaskError for a table that cannot be split this way.
    """
    import numpy as np

    if len(train) < 2:
        raise TaskError(f"{task.train} has {len(train)} rows; at least 2 are needed to hold one out for scoring")
    count = min(max(round(len(train) * fraction), 1), MAX_HELD_OUT_ROWS, len(train) - 1)
    rng = generator(task, seed, f"hold out {fraction!r}")
    if task.time is not None:
        rows = _in_time_order(task, train)[-count:]
    elif task.group is not None:
        rows = _whole_groups(task, train, count, rng)
    else:
        rows = draw(np.arange(len(train)), classes_of(task, train), count, rng)
    return np.sort(rows)


def generator(task: Task, seed: int, purpose: str) -> "np.random.Generator":
    """Random numbers for one purpose, the same for equal tasks and seeds on every machine."""
    import numpy as np

    digest = hashlib.sha256(f"{task.digest} {seed} {purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16]))


def classes_of(task: Task, train: "pd.DataFrame") -> "Rows | None":
    """The class number of each row; None for regression and where a class has a single row."""
    import numpy as np

    if task.problem == "regression":
        return None
    numbers, counts = np.unique(train[task.target].to_numpy(dtype=str), return_inverse=True, return_counts=True)[1:]
    return numbers if counts.min() >= 2 else None


def draw(rows: "Rows", classes: "Rows | None", count: int, rng: "np.random.Generator") -> "Rows":
    """`count` of `rows`, with the share that each class has in `rows` where `classes` (by position) is given.

    Every class keeps at least one row that is not drawn and, if `count` allows, gives one.
    """
    import numpy as np

    shuffled = rng.permutation(rows)
    if classes is None:
        return shuffled[:count]
    of_row = classes[shuffled]
    present, sizes = np.unique(of_row, return_counts=True)
    quotas = _quotas(sizes, count)
    parts = [shuffled[of_row == one][:quota] for one, quota in zip(present, quotas, strict=True)]
    return np.concatenate(parts)


def _quotas(sizes: "Rows", count: int) -> "Rows":
    """How many rows each class gives: by its share, rounded by largest remainder, within 1 and size - 1."""
    import numpy as np

    shares = sizes * count / sizes.sum()
    quotas = np.floor(shares).astype(int)
    largest = np.argsort(quotas - shares, kind="stable")[: count - quotas.sum()]
    quotas[largest] += 1
    lowest = 1 if count >= len(sizes) else 0
    clipped: Rows = np.clip(quotas, lowest, np.maximum(sizes - 1, lowest))
    return clipped


def _in_time_order(task: Task, train: "pd.DataFrame") -> "Rows":
    import numpy as np
    import pandas as pd

    text = train[task.time]
    times = pd.to_numeric(text, errors="coerce")
    if times.isna().any():
        times = pd.to_datetime(text, errors="coerce", format="mixed", utc=True)
    if times.isna().any():
        row = int(np.flatnonzero(times.isna())[0])
        raise TaskError(
            f"the time column {task.time!r} of {task.train} holds {text.iloc[row]!r} in row {row}, which is neither a "
            "number nor a date; repair it or name another column with --time"
        )
    return np.argsort(times.to_numpy(), kind="stable")


def _whole_groups(task: Task, train: "pd.DataFrame", count: int, rng: "np.random.Generator") -> "Rows":
    """The rows of randomly chosen groups, about `count`: a group that would overshoot by half its size is passed."""
    import numpy as np

    groups, sizes = np.unique(train[task.group].to_numpy(dtype=str), return_inverse=True, return_counts=True)[1:]
    if len(sizes) < 2:
        raise TaskError(
            f"the group column {task.group!r} of {task.train} has one value only, so no group can be held out; name "
            "another column with --group or leave it away"
        )
    chosen: list[int] = []
    total = 0
    for group in rng.permutation(len(sizes))[:-1]:
        if total == 0 or total + sizes[group] / 2 <= count:
            chosen.append(int(group))
            total += int(sizes[group])
        if total >= count:
            break
    return np.flatnonzero(np.isin(groups, chosen))
