"""The held-out rows: disjoint from the rest, deterministic, stratified, whole groups, last in time."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.scoring.split import MAX_HELD_OUT_ROWS, classes_of, draw, hold_out
from machine_learning_engineering.shared_libraries.tasks.table import read_table
from tests.unit.scoring.conftest import ACCURACY, build_task

KINDS = {
    "plain": {},
    "grouped": {"group": "g"},
    "timed": {"time": "t"},
    "classes": {"problem": "multiclass", "metric": ACCURACY, "classes": ("a", "b", "c")},
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(rows=st.integers(12, 90), seed=st.integers(0, 2**32 - 1), fraction=st.floats(0.05, 0.85))
def test_the_split_is_a_pure_function(
    kind: str, rows: int, seed: int, fraction: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    task = build_task(tmp_path_factory.mktemp("task"), rows=rows, **KINDS[kind])
    train = read_table(task.train)
    held = hold_out(task, train, seed, fraction)
    assert list(held) == sorted(set(held))
    assert 0 < len(held) < rows
    assert set(held) <= set(range(rows))
    assert list(held) == list(hold_out(task, train, seed, fraction))


def test_seed_and_digest_change_the_split(tmp_path: Path) -> None:
    task = build_task(tmp_path)
    train = read_table(task.train)
    first = list(hold_out(task, train, 1, 0.3))
    assert first != list(hold_out(task, train, 2, 0.3))
    assert first != list(hold_out(task.model_copy(update={"digest": "e"}), train, 1, 0.3))


def test_every_class_gives_its_share(tmp_path: Path) -> None:
    task = build_task(tmp_path, rows=60, problem="binary", metric=ACCURACY, classes=("a", "a", "b"))
    train = read_table(task.train)
    held = train["y"].iloc[hold_out(task, train, 1, 0.2)]
    assert held.value_counts().to_dict() == {"a": 8, "b": 4}


def test_groups_stay_whole(tmp_path: Path) -> None:
    task = build_task(tmp_path, group="g")
    train = read_table(task.train)
    held = hold_out(task, train, 1, 0.2)
    inside = set(train["g"].iloc[held])
    assert not inside & set(train["g"].drop(index=train.index[held]))
    assert len(held) == 10


def test_the_last_rows_in_time_are_held_out(tmp_path: Path) -> None:
    task = build_task(tmp_path, time="t")
    train = read_table(task.train)
    held = hold_out(task, train, 1, 0.2)
    assert train["t"].iloc[held].min() > train["t"].drop(index=train.index[held]).max()


def test_a_time_that_is_no_time_is_named(tmp_path: Path) -> None:
    task = build_task(tmp_path, time="g")
    with pytest.raises(TaskError, match=r"'g'.*neither a number nor a date"):
        hold_out(task, read_table(task.train), 1, 0.2)


def test_at_most_so_many_rows_are_held_out(tmp_path: Path) -> None:
    task = build_task(tmp_path, rows=50_000)
    assert len(hold_out(task, read_table(task.train), 1, 0.8)) == MAX_HELD_OUT_ROWS


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
