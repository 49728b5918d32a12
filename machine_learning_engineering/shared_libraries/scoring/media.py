"""Where the files of rows lie in a view, and what the view's tables call them.

Files of rows in the view's `train.csv` stay where they are. Those of held-out rows lie where the files of the real test
rows do, `test/7.png` for `train/7.png`, so that a script finds both in the same way. Those of all other rows are left
out, and so is what only training rows have, such as masks. A name that gives a label away is left out of held-out rows'
paths: `test/7.png` for `train/cat/7.png`, and a number for `cat_7.png`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.records import Task
from machine_learning_engineering.shared_libraries.tasks.row_files import RowFiles, cell_path, row_files, side, side_of
from machine_learning_engineering.shared_libraries.tasks.table import read_table

if TYPE_CHECKING:
    import pandas as pd

_Folders = tuple[str, ...]
_Kind = tuple[_Folders, str]  # the outermost folders of files, and their extension


@dataclass(frozen=True)
class Move:
    """A file's place in a view: for each part of its path what stands there instead."""

    path: PurePosixPath
    parts: tuple[tuple[str, ...], ...]

    @property
    def place(self) -> PurePosixPath:
        return PurePosixPath(*chain(*self.parts))

    def renamed(self, cell: str) -> str:
        """What a cell that names the file calls it now: as much of its path as before, in the cell's own form."""
        said = cell_path(cell)
        whole = bool(self.path.suffix) and said.endswith(self.path.suffix)
        for length in range(len(self.parts), 0, -1):
            old = PurePosixPath(*self.path.parts[-length:])
            new = PurePosixPath(*chain(*self.parts[-length:]))
            old, new = (old, new) if whole else (old.with_suffix(""), new.with_suffix(""))
            if said == str(old) or said.endswith(f"/{old}"):
                return cell.strip().replace("\\", "/").removesuffix(str(old)) + str(new)
        return cell  # it is the last word of the file's name, which that keeps


Moves = Mapping[int, tuple[Move, ...]]  # by row


@lru_cache(maxsize=4)
def others_of(task: Task) -> Mapping[PurePosixPath, Path]:
    """A task's further files by where they lie below its folder."""
    home = task.home or task.train.parent
    return {
        PurePosixPath(path.relative_to(home) if path.is_relative_to(home) else path.name): path for path in task.others
    }


@lru_cache(maxsize=4)
def files_of_rows(task: Task) -> RowFiles | None:
    """The task's files that belong to rows; None where no column names any."""
    if not task.others:
        return None
    return row_files(others_of(task), read_table(task.train), read_table(task.test), task.target, task.id)


def to_test(files: RowFiles, rows: Sequence[int]) -> Moves:
    """How the files of held-out rows move, given the rows in the order of the view's `test.csv`."""
    return dict(_moves(files, rows, 0, _homes(files)))


def nameless(files: RowFiles, rows: Sequence[int], after: int) -> Moves:
    """How training rows' files are renamed so that no name tells a label; numbers begin after those of `after` rows."""
    return dict(_moves(files, rows, after, {kind: kind[0] for path in files.rows for kind in [_kind(files, path)]}))


def renamed(files: RowFiles, table: "pd.DataFrame", rows: Sequence[int], moves: Moves) -> "pd.DataFrame":
    """A table of a view, made of these training rows, with the names that their files have there."""
    new = {}
    for column in files.train:
        if column in table.columns:
            cells = enumerate(zip(rows, table[column], strict=True))
            new[column] = [_cell(files, column, cell, moves[row], row, number) for number, (row, cell) in cells]
    return table.assign(**new)


def _cell(files: RowFiles, column: str, cell: str, moves: Iterable[Move], row: int, number: int) -> str:
    named = files.train[column].get(row, ())
    for move in moves:
        if move.path in named:
            return move.renamed(cell)
    telling = (files.telling_names and not files.words) or (files.telling and "/" in cell_path(cell))
    return _number(number) if telling else cell  # it names a file that is not there


def _moves(
    files: RowFiles, rows: Iterable[int], first: int, homes: Mapping[_Kind, _Folders | None]
) -> Iterator[tuple[int, tuple[Move, ...]]]:
    for number, row in enumerate(rows, start=first):
        paths = dict.fromkeys(path for named in files.train.values() for path in named.get(row, ()))
        placed = ((again, path, homes[_kind(files, path)]) for again, path in enumerate(paths))
        yield row, tuple(_move(files, path, home, number, again) for again, path, home in placed if home is not None)


def _move(files: RowFiles, path: PurePosixPath, home: _Folders, number: int, again: int) -> Move:
    """The `again`-th file of the row with this number, moved from its outermost folders to those called `home`."""
    telling = _telling(files, path)
    folders = [() if n in telling else (part,) for n, part in enumerate(path.parts[:-1])]
    outer = [n for n in range(_depth(path)) if folders[n]]
    if len(outer) == len(home):
        for n, part in zip(outer, home, strict=True):
            folders[n] = (part,)
    elif folders:
        for n in outer:
            folders[n] = ()
        folders[0] = (*home, *folders[0])
    stem = path.stem
    if files.numbered:
        stem = files.words.get(path) or _number(number) + (f"_{again}" if again else "")
    return Move(path, (*folders, (stem + path.suffix,)))


def _number(number: int) -> str:
    return f"{number:06}"


def _depth(path: PurePosixPath) -> int:
    """How many folders of a path lead to the one that is named for training or testing; 1 where none is."""
    folders = path.parts[:-1]
    return next((n for n, folder in enumerate(folders, start=1) if side_of(folder)), min(1, len(folders)))


def _telling(files: RowFiles, path: PurePosixPath) -> frozenset[int]:
    """The folders of a path that give its row's label away; the one that is named for training does not."""
    if path in files.test:
        return frozenset()
    return files.telling - ({_depth(path) - 1} if side(path) else set())


def _kind(files: RowFiles, path: PurePosixPath) -> _Kind:
    """The outermost folders of a file, without those that give labels away, and its extension."""
    telling = _telling(files, path)
    return tuple(part for n, part in enumerate(path.parts[: _depth(path)]) if n not in telling), path.suffix.lower()


@lru_cache(maxsize=4)
def _homes(files: RowFiles) -> Mapping[_Kind, _Folders | None]:
    """For each kind of training rows' files the folders of such files of test rows; None where these have none.

    They have the same name, with `test` for `train`; else the only folders left belong to the kind of most files.
    """
    counts, theirs = Counter(_kind(files, path) for path in files.rows), {_kind(files, path) for path in files.test}
    alike = {(folders, suffix): (tuple(map(_for_testing, folders)), suffix) for folders, suffix in counts}
    if not theirs:
        return {kind: home[0] for kind, home in alike.items()}
    homes: dict[_Kind, _Folders | None] = dict.fromkeys(counts)
    homes |= {kind: home[0] for kind, home in alike.items() if home in theirs}
    left = theirs - set(alike.values())
    for suffix in {suffix for _, suffix in left}:
        free = [folders for folders, its in left if its == suffix]
        lonely = [kind for kind, _ in counts.most_common() if kind[1] == suffix and homes[kind] is None]
        if len(free) == 1 and lonely and [counts[kind] for kind in lonely].count(counts[lonely[0]]) == 1:
            homes[lonely[0]] = free[0]
    return homes


def _for_testing(folder: str) -> str:
    """`test_images` for `train_images`, in the spelling of its letters."""
    return re.sub(r"(?i)train(ing)?", _like, folder)


def _like(match: re.Match[str]) -> str:
    return "TEST" if match[0].isupper() else "Test" if match[0][0].isupper() else "test"
