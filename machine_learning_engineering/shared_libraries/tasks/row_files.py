"""The files of a task folder that belong to rows of its tables: pictures, sounds, texts, named by a column.

A column may name its files by their whole path, by any end of it, with or without the extension: `train/cat/7.png`,
`cat/7.png`, `7.png` or `7`. A number may also be the last word of a file's name: 7 is `cat.7.jpg`.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.tasks.table import read_table

if TYPE_CHECKING:
    import pandas as pd

_NAMING = 0.5  # of a column's rows name a file, or it names none
_TELLING = 0.95  # of the rows whose label a part of the name gives away
_LISTED = 0.05  # of the files of rows, named in another table
_FEW_ROWS = 4  # for each spelling of a part, below which it tells a label by chance

Index = Mapping[str, Sequence[PurePosixPath]]


@dataclass(frozen=True, eq=False)
class RowFiles:
    """Which files belong to which rows, each path relative to the task folder.

    `train` has the files of each training row by column, `test` those of all test rows. `telling` numbers the folders
    of a path that give its row's label away, from the outermost; `telling_names` says whether file names do. `words`
    has what stands for such a name in the table: the last word of it.
    """

    train: Mapping[str, Mapping[int, tuple[PurePosixPath, ...]]]
    test: frozenset[PurePosixPath] = frozenset()
    telling: frozenset[int] = frozenset()
    telling_names: bool = False
    words: Mapping[PurePosixPath, str] = field(default_factory=dict)

    @property
    def tells(self) -> bool:
        """Whether names give labels away."""
        return bool(self.telling) or self.telling_names

    @cached_property
    def numbered(self) -> bool:
        """Whether files without what gives labels away need new names, because theirs do too or would be the same."""
        short = {tuple(part for n, part in enumerate(path.parts) if n not in self.telling) for path in self.rows}
        return self.telling_names or len(short) < len(self.rows)

    def has(self, path: PurePosixPath) -> bool:
        """Whether a file belongs to a row of either table."""
        return path in self.rows or path in self.test

    @cached_property
    def rows(self) -> Mapping[PurePosixPath, set[int]]:
        """The training rows of each file that has any."""
        found: dict[PurePosixPath, set[int]] = defaultdict(set)
        for named in self.train.values():
            for row, paths in named.items():
                for path in paths:
                    found[path].add(row)
        return found


def row_files(
    paths: Iterable[PurePosixPath], train: "pd.DataFrame", test: "pd.DataFrame", target: str, id_column: str | None
) -> RowFiles | None:
    """The files that belong to rows, and what their names tell; None where no column names files."""
    paths = tuple(paths)
    ours = [path for path in paths if side(path) != "test"]
    theirs = [path for path in paths if side(path) != "train"]
    features = [str(name) for name in train.columns if name != target]
    for keys_of in (path_keys, _last_word):
        found = _naming_columns(train, features, _index(ours, keys_of), id_column)
        if found:
            break
    else:
        return None
    found = {column: _with_siblings(named, ours) for column, named in found.items()}
    indices = [_index(theirs, keys) for keys in dict.fromkeys((path_keys, keys_of))]
    columns = [test[name] for name in found if name in test.columns]
    named = frozenset(path for cells in columns for cell in cells for index in indices for path in _named(cell, index))
    rows = RowFiles(found).rows
    telling, telling_names = _telling(rows, train[target])
    words = {path: key for path in rows for key in _last_word(path)} if keys_of is _last_word else {}
    return RowFiles(found, named - rows.keys(), telling, telling_names, words)


def lists_of_names(paths: Iterable[Path], files: RowFiles) -> list[Path]:
    """The tables with a column that names many files of training rows in a way that gives their labels away."""
    known = _index(files.rows, path_keys)
    return [path for path in paths if path.suffix in (".csv", ".tsv") and _lists(path, files, known)]


def _lists(path: Path, files: RowFiles, known: Index) -> bool:
    try:
        table = read_table(path)
    except TaskError:
        return False
    columns = (table[name] for name in table.columns if files.telling_names or table[name].str.contains("/").any())
    return any(sum(bool(_named(cell, known)) for cell in column) >= _LISTED * len(files.rows) for column in columns)


def side(path: PurePosixPath) -> Literal["train", "test"] | None:
    """Whether a path leads through a folder named for training or for testing."""
    return next((named for folder in path.parts[:-1] if (named := side_of(folder))), None)


@cache
def side_of(folder: str) -> Literal["train", "test"] | None:
    """What a folder of this name is for."""
    words = set(re.findall("[a-z]+", folder.lower()))
    return "train" if words & {"train", "training"} else "test" if words & {"test", "testing"} else None


def path_keys(path: PurePosixPath) -> Iterator[str]:
    """Everything that a cell may call a file: each end of its path, with and without the extension."""
    for start in range(len(path.parts)):
        end = PurePosixPath(*path.parts[start:])
        yield str(end)
        if path.suffix:
            yield str(end.with_suffix(""))


def cell_path(cell: str) -> str:
    """The path that a cell holds, in the spelling of `path_keys`."""
    return cell.strip().replace("\\", "/").removeprefix("./").lstrip("/")


def _last_word(path: PurePosixPath) -> Iterator[str]:
    words = re.findall(r"[^\W_]+", path.stem)
    if len(words) > 1:
        yield words[-1]


def _index(paths: Iterable[PurePosixPath], keys_of: Callable[[PurePosixPath], Iterator[str]]) -> Index:
    index: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in paths:
        for key in keys_of(path):
            index[key].append(path)
    return index


def _named(cell: str, index: Index) -> tuple[PurePosixPath, ...]:
    """The files that a cell names, by its longest end that names any."""
    parts = cell_path(cell).split("/")
    for start in range(len(parts)):
        if found := index.get("/".join(parts[start:])):
            return tuple(found)
    return ()


def _naming_columns(
    train: "pd.DataFrame", columns: Iterable[str], index: Index, id_column: str | None
) -> dict[str, dict[int, tuple[PurePosixPath, ...]]]:
    """The files of each row: by columns of file names, and by one, the id before others, of names without ending."""
    written, plain = {}, {}
    for column in columns:
        found = {row: paths for row, cell in enumerate(train[column]) if cell and (paths := _named(cell, index))}
        if len(found) < _NAMING * len(train):
            continue
        whole = sum(train[column].iloc[row].strip().endswith(paths[0].suffix or "/") for row, paths in found.items())
        distinct = len({path for paths in found.values() for path in paths})
        if whole >= _NAMING * len(train):
            written[column] = found
        elif distinct >= _NAMING * len(train):
            plain[column] = (column == id_column, distinct, found)
    if plain:
        best = max(plain, key=lambda column: plain[column][:2])
        written[best] = plain[best][2]
    return written


def _with_siblings(
    named: Mapping[int, tuple[PurePosixPath, ...]], paths: Iterable[PurePosixPath]
) -> dict[int, tuple[PurePosixPath, ...]]:
    """The files of each row and all others called as one of them, such as its mask; a name of two rows is nobody's."""
    rows_of: dict[str, set[int]] = defaultdict(set)
    for row, own in named.items():
        for path in own:
            rows_of[path.stem].add(row)
    found = {row: dict.fromkeys(own) for row, own in named.items()}
    for path in paths:
        if len(rows := rows_of.get(path.stem, ())) == 1:
            found[next(iter(rows))][path] = None
    return {row: tuple(own) for row, own in found.items()}


