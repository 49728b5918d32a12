"""Further files of a task folder that no script may see, because they hold the target or may do so."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.tasks.table import read_table

if TYPE_CHECKING:
    import pandas as pd

_TABLES = (".csv", ".tsv")
_TEXTS = (*_TABLES, ".txt", ".md", ".dat", ".data")
_MEDIA = frozenset((
    ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aif",
    ".aiff", ".mp4", ".mov", ".avi", ".pdf",
))  # fmt: skip
_HEADER_BYTES = 2**16
_MOST_BYTES = 200 * 2**20  # larger tables are not looked into
_MOST_IDS = 0.95  # of the training rows that a table tells of
_EQUAL = 0.99  # of those rows whose cell is the target's


def is_media(path: Path) -> bool:
    """Whether a file is a picture, a sound, a film or a page."""
    return path.suffix.lower() in _MEDIA


def why_withheld(path: Path, target: str) -> str:
    """Why a further file is not shown to scripts; empty where it is."""
    if is_media(path):
        return ""
    if path.suffix.lower() not in _TEXTS:
        return "archives and files of unknown kinds are not shown; unpack them, or save them as CSV"
    with path.open("rb") as file:
        header = file.readline(_HEADER_BYTES).decode("utf-8-sig", errors="replace")
    cells = header.replace("\t", ",").replace(";", ",").replace("|", ",").split(",")
    named = target.strip().lower() in {cell.strip().strip("\"'").lower() for cell in cells}
    return f"a column of it is named {target!r}" if named else ""


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
