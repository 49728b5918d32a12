"""Which columns matter to a script: test rows that come several times, and what predictions for them tell."""

from pathlib import Path
from typing import Any

import pytest

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.records import (
    AUDIT,
    PERMUTED,
    ColumnProfile,
    Execution,
    Task,
)
from machine_learning_engineering.shared_libraries.scoring import permuted
from machine_learning_engineering.shared_libraries.scoring.importance import importances
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold, read_predictions
from machine_learning_engineering.shared_libraries.scoring.views import held_out, stage
from machine_learning_engineering.shared_libraries.tasks.table import read_table
from tests.unit.scoring.conftest import ACCURACY, build_task

CONFIG = RunConfig()


def with_columns(task: Task, *names: str) -> Task:
    columns = tuple(ColumnProfile(name=name, kind="categorical", missing=0, unique=9) for name in names)
    return task.model_copy(update={"profile": task.profile.model_copy(update={"columns": columns})})


@pytest.mark.parametrize("rows", [60, 600])
def test_each_copy_of_the_test_rows_has_one_column_at_the_wrong_rows(rows: int, tmp_path: Path) -> None:
    task = with_columns(build_task(tmp_path / "t", rows=rows), "x", "g", "t")
    staged = stage(task, PERMUTED, CONFIG, tmp_path / "views")
    test = read_table(staged.path / "test.csv")
    places = permuted.copies(task, len(test), CONFIG.seed)
    assert len(places) == 4
    whole, *others = (test.iloc[some].reset_index(drop=True) for some in places)
    assert test["id"].is_unique
    for name, copy in zip(("x", "g", "t"), others, strict=True):
        changed = [column for column in copy if column != "id" and not copy[column].equals(whole[column])]
        assert changed == [name]
        assert sorted(copy[name]) == sorted(whole[name])
    assert len(read_table(staged.path / "sample_submission.csv")) == len(test)


@pytest.mark.parametrize("rows", [60, 600])
def test_no_file_shows_a_label_of_its_test_rows_or_of_the_audit_s(rows: int, tmp_path: Path) -> None:
    task = with_columns(build_task(tmp_path / "t", rows=rows), "x", "g")
    staged = stage(task, PERMUTED, CONFIG, tmp_path / "views")
    held = held_out(task, PERMUTED, CONFIG)
    assert held is not None
    secret = set(held.labels)
    if rows == 600:
        audited = held_out(task, AUDIT, CONFIG)
        assert audited is not None
        assert secret <= set(audited.labels), "where rows are spared for an audit, these are they"
        secret |= set(audited.labels)
    assert not secret & set(read_table(staged.path / "train.csv")["y"])
    assert "y" not in read_table(staged.path / "test.csv")


def found(task: Task, tmp_path: Path, column: str, drift: float = 0.0) -> dict[str, Any]:
    """The importance of each column to a script that answers with the cells of one, plus `drift` more a row."""
    staged = stage(task, PERMUTED, CONFIG, tmp_path / "views")
    test = read_table(staged.path / "test.csv")
    (tmp_path / "run" / "final").mkdir(parents=True)
    answers = test[["id"]].assign(y=test[column])
    if drift:
        answers["y"] = answers["y"].astype(float) + drift * answers["id"].astype(int)
    answers.to_csv(tmp_path / "run" / "final" / "submission.csv", index=False)
    execution = Execution(
        outcome="ok", returncode=0, stdout="", stderr="", execution_time=1, backend="warm", folder=tmp_path / "run"
    )
    made = read_predictions(task, [PERMUTED], [execution], CONFIG)
    assert made is not None
    return {one.column: one.comparison for one in importances(made, CONFIG.seed, seconds=60)}


def test_a_column_that_a_script_answers_with_is_all_that_matters_to_it(tmp_path: Path) -> None:
    effects = found(with_columns(build_task(tmp_path / "t", rows=600), "t", "g", "x"), tmp_path, "x")
    assert next(iter(effects)) == "x", "the most important column comes first"
    assert effects["x"].gain > 100
    assert effects["x"].is_real
    assert effects["x"].rows == 90
    assert [(effects[one].gain, effects[one].error) for one in ("g", "t")] == [(0, 0), (0, 0)]


