"""Staged views: what scripts see, what they do not, and that staging twice makes one folder."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.records import AUDIT, FINAL, SEARCH, Task
from machine_learning_engineering.shared_libraries.scoring import views
from machine_learning_engineering.shared_libraries.scoring.submission import check_submission
from machine_learning_engineering.shared_libraries.scoring.views import (
    expected_submission,
    fold_views,
    forget_tables,
    held_out,
    stage,
)
from machine_learning_engineering.shared_libraries.tasks.table import read_table
from tests.unit.scoring.conftest import ACCURACY, build_task

CONFIG = RunConfig()


def test_train_and_test_of_a_search_view_are_the_train_file(task: Task, tmp_path: Path) -> None:
    staged = stage(task, SEARCH, CONFIG, tmp_path / "views")
    original = task.train.read_text().splitlines()
    fit = (staged.path / "train.csv").read_text().splitlines()
    test = (staged.path / "test.csv").read_text().splitlines()
    assert fit[0] == original[0]
    assert test[0] == "id,x,g,t"
    held = held_out(task, SEARCH, CONFIG)
    assert held is not None
    with_labels = [f"{line},{label}" for line, label in zip(test[1:], held.labels, strict=True)]
    assert sorted(fit[1:] + with_labels) == sorted(original[1:])


def test_no_file_of_a_search_view_holds_a_held_out_label(task: Task, tmp_path: Path) -> None:
    staged = stage(task, SEARCH, CONFIG, tmp_path / "views")
    held = held_out(task, SEARCH, CONFIG)
    assert held is not None
    texts = [path.read_text() for path in staged.path.rglob("*") if path.is_file()]
    assert not [label for label in held.labels for text in texts if f",{label}\n" in text]


def test_audit_rows_are_in_no_search_view_and_select_rows_are_in_the_audit_view(tmp_path: Path) -> None:
    task = build_task(tmp_path / "t", rows=600)
    audited = held_out(task, AUDIT, CONFIG)
    assert audited is not None
    secret = set(audited.labels)
    seen: set[str] = set()
    for view in fold_views(task, CONFIG):
        path = stage(task, view, CONFIG, tmp_path / "views").path
        fit = set(read_table(path / "train.csv")["y"])
        held = held_out(task, view, CONFIG)
        assert held is not None
        assert not fit & (secret | set(held.labels))
        assert len(fit) + len(held.labels) + len(secret) == 600
        seen |= set(held.labels)
    path = stage(task, AUDIT, CONFIG, tmp_path / "views").path
    assert set(read_table(path / "train.csv")["y"]) == seen
    assert len(read_table(path / "test.csv")) == len(secret)


def test_the_final_view_holds_the_real_files(task: Task, tmp_path: Path) -> None:
    staged = stage(task, FINAL, CONFIG, tmp_path / "views")
    for name in ("train.csv", "test.csv"):
        assert (staged.path / name).read_bytes() == (task.train.parent / name).read_bytes()
    assert held_out(task, FINAL, CONFIG) is None


def test_the_views_of_a_task_are_made_of_one_reading_and_none_of_another_task_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file takes seconds to read, and what was read is let go at the end."""
    read: list[Path] = []
    monkeypatch.setattr(views, "read_table", lambda path: [read.append(path), read_table(path)][1])
    task, other = build_task(tmp_path / "t"), build_task(tmp_path / "other", rows=90)
    for view in (*fold_views(task, CONFIG), FINAL):
        stage(task, view, CONFIG, tmp_path / "views")
    assert sorted(read) == [task.test, task.train]
    path = stage(other, SEARCH, CONFIG, tmp_path / "views").path
    assert len(read_table(path / "train.csv")) + len(read_table(path / "test.csv")) == 90
    read.clear()
    forget_tables()
    stage(other, SEARCH, CONFIG, tmp_path / "views")
    assert sorted(read) == [other.test, other.train]


@pytest.mark.parametrize("view", [SEARCH, FINAL])
@pytest.mark.parametrize("with_id", [True, False])
def test_the_sample_submission_is_a_valid_submission(with_id: bool, view: object, tmp_path: Path) -> None:
    task = build_task(tmp_path / "t", problem="multiclass", metric=ACCURACY, classes=("a", "b", "c"), with_id=with_id)
    staged = stage(task, view, CONFIG, tmp_path / "views")  # type: ignore[arg-type]
    expected = expected_submission(task, view, CONFIG)  # type: ignore[arg-type]
    assert len(check_submission(staged.path / "sample_submission.csv", expected)) == expected.rows


def test_too_many_fit_rows_are_sampled(tmp_path: Path) -> None:
    task = build_task(tmp_path / "t", rows=500)
    staged = stage(task, SEARCH, RunConfig(max_search_rows=100), tmp_path / "views")
    assert len(read_table(staged.path / "train.csv")) == 100


def test_staging_is_idempotent_and_safe_side_by_side(task: Task, tmp_path: Path) -> None:
    root = tmp_path / "views"
    with ThreadPoolExecutor(4) as pool:
        staged = set(pool.map(lambda _: stage(task, SEARCH, CONFIG, root).path, range(8)))
    assert list(root.iterdir()) == list(staged)


def test_the_order_of_held_out_rows_is_no_hint(tmp_path: Path) -> None:
    """They stand in random order: in that of the train file their places could tell their labels."""
    task = build_task(tmp_path / "task")
    held = held_out(task, SEARCH, CONFIG)
    timed = held_out(build_task(tmp_path / "timed", time="t"), SEARCH, CONFIG)
    assert held is not None
    assert timed is not None
    assert list(held.rows) != sorted(held.rows)
    assert list(read_table(task.train)["y"].iloc[held.rows]) == list(held.labels)
    assert list(timed.rows) == sorted(timed.rows)  # the past is known in any order


def test_a_carriage_return_in_a_cell_reaches_scripts_as_it_is(tmp_path: Path) -> None:
    import pandas as pd

    task = build_task(tmp_path / "task", with_id=False, metric=ACCURACY)
    train = pd.read_csv(task.train).assign(x="one\rtwo")
    train.to_csv(task.train, index=False, quoting=1)
    staged = stage(task, SEARCH, CONFIG, tmp_path / "views")
    shown = pd.read_csv(staged.path / "train.csv")
    assert len(shown) == 48
    assert set(shown["x"]) == {"one\rtwo"}
