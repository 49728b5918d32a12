"""Whether test rows are unlike training rows, so that a random split promises too much; and what to do about it."""

from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.common_util import listed
from machine_learning_engineering.shared_libraries.records import ColumnProfile, Task
from machine_learning_engineering.shared_libraries.tasks.table import read_table, typed

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 2_500  # looked at of each file
MOST_COLUMNS = 100
LEAST_ROWS = 50  # of each file; fewer tell nothing
TELLING = 0.8  # cross-validated area under the ROC curve
_FOLDS = 3
_NAMED = 3  # columns that a warning names
_KEY_REPEATS = 3.0  # rows that a value of a key has, on average
_SAME = 0.05  # of the test file's keys that training rows have as well


def shift_warning(task: Task, seed: int) -> tuple[str, str]:
    """What to warn of, empty where training and test rows look alike; and the figures that say so.

    Ids may differ. Where groups or a time are declared, held-out rows are chosen to be as new as the test rows are.
    """
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
    auc, telling = _told_apart(rows[0], rows[1], seed)
    figures = f"a classifier tells training from test rows with AUC {auc:.3f}"
    if auc <= TELLING:
        return "", figures
    return _about_columns(columns, telling, auc), figures


def _about_keys(name: str) -> str:
    return (
        f"Test rows have other values of {name!r} than training rows, so scores on known values promise too much. If "
        f"rows of one {name!r} belong together, set --group {name!r}."
    )


def _about_columns(columns: list[ColumnProfile], telling: list[str], auc: float) -> str:
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


def _told_apart(train: "pd.DataFrame", test: "pd.DataFrame", seed: int) -> tuple[float, list[str]]:
    """The AUC of a classifier of the two, out of fold, and the columns that it uses, the most telling first."""
    import numpy as np
    import pandas as pd
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    rows = _encoded(pd.concat([train, test], ignore_index=True))
    is_test = np.r_[np.zeros(len(train)), np.ones(len(test))]
    trees = ExtraTreesClassifier(50, min_samples_leaf=5, random_state=seed)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    chances = cross_val_predict(trees, rows, is_test, cv=folds, method="predict_proba")[:, 1]
    weights = trees.fit(rows, is_test).feature_importances_
    order = np.argsort(-weights, kind="stable")
    return float(roc_auc_score(is_test, chances)), [str(rows.columns[place]) for place in order]


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
