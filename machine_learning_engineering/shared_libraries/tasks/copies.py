"""Further tables of a task folder that repeat the target under another name, so that no script may see them."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.tasks.table import read_table

if TYPE_CHECKING:
    import pandas as pd

_TABLES = (".csv", ".tsv")
_MOST_BYTES = 200 * 2**20  # larger tables are not looked into
_MOST_IDS = 0.95  # of the training rows that a table tells of
_EQUAL = 0.99  # of those rows whose cell is the target's


def copies_of_target(
    paths: Iterable[Path], train: "pd.DataFrame", target: str, id_column: str | None
) -> dict[Path, str]:
    """The tables that tell the target of nearly all training rows, by id or row by row, and the column that does."""
    found = {}
    for path in paths:
        if path.suffix in _TABLES and path.stat().st_size <= _MOST_BYTES:
            try:
                table = read_table(path)
            except TaskError:
                continue
            if column := _copy_in(table, train, target, id_column):
                found[path] = column
    return found


def _copy_in(table: "pd.DataFrame", train: "pd.DataFrame", target: str, id_column: str | None) -> str | None:
    labels = train[target].reset_index(drop=True)
    if len(table) == len(train) and (column := _equal_column(table, labels)):
        return column
    if id_column is None or id_column not in train.columns or len(table) < _MOST_IDS * len(train):
        return None
    ids = train[id_column]
    for key in table.columns:
        if ids.isin(table[key]).mean() > _MOST_IDS:
            rows = table.drop_duplicates(key).set_index(key).reindex(ids).reset_index(drop=True)
            if column := _equal_column(rows, labels):
                return column
    return None


def _equal_column(rows: "pd.DataFrame", labels: "pd.Series[str]") -> str | None:
    """The column that has each row's label, as text or as a number; rows that are not known count for nothing."""
    import pandas as pd

    numbers = pd.to_numeric(labels, errors="coerce")
    for name in rows.columns:
        cells = rows[name]
        known = cells.notna()
        equal = (cells == labels) | (pd.to_numeric(cells, errors="coerce") == numbers)
        if known.mean() > _MOST_IDS and equal[known].mean() >= _EQUAL and labels.nunique() > 1:
            return str(name)
    return None
