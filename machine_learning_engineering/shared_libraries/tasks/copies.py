"""Further files of a task folder that no script may see, because they hold the target or may do so.

A table tells the target where a column of it follows from the labels of the training rows that it tells of: known by
their id, by their features, or row by row. So does a list that has the ids of one class alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine_learning_engineering.shared_libraries.tasks.text_table import read_cells

if TYPE_CHECKING:
    import pandas as pd

    Cells = pd.Series[Any]

_TEXTS = (".csv", ".tsv", ".txt", ".md", ".dat", ".data")
_MEDIA = frozenset((
    ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aif",
    ".aiff", ".mp4", ".mov", ".avi", ".pdf",
))  # fmt: skip
_HEADER_BYTES = 2**16
_LEAST_ROWS = 20  # that a table tells of; of fewer it is right by chance
_MOST_COLUMNS = 300  # looked at of a table
_TRIED = 2_000  # cells of a column, for whether it has ids
_SURE = 0.99  # of the rows of each label
_REPEATED = 5  # rows of a label, for what others of it say of one
_ALIKE = 0.999  # rank correlation of a column with a target of numbers


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
    if "\0" in header:
        return "it is no text"
    cells = header.replace("\t", ",").replace(";", ",").replace("|", ",").split(",")
    named = target.strip().lower() in {cell.strip().strip("\"'").lower() for cell in cells}
    return f"a column of it is named {target!r}" if named else ""


def copies_of_target(
    paths: Iterable[Path], train: "pd.DataFrame", test: "pd.DataFrame", target: str, id_column: str | None
) -> dict[Path, str]:
    """The files that tell the target of training rows, and the column that does."""
    found: dict[Path, str] = {}
    known = None
    for path in paths:
        if not is_media(path) and (table := read_cells(path)) is not None and len(table) >= _LEAST_ROWS:
            known = known or _Known.of(train, test, target, id_column)
            ways = known.ways(table.iloc[:, :_MOST_COLUMNS])
            if column := next((column for way in ways if (column := way.telling())), None):
                found[path] = column
    return found


@dataclass(frozen=True)
class _Way:
    """A way in which rows of a table are training rows: the cells of these, in the order of their labels.

    `names` are those of the columns; `of_test` says whether the table tells of test rows, too: then a column may well
    be a feature that merely goes with the target.
    """

    cells: "pd.DataFrame"
    labels: "Cells"
    names: "Cells"
    of_test: bool = False

    def telling(self) -> str | None:
        """The column that tells the labels."""
        for column in map(int, self.cells.columns):
            cells = _plain(self.cells[column])
            if _tells(cells, self.labels) and (not self.of_test or _tells(self.labels, cells)):
                return str(self.names[column]) or f"column {column + 1}"
        return None


@dataclass(frozen=True)
class _Known:
    """The task's own tables: labels and ids of training rows, ids of test rows, and the features of both."""

    labels: "Cells"
    ids: "Cells | None"
    new_ids: "Cells | None"
    train: "pd.DataFrame"
    test: "pd.DataFrame"

    @classmethod
    def of(cls, train: "pd.DataFrame", test: "pd.DataFrame", target: str, id_column: str | None) -> "_Known":
        has_ids = id_column is not None and id_column in train.columns
        ids, new = (_plain(train[id_column]), _plain(test[id_column])) if has_ids else (None, None)
        shared = [name for name in test.columns if name in train.columns and name not in (target, id_column)]
        features = train[shared].reset_index(drop=True)
        labels = _plain(train[target]).reset_index(drop=True)
        return cls(labels, None if ids is None else ids.reset_index(drop=True), new, features, test[shared])

    def ways(self, table: "pd.DataFrame") -> Iterator[_Way]:
        """The ways to find training rows in a table: row by row, by an id, by all features that it has."""
        names = table.iloc[0]
        for header in (1, 0):
            if len(table) - header == len(self.labels):
                yield _Way(table[header:].reset_index(drop=True), self.labels, names)
        if self.ids is not None and self.new_ids is not None:
            known = frozenset(self.ids)
            for column in table.columns:
                keys = _plain(table[column])
                if not known.isdisjoint(keys[:: 1 + len(keys) // _TRIED]):
                    yield from self._by_key(keys, table.drop(columns=column), self.ids, self.new_ids, names)
        places = {str(name).strip(): column for column, name in names.items()}
        if len(shared := [name for name in self.train.columns if name in places]) > 1:
            columns = [places[name] for name in shared]
            ids, new = _joined(self.train[shared]), _joined(self.test[shared])
            yield from self._by_key(_joined(table[columns]), table.drop(columns=columns), ids, new, names)

    def _by_key(
        self, keys: "Cells", cells: "pd.DataFrame", ids: "Cells", new: "Cells", names: "Cells"
    ) -> Iterator[_Way]:
        """The training rows that a table tells of; and whether it does at all, as if that were a column of it."""
        import pandas as pd

        listed = ids.isin(keys)
        if listed.sum() < _LEAST_ROWS:
            return
        of_test = bool(new.isin(keys).mean() > 0.5)
        first = ~keys.duplicated()
        rows = cells[first].set_axis(keys[first]).reindex(ids[listed]).reset_index(drop=True)
        yield _Way(rows, self.labels[listed].reset_index(drop=True), names, of_test)
        if (~listed).sum() >= _LEAST_ROWS:
            yield _Way(pd.DataFrame({0: listed.astype(str)}), self.labels, pd.Series(["rows"]), of_test)


def _plain(cells: "Cells") -> "Cells":
    """Cells as text, the same for all spellings of a number."""
    import pandas as pd

    text = cells.fillna("").astype(str).str.strip().str.lower()
    numbers = pd.to_numeric(text.str.replace(",", "."), errors="coerce").astype(float)
    return numbers.astype(str).where(numbers.notna(), text)


def _joined(cells: "pd.DataFrame") -> "Cells":
    joined = _plain(cells.iloc[:, 0])
    for column in cells.columns[1:]:
        joined = joined + "\0" + _plain(cells[column])
    return joined


def _tells(cells: "Cells", labels: "Cells") -> bool:
    """Whether cells are the labels, follow from labels that occur often, or rise or fall with labels that are numbers.

    Labels count alike, however many rows they have: of rare ones nothing is told by a column of zeros.
    """
    import pandas as pd

    if min(cells.nunique(), labels.nunique()) < 2:
        return False
    if (cells == labels).groupby(labels).mean().mean() >= _SURE:
        return True
    often = labels.groupby(labels).transform("size") >= _REPEATED
    if often.mean() > 0.5:
        counts = pd.crosstab(labels[often], cells[often]) if cells.nunique() <= labels.nunique() else None
        if counts is None or counts.idxmax(axis=1).nunique() < 2:
            return False
        return bool((counts.max(axis=1) / counts.sum(axis=1)).mean() >= _SURE)
    ranks = pd.concat([pd.to_numeric(side, errors="coerce") for side in (cells, labels)], axis=1).dropna().rank()
    return len(ranks) >= _LEAST_ROWS and abs(ranks.iloc[:, 0].corr(ranks.iloc[:, 1])) >= _ALIKE