def _telling(rows: Mapping[PurePosixPath, set[int]], labels: "pd.Series[str]") -> tuple[frozenset[int], bool]:
    """The numbers of the folders that give labels away, and whether file names do."""
    import pandas as pd

    alone = {path: labels.iloc[next(iter(of))] for path, of in rows.items() if len(of) == 1}
    known = pd.Series(list(alone.values()), dtype=object)
    depth = max((len(path.parts) for path in alone), default=1) - 1
    folders = ([path.parts[n] if n < len(path.parts) - 1 else "" for path in alone] for n in range(depth))
    telling = frozenset(n for n, folder in enumerate(folders) if tells(pd.Series(folder, dtype=object), known))
    words = [re.findall(r"[^\W\d_]+|\d+", path.stem) for path in alone]
    most = min(max(map(len, words), default=0), 8)
    parts = [[of[n] if n < len(of) else "" for of in words] for n in range(most)]
    parts.append([re.sub(r"[\d\W_]+", " ", path.stem) for path in alone])
    return telling, any(tells(pd.Series(part, dtype=object), known) for part in parts)


def tells(parts: "pd.Series[str]", labels: "pd.Series[str]") -> bool:
    """Whether a part of a name is the label, or stands for it.

    It stands for it where it has few spellings and the commonest label of each is right for nearly all rows of every
    class.
    """
    import pandas as pd

    classes = labels.nunique()
    if classes < 2:
        return False
    numbers = pd.to_numeric(parts, errors="coerce") == pd.to_numeric(labels, errors="coerce")
    if ((parts.str.lower() == labels.str.lower()) | numbers).mean() >= _TELLING:
        return True
    if not 2 <= parts.nunique() <= min(2 * classes, len(parts) // _FEW_ROWS):
        return False
    guessed = parts.map(labels.groupby(parts).agg(lambda some: some.value_counts().index[0]))
    return bool((guessed == labels).groupby(labels).mean().mean() >= _TELLING)
