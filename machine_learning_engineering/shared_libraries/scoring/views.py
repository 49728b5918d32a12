"""The views of a task: what scripts see as `./input`, and what they never see.

Search and audit views hold labelled rows back to score on, the final view shows everything. Labels of held-out rows
exist in the memory of the harness alone.
"""

import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.records import StagedView, Task, View
from machine_learning_engineering.shared_libraries.scoring.cells import spelling
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
from machine_learning_engineering.shared_libraries.tasks.table import read_table

if TYPE_CHECKING:
    import pandas as pd

    from machine_learning_engineering.shared_libraries.scoring.split import Rows

_OURS = ("train.csv", "test.csv", "sample_submission.csv", "task_description.txt")
_TABLES = (".csv", ".tsv", ".txt", ".md", ".dat", ".data")
_MEDIA = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".wav", ".mp3", ".flac", ".ogg", ".mp4", ".pdf")
_HEADER_BYTES = 2**16


@dataclass(frozen=True)
class HeldOut:
    """The rows that scripts are scored on; `rows` are positions in the train file, `labels` text in the same order.

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
            _fill_final(task, unfinished)
        else:
            _fill_held(task, view, config, unfinished)
        (unfinished / "task_description.txt").write_text(task.description, encoding="utf-8")
        _add_others(task, unfinished)
        digest = _digest(unfinished)
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


def held_out(task: Task, view: View, config: RunConfig) -> HeldOut | None:
    """What scripts of this view are scored on; None for the final view, whose labels nobody has."""
    return None if view.kind == "final" else _held_out(task, view, *_splitting(config))


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


_Splitting = tuple[int, int, float, float]


def _splitting(config: RunConfig) -> _Splitting:
    """The settings that a split depends on; the caches below go by them alone."""
    return config.seed, config.folds, config.select_fraction, config.audit_fraction


@lru_cache(maxsize=4)
def _split(task: Task, seed: int, folds: int, select: float, audit: float) -> Split:
    settings = RunConfig(seed=seed, folds=folds, select_fraction=select, audit_fraction=audit)
    return split(task, read_table(task.train), settings)


def _split_of(task: Task, config: RunConfig) -> Split:
    return _split(task, *_splitting(config))


@lru_cache(maxsize=32)
def _held_out(task: Task, view: View, seed: int, folds: int, select: float, audit: float) -> HeldOut:
    train = read_table(task.train)
    parts = _split(task, seed, folds, select, audit)
    rows = parts.audit if view.kind == "audit" else parts.folds[view.fold]
    labels = train[task.target].iloc[rows].reset_index(drop=True)
    if task.problem != "regression":
        labels = labels.astype(object).map(spelling(list(labels), task.profile.classes))
    units = units_of(task, train)
    expected = expect(task, _features(task, train, rows))
    return HeldOut(rows, labels, expected, None if units is None else units[rows])


@lru_cache(maxsize=4)
def _expected_final(task: Task) -> Expected:
    return expect(task, read_table(task.test))


def _fill_held(task: Task, view: View, config: RunConfig, folder: Path) -> None:
    train = read_table(task.train)
    held = held_out(task, view, config)
    assert held is not None
    fit = train.iloc[_fit_rows(task, train, view, held.rows, config)]
    if view.kind == "shuffled":
        labels = shuffled(fit[task.target], task.problem, generator(task, config.seed, "shuffled labels"))
        fit = fit.assign(**{task.target: labels})
    _write(fit, folder / "train.csv")
    _write(_features(task, train, held.rows), folder / "test.csv")
    _write(_sample(task, held.expected), folder / "sample_submission.csv")


def _fit_rows(task: Task, train: "pd.DataFrame", view: View, held: "Rows", config: RunConfig) -> "Rows":
    """The rows that no later score needs, in file order; a sample of them where they are too many to search on."""
    import numpy as np

    kept_back = np.union1d(held, _split_of(task, config).audit)
    rows = np.setdiff1d(np.arange(len(train)), kept_back)
    if len(rows) <= config.max_search_rows or view.kind == "audit":
        return rows
    rng = generator(task, config.seed, f"fit rows {config.max_search_rows}")
    return np.sort(draw(rows, classes_of(task, train), config.max_search_rows, rng))


def _features(task: Task, train: "pd.DataFrame", rows: "Rows") -> "pd.DataFrame":
    """Rows of the train file as a test file: the columns of the real test file, never the target.

    Where only the test file has ids, the rows are numbered.
    """
    columns = [column for column in read_table(task.test).columns if column != task.target]
    features = train.iloc[rows].reset_index(drop=True)
    if task.id is not None and task.id not in train.columns:
        features[task.id] = [str(number) for number in range(len(rows))]
    return features[[column for column in columns if column in features.columns]]


def _fill_final(task: Task, folder: Path) -> None:
    for source, name in ((task.train, "train.csv"), (task.test, "test.csv"), (task.sample, "sample_submission.csv")):
        if source is None:
            _write(_sample(task, _expected_final(task)), folder / name)
        elif source.suffix == ".csv":
            shutil.copyfile(source, folder / name)
        else:
            _write(read_table(source), folder / name)


def _sample(task: Task, expected: Expected) -> "pd.DataFrame":
    """A submission in the right form that knows nothing."""
    import pandas as pd

    neutral = expected.neutral(_commonest(task))
    ids = {} if expected.id is None else {expected.id: list(expected.ids or ())}
    return pd.DataFrame({**ids, **{column: [neutral] * expected.rows for column in expected.values}})


def _commonest(task: Task) -> str:
    counted = zip(task.profile.class_counts, task.profile.classes, strict=True)
    return max(counted, key=lambda pair: pair[0], default=(0, "0"))[1]


def _write(table: "pd.DataFrame", path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n")


def _add_others(task: Task, folder: Path) -> None:
    """Adds the task's further files, the same to every view, except those that may hold labels."""
    for source in task.others:
        home = task.home or task.train.parent
        inside = source.relative_to(home) if source.is_relative_to(home) else Path(source.name)
        target = folder / inside
        if source.is_file() and str(inside) not in _OURS and not may_hold_labels(source, task.target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def may_hold_labels(path: Path, target: str) -> bool:
    """Whether a further file names the target in its first line, or cannot be looked into (an archive, a binary)."""
    suffix = path.suffix.lower()
    if suffix in _MEDIA:
        return False
    if suffix not in _TABLES:
        return True
    with path.open("rb") as file:
        header = file.readline(_HEADER_BYTES).decode("utf-8-sig", errors="replace")
    cells = header.replace("\t", ",").replace(";", ",").replace("|", ",").split(",")
    return target.strip().lower() in {cell.strip().strip("\"'").lower() for cell in cells}


def _digest(folder: Path) -> str:
    """The digest of all names and bytes below a folder."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def _rename(unfinished: Path, final: Path) -> None:
    """Gives a finished folder its name unless another process was faster."""
    for parent, _, names in os.walk(unfinished):
        for name in names:
            Path(parent, name).chmod(0o444)
    try:
        unfinished.rename(final)
    except OSError:
        if not final.is_dir():
            raise
