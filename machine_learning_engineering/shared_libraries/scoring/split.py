"""Which training rows are held out: a pure function of the task's digest, the seed and the settings.

Select rows drive the search, fold by fold; audit rows are scored once at the end and choose nothing. Under 500 rows all
of them select; to 10,000 rows the audit takes its share and folds cut the rest; above, one split is precise enough.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.records import Task
from machine_learning_engineering.shared_libraries.tasks.times import last, times_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Rows = np.ndarray[tuple[int], np.dtype[np.int64]]

MAX_HELD_OUT_ROWS = 20_000  # of select and of audit each
COMPARES_CLASSES = ("auc", "gini", "average_precision")  # no figure for rows of one class
LEAST_GROUPS = 3  # one is held out, and a script has two to train and to check itself on


@dataclass(frozen=True)
class Split:
    """Positions in the train file, ascending: the held-out rows of each fold, and the audit rows, which may be none."""

    folds: "tuple[Rows, ...]"
    audit: "Rows"


def split(task: Task, train: "pd.DataFrame", config: RunConfig) -> Split:
    """The held-out rows of a training table whose cells are text.

    The last rows where the task has a time column, whole groups as far as those of the test file are new, the same
    share of each class where it has classes. Every fold and the rest of the table have at least one row.

    Raises: TaskError for a table that cannot be split this way.
    """
    if len(train) < 2:
        raise TaskError(f"{task.train} has {len(train)} rows; at least 2 are needed to hold one out for scoring")
    made = _split(task, train, config)
    if task.problem != "regression":
        _check_classes(task, train, made)
    return made


def _split(task: Task, train: "pd.DataFrame", config: RunConfig) -> Split:
    import numpy as np

    if task.time is not None:
        return _split_in_time(task, train, config)
    rows, audit = np.arange(len(train)), np.arange(0)
    units = units_of(task, train)
    if share := config.audit_share(len(train)):
        count = min(round(len(train) * share), MAX_HELD_OUT_ROWS)
        audit = _take(task, train, rows, units, count, generator(task, config.seed, "audit"))
        if units is not None and len(np.unique(np.delete(units, audit))) < LEAST_GROUPS:
            audit = np.arange(0)  # too few groups to audit as well
        rows = np.setdiff1d(rows, audit)
    rng = generator(task, config.seed, "select")
    if (folds := config.folds_of(len(train))) > 1:
        return Split(_deal(task, train, rows, units, folds, rng), audit)
    count = min(max(round(len(train) * config.select_fraction), 1), MAX_HELD_OUT_ROWS, len(rows) - 1)
    return Split((_take(task, train, rows, units, count, rng),), audit)


def _check_classes(task: Task, train: "pd.DataFrame", made: Split) -> None:
    """Raises: TaskError where no script could learn or be judged: the rows for it are all of one class."""
    import numpy as np

    labels = train[task.target].to_numpy(dtype=str)
    flag = "--time" if task.time else "--group" if task.group else ""
    leave = f", or leave {flag} away" if flag else ""
    if len(set(np.delete(labels, np.r_[made.folds[0], made.audit]))) < 2:
        raise TaskError(
            f"the rows of {task.train.name} that are not held out for scoring are all of one class, so nothing can be "
            f"learned from them. Add rows of the rare class{leave}."
        )
    if task.metric.name in COMPARES_CLASSES and len(set(labels[made.folds[0]])) < 2:
        raise TaskError(
            f"the rows of {task.train.name} that are held out for scoring are all of one class, and "
            f"{task.metric.title} needs two. Choose another metric, such as log_loss{leave}."
        )


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


def _take(
    task: Task,
    train: "pd.DataFrame",
    rows: "Rows",
    units: "Rows | None",
    count: int,
    rng: "np.random.Generator",
) -> "Rows":
    """About `count` of `rows`, ascending: whole units where there are any, else a draw from every class."""
    import numpy as np

    if units is None:
        return np.sort(draw(rows, classes_of(task, train), count, rng))
    present, sizes = np.unique(units[rows], return_counts=True)
    order = rng.permutation(len(present))[:-1]  # one unit at least stays
    taken: list[int] = []
    total = 0
    for one in order:
        if total == 0 or total + sizes[one] / 2 <= count:  # one that would overshoot by half its size is passed
            taken.append(int(present[one]))
            total += int(sizes[one])
        if total >= count:
            break
    return rows[np.isin(units[rows], taken)]


def _deal(
    task: Task, train: "pd.DataFrame", rows: "Rows", units: "Rows | None", folds: int, rng: "np.random.Generator"
) -> "tuple[Rows, ...]":
    """All of `rows`, dealt to at most `folds` folds, the largest first: whole units, else class by class."""
    import numpy as np

    shuffled = rng.permutation(rows)
    if units is not None:
        fold_of = _fold_of_units(units[shuffled], folds)
    else:
        classes = classes_of(task, train)
        fold_of = np.arange(len(rows)) % folds if classes is None else _fold_of_classes(classes[shuffled], folds)
    parts = (np.sort(shuffled[fold_of == fold]) for fold in range(folds))
    return tuple(part for part in parts if len(part))


def _fold_of_classes(classes: "Rows", folds: int) -> "Rows":
    """A fold for each row: class by class in turn. A class of fewer rows than folds begins at the first fold, which is
    scored alone at first.
    """
    import numpy as np

    order = np.argsort(classes, kind="stable")
    fold_of = np.empty(len(classes), dtype=int)
    fold_of[order] = np.arange(len(classes)) % folds
    for one in np.flatnonzero(np.bincount(classes) < folds):
        rows = np.flatnonzero(classes == one)
        fold_of[rows] = np.arange(len(rows))
    return fold_of


def _fold_of_units(units: "Rows", folds: int) -> "Rows":
    """A fold for each row: units in order of size, the largest first, each to the fold that has fewest rows so far."""
    import numpy as np

    number, sizes = np.unique(units, return_inverse=True, return_counts=True)[1:]
    fold_of_unit = np.empty(len(sizes), dtype=int)
    filled = np.zeros(folds, dtype=int)
    for one in np.argsort(-sizes, kind="stable"):
        fold = int(filled.argmin())
        fold_of_unit[one] = fold
        filled[fold] += sizes[one]
    return fold_of_unit[number]


def units_of(task: Task, train: "pd.DataFrame") -> "Rows | None":
    """For each row the number of what must not be torn apart; None where every row stands alone.

    Groups are torn only as far as a model will meet rows of groups that it knows: as many as have the share of the rows
    that groups of the training file have in the test file, those of both files first.

    Raises: TaskError where there are too few groups to hold one out.
    """
    import numpy as np

    from machine_learning_engineering.shared_libraries.tasks.table import read_table

    if task.group is None:
        return None
    test = read_table(task.test)
    groups = train[task.group].to_numpy(dtype=str)
    names, units, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if task.group in test.columns:
        met = test[task.group].to_numpy(dtype=str)
        alone = np.isin(units, _torn(task, sizes, np.isin(names, met), float(np.isin(met, names).mean())))
        if alone.all():
            return None
        units[alone] = len(names) + np.arange(alone.sum())
    if (count := len(np.unique(units))) < LEAST_GROUPS:
        raise TaskError(
            f"the group column {task.group!r} of {task.train.name} has too few groups ({count}): {LEAST_GROUPS} are "
            "needed, one to hold out and two to train on. Name another column with --group, or leave it away."
        )
    return units


def _torn(task: Task, sizes: "Rows", is_met: "np.ndarray[Any, Any]", share: float) -> "Rows":
    """The groups that may be torn: about this share of all rows, groups of the test file before others."""
    import numpy as np

    order = np.lexsort((generator(task, 0, "torn groups").random(len(sizes)), ~is_met))
    rows_before = np.cumsum(sizes[order]) - sizes[order] / 2
    torn: Rows = order[rows_before <= share * sizes.sum()]
    return torn


def _split_in_time(task: Task, train: "pd.DataFrame", config: RunConfig) -> Split:
    """The last rows audit, those before them select: a model is always judged on what comes after its training rows.

    Each part spans about as much time as the test file does, within 5 and 20 % of the rows.
    """
    import numpy as np

    from machine_learning_engineering.shared_libraries.tasks.table import read_table

    assert task.time is not None
    times, rows, share = times_of(train[task.time], str(task.train)), len(train), config.select_fraction
    test = read_table(task.test)
    if task.time in test.columns and len(test) > 1:
        horizon = np.ptp(times_of(test[task.time], str(task.test), beside=train[task.time]))
        share = min(max(float((times > times.max() - horizon).mean()), 0.05), 0.2)
    count = min(max(round(rows * share), 1), MAX_HELD_OUT_ROWS)
    audit = last(times, count) if config.audit_share(rows) else np.arange(0)
    before = np.setdiff1d(np.arange(rows), audit)
    return Split((before[last(times[before], min(count, len(before) - 1))],), audit)