def test_what_a_script_makes_of_ids_or_places_favours_no_column(tmp_path: Path) -> None:
    task = with_columns(build_task(tmp_path / "t", rows=600), "t", "g", "x")
    effects = found(task, tmp_path, "x", drift=5.0)
    assert not [one for one in ("t", "g") if effects[one].is_real]


def test_too_few_rows_tell_nothing(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="12 held-out rows"):
        found(with_columns(build_task(tmp_path / "t"), "x"), tmp_path, "x")


def test_groups_that_are_too_few_tell_nothing(tmp_path: Path) -> None:
    task = with_columns(build_task(tmp_path / "t", rows=600, group="g", shared_groups=False), "x")
    few = [
        f"{line.split(',g')[0]},g{n % 8},{','.join(line.split(',')[3:])}"
        for n, line in enumerate(task.train.read_text().splitlines()[1:])
    ]
    task.train.write_text("\n".join(["id,x,g,t,y", *few]) + "\n")
    with pytest.raises(SubmissionError, match="tell too little"):
        found(task, tmp_path, "x")


def test_a_metric_that_takes_long_is_not_computed_for_every_column(tmp_path: Path) -> None:
    task = with_columns(build_task(tmp_path / "t", rows=600), "x", "g")
    held = held_out(task, PERMUTED, CONFIG)
    assert held is not None
    truth = held.labels.to_numpy(dtype=float)
    made = OutOfFold(task, truth, truth, truth * 0)
    with pytest.raises(SubmissionError, match="takes too long"):
        importances(made, CONFIG.seed, seconds=0)


def test_a_column_that_misleads_makes_a_script_worse(tmp_path: Path) -> None:
    """A script that is wrong wherever it can be is better with that column's cells at the wrong rows."""
    task = build_task(tmp_path / "t", rows=600, problem="multiclass", metric=ACCURACY, classes=("a", "b", "c"))
    table = task.train.read_text().splitlines()
    wrong = {"a": "b", "b": "c", "c": "a"}
    rows = [line.split(",") for line in table[1:]]
    text = "\n".join([table[0], *(",".join([*cells[:2], wrong[cells[4]], *cells[3:]]) for cells in rows)])
    task.train.write_text(text + "\n")
    effects = found(with_columns(task, "x", "g"), tmp_path, "g")
    assert effects["g"].gain < 0
    assert effects["x"].gain == 0


def test_as_many_rows_are_taken_as_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permuted, "MOST_TEST_ROWS", 100)
    task = with_columns(build_task(tmp_path / "t", rows=600), "x", "g")
    staged = stage(task, PERMUTED, CONFIG, tmp_path / "views")
    assert len(read_table(staged.path / "test.csv")) == 99
    assert permuted.permutable(with_columns(task, *(f"c{n}" for n in range(4)))) == ()


def test_a_wide_table_does_not_grow_without_bounds(tmp_path: Path) -> None:
    task = build_task(tmp_path / "t")
    assert len(permuted.permutable(with_columns(task, *(f"c{n}" for n in range(240))))) == 240
    assert permuted.permutable(with_columns(task, *(f"c{n}" for n in range(300)))) == ()


def test_rows_that_are_more_than_their_cells_are_left_alone(tmp_path: Path) -> None:
    assert permuted.permutable(with_columns(build_task(tmp_path / "t"), "x", "g")) == ("x", "g")
    assert permuted.permutable(with_columns(build_task(tmp_path / "time", time="t"), "x", "g")) == ()
    (tmp_path / "m").mkdir()
    for number in range(60):
        (tmp_path / "m" / f"0{number}.png").write_bytes(bytes([number]))
    task = build_task(tmp_path / "m", others=tuple(sorted((tmp_path / "m").glob("*.png"))))
    task = task.model_copy(update={"home": tmp_path / "m"})
    assert permuted.permutable(with_columns(task, "x", "g")) == ()
    (tmp_path / "j").mkdir()
    (tmp_path / "j" / "visits.csv").write_text("id,visits\n00,3\n")
    task = build_task(tmp_path / "j", others=(tmp_path / "j" / "visits.csv",))
    assert permuted.permutable(with_columns(task, "x", "g")) == (), "its rows would not be found by their new ids"
