"""The views of a task: what scripts see as `./input`, and what they never see.

Search and audit views hold labelled rows back to score on, the final view shows everything. Labels of held-out rows
exist in the memory of the harness alone.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.records import StagedView, Task, View
from machine_learning_engineering.shared_libraries.scoring.cells import spelling
from machine_learning_engineering.shared_libraries.scoring.media import (
    Moves,
    files_of_rows,
    nameless,
    others_of,
    renamed,
    to_test,
)
from machine_learning_engineering.shared_libraries.scoring.permuted import permuted, repeated
from machine_learning_engineering.shared_libraries.scoring.shuffled import shuffled
from machine_learning_engineering.shared_libraries.scoring.split import (
    Split,
    classes_of,
    draw,
    generator,
    split,
    units_of,
)
from machine_learning_engineering.shared_libraries.scoring.submission import Expected, accept, expect
from machine_learning_engineering.shared_libraries.tasks.content import content_digest
from machine_learning_engineering.shared_libraries.tasks.copies import is_media
from machine_learning_engineering.shared_libraries.tasks.table import read_table, write_table

if TYPE_CHECKING:
    import pandas as pd

    from machine_learning_engineering.shared_libraries.scoring.split import Rows

_OURS = ("train.csv", "test.csv", "sample_submission.csv", "task_description.txt")
_Others = Mapping[PurePosixPath, Path]  # the further files of a view, by their place in it


Splitting = tuple[int, int, float, float]


def splitting(config: RunConfig) -> Splitting:
    """The settings that a split depends on: caches go by them alone."""
    return config.seed, config.folds, config.select_fraction, config.audit_fraction


@dataclass(frozen=True)
class HeldOut:
    """The rows that scripts are scored on; `rows` are positions in the train file, `labels` text in the same order.

    They stand in random order, or as in the train file where the task has a time column.

    `units` has the number of the group that a row was held out with; None where rows stand alone.
    """

    rows: "Rows"
    labels: "pd.Series[str]"
    expected: Expected
    units: "Rows | None" = None


def stage(task: Task, view: View, config: RunConfig, root: Path) -> StagedView:
    """The view on disk as `root`/<digest>, made unless it is there; safe to call from several processes at once.

    Raises: TaskError if the data cannot be split as the task says.
    """
    root.mkdir(parents=True, exist_ok=True)
    unfinished = root / f".{secrets.token_hex(8)}.unfinished"
    unfinished.mkdir()
    try:
        if view.kind == "final":
            _fill_final(task, view, config, unfinished)
            others, unlinked = others_of(task), frozenset[PurePosixPath]()
        else:
            others, unlinked = _fill_held(task, view, config, unfinished)
        (unfinished / "task_description.txt").write_text(task.description, encoding="utf-8")
        digest = _add_others(others, unlinked, unfinished, _finish(unfinished))
        _rename(unfinished, root / digest)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return StagedView(view=view, path=root / digest, digest=digest)


def fold_views(task: Task, config: RunConfig) -> tuple[View, ...]:
    """The search views of a task, one a fold; the first is `SEARCH`."""
    return tuple(View(kind="search", fold=fold) for fold in range(len(_split_of(task, config).folds)))


def audit_rows(task: Task, config: RunConfig) -> int:
    """How many rows the audit view holds back; 0 where the table is too small to spare any."""
    return len(_split_of(task, config).audit)


def held_out_by(task: Task, view: View, settings: Splitting) -> HeldOut | None:
    """As `held_out`, by what counts of the settings."""
    return None if view.kind == "final" else _held_out(task, view, *settings)


def held_out(task: Task, view: View, config: RunConfig) -> HeldOut | None:
    """What scripts of this view are scored on; None for the final view, whose labels nobody has."""
    return held_out_by(task, view, splitting(config))


def expected_submission(task: Task, view: View, config: RunConfig) -> Expected:
    """What a submission made on this view must hold."""
    held = held_out(task, view, config)
    return _expected_final(task) if held is None else held.expected


def accepted_bytes(task: Task, submission: Path) -> bytes:
    """A valid submission for the real test file as it is handed in: as it stands, or with its lossless repairs."""
    accepted = accept(submission, _expected_final(task))
    if not accepted.notes:
        return submission.read_bytes()
    return accepted.table.to_csv(index=False, lineterminator="\n").encode()


@lru_cache(maxsize=1)
def _train(task: Task) -> "pd.DataFrame":
    """The training rows. As those of the test file, they are shared by all callers: they are read and never changed."""
    return read_table(task.train)


@lru_cache(maxsize=1)
def _test(task: Task) -> "pd.DataFrame":
    return read_table(task.test)


def forget_tables() -> None:
    """Lets go of the data that several views were made of, since they may be large."""
    for read in (_train, _test):
        read.cache_clear()


@lru_cache(maxsize=4)
def _split(task: Task, seed: int, folds: int, select: float, audit: float) -> Split:
    settings = RunConfig(seed=seed, folds=folds, select_fraction=select, audit_fraction=audit)
    return split(task, _train(task), settings)


def _split_of(task: Task, config: RunConfig) -> Split:
    return _split(task, *splitting(config))


def _kept_back(view: View, parts: Split) -> tuple[str, "Rows"]:
    """The rows that a view shows no labels of, and what they are called; the audit rows are never shown either."""
    if view.kind == "audit" or (view.kind == "permuted" and len(parts.audit)):
        return "audit", parts.audit
    return f"fold {view.fold}", parts.folds[view.fold]


@lru_cache(maxsize=32)
def _held_out(task: Task, view: View, seed: int, folds: int, select: float, audit: float) -> HeldOut:
    train = _train(task)
    parts = _split(task, seed, folds, select, audit)
    name, rows = _kept_back(view, parts)
    if task.time is None:  # in the order of the train file their places could tell labels
        rows = generator(task, seed, f"order of {name}").permutation(rows)
    if view.kind == "permuted":
        rows = repeated(task, rows, seed)
    labels = train[task.target].iloc[rows].reset_index(drop=True)
    if task.problem != "regression":
        labels = labels.astype(object).map(spelling(list(labels), task.profile.classes))
    units = units_of(task, train)
    expected = expect(task, _test_rows(task, train, view, rows, seed))
    return HeldOut(rows, labels, expected, None if units is None else units[rows])


@lru_cache(maxsize=4)
def _expected_final(task: Task) -> Expected:
    return expect(task, _test(task))


def _fill_held(task: Task, view: View, config: RunConfig, folder: Path) -> tuple[_Others, frozenset[PurePosixPath]]:
    """Writes the tables; the further files of the view, and the places of those that may not be links."""
    train = _train(task)
    held = held_out(task, view, config)
    assert held is not None
    rows = _fit_rows(task, train, view, config)
    fit, files = train.iloc[rows], files_of_rows(task)
    unnamed: Moves = {}
    if view.kind == "shuffled":
        labels = shuffled(fit[task.target], task.problem, generator(task, config.seed, "shuffled labels"))
        fit = fit.assign(**{task.target: labels})
        if files is not None and files.tells:
            unnamed = nameless(files, list(rows), after=len(held.rows))
            fit = renamed(files, fit, list(rows), unnamed)
    write_table(fit, folder / "train.csv")
    write_table(_test_rows(task, train, view, held.rows, config.seed), folder / "test.csv")
    write_table(_sample(task, held.expected), folder / "sample_submission.csv")
    return _others_held(task, rows, held.rows, unnamed)


def _others_held(task: Task, fit: "Rows", held: "Rows", unnamed: Moves) -> tuple[_Others, frozenset[PurePosixPath]]:
    """The further files where `held` rows are held out: of files that belong to rows, those of `fit` and `held` alone.

    `unnamed` are the new names of files of `fit` rows that may not keep theirs. Where names tell labels, so do times
    and inodes of files that were made class by class: what lost its name is not linked.
    """
    others = others_of(task)
    if (files := files_of_rows(task)) is None:
        return others, frozenset()
    shown = set(fit.tolist()) - unnamed.keys()
    of_rows = {path: others[path] for path, rows in files.rows.items() if rows & shown}
    both = (unnamed, to_test(files, held.tolist()))
    moved = {move.place: others[move.path] for moves in both for of_row in moves.values() for move in of_row}
    kept = {place: path for place, path in others.items() if not files.has(place)}
    return kept | of_rows | moved, frozenset(moved if files.tells else ())


def _fit_rows(task: Task, train: "pd.DataFrame", view: View, config: RunConfig) -> "Rows":
    """The rows that no later score needs, in file order; a sample of them where they are too many to search on."""
    import numpy as np

    parts = _split_of(task, config)
    rows = np.setdiff1d(np.arange(len(train)), np.union1d(_kept_back(view, parts)[1], parts.audit))
    most = view.rows if view.kind == "audit" else config.max_search_rows
    return rows if most is None else _sample_of(task, train, rows, most, config)


def _sample_of(task: Task, train: "pd.DataFrame", rows: "Rows", most: int, config: RunConfig) -> "Rows":
    """At most so many of these rows, in file order, with the share of each class."""
    import numpy as np

    if len(rows) <= most:
        return rows
    return np.sort(draw(rows, classes_of(task, train), most, generator(task, config.seed, f"fit rows {most}")))


def _features(task: Task, train: "pd.DataFrame", rows: "Rows") -> "pd.DataFrame":
    """Rows of the train file as a test file: the columns of the real test file, never the target.

    Where only the test file has ids, the rows are numbered.
    """
    columns = [column for column in _test(task).columns if column != task.target]
    features = train.iloc[rows].reset_index(drop=True)
    if task.id is not None and task.id not in train.columns:
        features[task.id] = [str(number) for number in range(len(rows))]
    features = features[[column for column in columns if column in features.columns]]
    files = files_of_rows(task)
    return features if files is None else renamed(files, features, rows.tolist(), to_test(files, rows.tolist()))


def _test_rows(task: Task, train: "pd.DataFrame", view: View, rows: "Rows", seed: int) -> "pd.DataFrame":
    """The test file of a view that holds these rows back."""
    features = _features(task, train, rows)
    return permuted(task, features, seed) if view.kind == "permuted" else features


def _fill_final(task: Task, view: View, config: RunConfig, folder: Path) -> None:
    for source, name in ((task.train, "train.csv"), (task.test, "test.csv"), (task.sample, "sample_submission.csv")):
        if source is None:
            write_table(_sample(task, _expected_final(task)), folder / name)
        elif source.suffix == ".csv":
            shutil.copyfile(source, folder / name)
        else:
            write_table(read_table(source), folder / name)
    if view.rows is not None:
        import numpy as np

        train = _train(task)
        rows = _sample_of(task, train, np.arange(len(train)), view.rows, config)
        write_table(train.iloc[rows], folder / "train.csv")


def _sample(task: Task, expected: Expected) -> "pd.DataFrame":
    """A submission in the right form that knows nothing."""
    import pandas as pd

    neutral = expected.neutral(_commonest(task))
    ids = {} if expected.id is None else {expected.id: list(expected.ids or ())}
    return pd.DataFrame({**ids, **{column: [neutral] * expected.rows for column in expected.values}})


def _commonest(task: Task) -> str:
    counted = zip(task.profile.class_counts, task.profile.classes, strict=True)
    return max(counted, key=lambda pair: pair[0], default=(0, "0"))[1]


def _add_others(
    others: _Others, unlinked: frozenset[PurePosixPath], folder: Path, digests: dict[PurePosixPath, bytes]
) -> str:
    """Adds further files to a folder, whose own files have these digests; the digest of all names and bytes.

    Media are hard links where the file system allows it: they are many, and scripts reach a view only through a
    read-only mount or a copy of their own. Those `unlinked` are copies, made in the order of their places, without
    times.
    """
    others = {place: source for place, source in others.items() if str(place) not in _OURS and source.is_file()}
    for parent in {place.parent for place in others}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
    for place, source in sorted(others.items(), key=lambda item: str(item[0])):
        if place in unlinked:
            _copy(source, folder / place)
            os.utime(folder / place, (0, 0))
        else:
            _link_or_copy(source, folder / place)
        digests[place] = content_digest(source)
    total = hashlib.sha256()
    for place, digest in sorted(digests.items(), key=lambda item: str(item[0])):
        total.update(f"{place}\0{digest.hex()}\n".encode())
    return total.hexdigest()


def _link_or_copy(source: Path, target: Path) -> None:
    """A hard link keeps its mode, which is the person's own; a copy is made read-only."""
    if is_media(source) and not source.is_symlink():
        with contextlib.suppress(OSError):  # another file system, or somebody else's file
            target.hardlink_to(source)
            return
    _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o444)


def _finish(folder: Path) -> dict[PurePosixPath, bytes]:
    """Makes a folder's files read-only; their digests by name."""
    digests = {}
    for path in folder.iterdir():
        path.chmod(0o444)
        with path.open("rb") as file:
            digests[PurePosixPath(path.name)] = hashlib.file_digest(file, "sha256").digest()
    return digests


def _rename(unfinished: Path, final: Path) -> None:
    """Gives a finished folder its name unless another process was faster."""
    try:
        unfinished.rename(final)
    except OSError:
        if not final.is_dir():
            raise
