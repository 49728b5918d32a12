"""The held-out rows: disjoint from the rest, deterministic, stratified, whole groups, last in time."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.records import Task
from machine_learning_engineering.shared_libraries.scoring.split import (
    MAX_HELD_OUT_ROWS,
    Split,
    classes_of,
    draw,
    split,
)
from machine_learning_engineering.shared_libraries.tasks.metrics import METRICS
from machine_learning_engineering.shared_libraries.tasks.table import read_table
from tests.unit.scoring.conftest import ACCURACY, build_task

KINDS = {
    "plain": {},
    "grouped": {"group": "g"},
    "timed": {"time": "t"},
    "classes": {"problem": "multiclass", "metric": ACCURACY, "classes": ("a", "b", "c")},
}


def split_of(task: Task, **settings: Any) -> Split:
    return split(task, read_table(task.train), RunConfig(**settings))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(
    rows=st.integers(12, 90), seed=st.integers(0, 2**32 - 1), folds=st.integers(1, 6), fraction=st.floats(0.05, 0.85)
)
def test_the_split_is_a_pure_function(
    kind: str, rows: int, seed: int, folds: int, fraction: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    task = build_task(tmp_path_factory.mktemp("task"), rows=rows, **KINDS[kind])
    made = split_of(task, seed=seed, folds=folds, select_fraction=fraction)
    again = split_of(task, seed=seed, folds=folds, select_fraction=fraction)
    held = [row for fold in made.folds for row in fold]
    assert len(held) == len(set(held))
    assert len(made.audit) == 0
    for fold, same in zip(made.folds, again.folds, strict=True):
        assert list(fold) == sorted(fold) == list(same)
        assert 0 < len(fold) < rows
        assert set(fold) <= set(range(rows))


@pytest.mark.parametrize("kind", KINDS)
def test_folds_and_audit_share_no_row_and_folds_cover_the_rest(kind: str, tmp_path: Path) -> None:
    task = build_task(tmp_path, rows=600, **KINDS[kind])
    made = split_of(task)
    rows = [row for part in (*made.folds, made.audit) for row in part]
    assert len(rows) == len(set(rows))
    assert len(made.audit) == pytest.approx(90, abs=5) if kind != "timed" else len(made.audit) > 0
    assert kind == "timed" or len(rows) == 600
    assert len(made.folds) == (1 if kind == "timed" else 5)


def test_seed_and_digest_change_the_split(tmp_path: Path) -> None:
    task = build_task(tmp_path)
    first = list(split_of(task, seed=1).folds[0])
    assert first != list(split_of(task, seed=2).folds[0])
    assert first != list(split_of(task.model_copy(update={"digest": "e"}), seed=1).folds[0])


@pytest.mark.parametrize("folds", [1, 5])
def test_every_class_gives_its_share(folds: int, tmp_path: Path) -> None:
    task = build_task(tmp_path, rows=60, problem="binary", metric=ACCURACY, classes=("a", "a", "b"))
    train = read_table(task.train)
    for fold in split_of(task, folds=folds, select_fraction=0.2).folds:
        assert train["y"].iloc[fold].value_counts().to_dict() == {"a": 8, "b": 4}


def test_the_first_fold_has_a_row_of_every_rare_class(tmp_path: Path) -> None:
    """It is scored alone at first, and there are metrics that need every class."""
    task = build_task(tmp_path, rows=60, problem="multiclass", metric=ACCURACY, classes=(*"abcd", *"ab" * 8))
    train = read_table(task.train)
    for seed in range(5):
        folds = split_of(task, seed=seed).folds
        of_class = [train["y"].iloc[fold].value_counts().to_dict() for fold in folds]
        assert [found.get("c", 0) for found in of_class] == [found.get("d", 0) for found in of_class] == [1, 1, 1, 0, 0]
        assert all(found["a"] in (5, 6) for found in of_class)


@pytest.mark.parametrize("folds", [1, 5])
def test_groups_stay_whole(folds: int, tmp_path: Path) -> None:
    task = build_task(tmp_path, group="g", shared_groups=False)
    train = read_table(task.train)
    for fold in split_of(task, folds=folds, select_fraction=0.2).folds:
        inside = set(train["g"].iloc[fold])
        assert not inside & set(train["g"].drop(index=train.index[fold]))
        assert len(fold) in (10, 15)


@pytest.mark.parametrize("known", [0, 3, 5, 10])
def test_held_out_rows_meet_as_many_known_groups_as_test_rows_do(known: int, tmp_path: Path) -> None:
    """Of 10 test rows so many are of groups that the train file has; so is that share of the held-out rows."""
    task = build_task(tmp_path, rows=300, group="g", shared_groups=False)
    lines = task.test.read_text().splitlines()
    lines[1 : known + 1] = [line.replace(",new0", ",g7").replace(",new1", ",g9") for line in lines[1 : known + 1]]
    task.test.write_text("\n".join(lines) + "\n")
    groups = read_table(task.train)["g"]
    met = sum(groups.iloc[fold].isin(groups.drop(fold)).sum() for fold in split_of(task).folds)
    assert met / 300 == pytest.approx(known / 10, abs=0.05)


def test_the_last_rows_in_time_are_held_out(tmp_path: Path) -> None:
    task = build_task(tmp_path, rows=600, time="t")
    train, made = read_table(task.train), split_of(task)
    before = train["t"].drop(index=train.index[[*made.folds[0], *made.audit]])
    assert before.max() < train["t"].iloc[made.folds[0]].min()
    assert train["t"].iloc[made.folds[0]].max() < train["t"].iloc[made.audit].min()


@pytest.mark.parametrize(("rows", "a_day"), [(60, 7), (600, 40)])
def test_rows_of_one_time_are_not_torn(rows: int, a_day: int, tmp_path: Path) -> None:
    """Who trains on half of a day knows much of its other half."""
    task = build_task(tmp_path, rows=rows, time="t")
    lines = task.train.read_text().splitlines()
    days = [f"{1 + n // a_day:02}/03/2021" for n in range(rows)]
    cells = [line.split(",") for line in lines[1:]]
    task.train.write_text(
        "\n".join([lines[0], *(",".join([*c[:3], d, c[4]]) for c, d in zip(cells, days, strict=True))])
    )
    made = split_of(task)
    parts = [set(days) - {days[n] for n in (*made.folds[0], *made.audit)}]
    parts += [{days[n] for n in part} for part in (made.folds[0], made.audit) if len(part)]
    assert sum(map(len, parts)) == len(set(days))
    assert all(max(early) < min(late) for early, late in pairwise(parts))


def test_a_time_that_is_no_time_is_named(tmp_path: Path) -> None:
    task = build_task(tmp_path, time="g")
    with pytest.raises(TaskError, match=r"'g'.*neither a number nor a date"):
        split_of(task)


def test_large_tables_are_split_once_and_at_most_so_many_rows_are_held_out(tmp_path: Path) -> None:
    task = build_task(tmp_path, rows=50_000)
    made = split_of(task, select_fraction=0.45, audit_fraction=0.45)
    assert [len(made.folds), len(made.folds[0]), len(made.audit)] == [1, MAX_HELD_OUT_ROWS, MAX_HELD_OUT_ROWS]


@given(st.lists(st.integers(2, 40), min_size=1, max_size=8), st.data())
def test_a_stratified_draw_takes_no_row_twice_and_no_class_whole(sizes: list[int], data: st.DataObject) -> None:
    import numpy as np

    classes = np.repeat(np.arange(len(sizes)), sizes)
    count = data.draw(st.integers(1, len(classes) - 1))
    drawn = draw(np.arange(len(classes)), classes, count, np.random.default_rng(0))
    assert len(set(drawn)) == len(drawn)
    taken = np.bincount(classes[drawn], minlength=len(sizes))
    assert (taken < sizes).all()
    assert count < len(sizes) or (taken >= 1).all()


def test_a_class_of_one_row_turns_stratification_off(tmp_path: Path) -> None:
    task = build_task(tmp_path, rows=3, problem="binary", metric=ACCURACY, classes=("a", "b"))
    assert classes_of(task, read_table(task.train)) is None


AUC = {"problem": "binary", "metric": METRICS["auc"], "classes": ("a",) * 580 + ("b",) * 20}


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (slice(None), "not held out for scoring are all of one class.*leave --time away"),
        (slice(None, None, -1), "held out for scoring are all of one class.*log_loss, or leave --time away"),
    ],
)
def test_rows_of_one_class_are_told_before_anything_runs(order: slice, told: str, tmp_path: Path) -> None:
    """Nothing can be learned from them, and there are metrics that cannot judge them."""
    task = build_task(tmp_path, rows=600, time="t", **AUC)
    lines = task.train.read_text().splitlines()
    days = sorted(line.split(",")[3] for line in lines[1:])[order]
    rows = (line.split(",") for line in lines[1:])
    lines[1:] = [",".join([*row[:3], day, row[4]]) for row, day in zip(rows, days, strict=True)]
    task.train.write_text("\n".join(lines) + "\n")
    with pytest.raises(TaskError, match=told):
        split_of(task)
