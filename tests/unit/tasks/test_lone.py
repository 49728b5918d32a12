"""Which rows of a lone CSV are set aside: as the rows are held out that scripts are scored on."""

from pathlib import Path

import pandas as pd
import pytest

from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.records import Task, TaskRequest
from machine_learning_engineering.shared_libraries.tasks.load import load_task
from machine_learning_engineering.shared_libraries.tasks.lone import set_aside
from machine_learning_engineering.shared_libraries.tasks.table import read_table


def load(folder: Path, groups: int = 20, **said: str) -> Task:
    """Of 200 rows of so many patients, in no order of time; the day comes first in a date."""
    rows = [(n * 37 % 200, n) for n in range(200)]
    lines = [f"p{n % groups},{1 + day % 28:02}/{1 + day // 28:02}/2020,{n % 9},{n % 7}.5" for day, n in rows]
    (folder / "visits.csv").write_text("\n".join(["patient,day,x,y", *lines]) + "\n")
    return load_task(TaskRequest(source=folder / "visits.csv", target="y", metric="rmse", **said), folder / "work")


def test_whole_groups_are_set_aside(tmp_path: Path) -> None:
    task = load(tmp_path, group="patient")
    train, test = read_table(task.train), read_table(task.test)
    assert len(test) == 40
    assert not set(train["patient"]) & set(test["patient"])
    assert any("whole groups of 'patient'" in note for note in task.notes)


def test_the_last_rows_in_time_are_set_aside(tmp_path: Path) -> None:
    task = load(tmp_path, time="day")
    train, test = (read_table(path)["day"].str.split("/").str[::-1] for path in (task.train, task.test))
    assert len(test) == 40
    assert max(train) < min(test)


def test_too_few_groups_are_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"'patient' has too few groups \(3\).*--test"):
        load(tmp_path, groups=3, group="patient")


def test_four_groups_leave_three_to_train_on(tmp_path: Path) -> None:
    assert read_table(load(tmp_path, groups=4, group="patient").train)["patient"].nunique() == 3


def test_an_unknown_group_of_a_lone_csv_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"no group column 'pateint'.*'patient'"):
        load(tmp_path, group="pateint")


def test_a_class_of_which_no_row_is_left_to_train_on_is_told_as_such(tmp_path: Path) -> None:
    labels = ["no"] * 900
    aside = set_aside(pd.DataFrame({"y": labels}), "y", None, None)
    assert aside is not None
    labels[int(aside.to_numpy().nonzero()[0][0])] = "yes"
    (tmp_path / "rows.csv").write_text("x,y\n" + "".join(f"{n},{one}\n" for n, one in enumerate(labels)))
    with pytest.raises(TaskError, match="only 1 row has another 'y' than 'no', and not one is left to train on"):
        load_task(TaskRequest(source=tmp_path / "rows.csv", target="y"), tmp_path / "work")


def test_classes_that_differ_in_case_or_spaces_alone_are_noted(tmp_path: Path) -> None:
    labels = ["yes", "no", "YES", "No", " yes", "n o"] * 20
    (tmp_path / "rows.csv").write_text("x,y\n" + "".join(f"{n % 7},{one}\n" for n, one in enumerate(labels)))
    task = load_task(TaskRequest(source=tmp_path / "rows.csv", target="y"), tmp_path / "work")
    (note,) = [note for note in task.notes if "but for case and spaces" in note]
    assert note.startswith(f"'y' has {len(task.profile.classes)} classes, 2 but for case and spaces: ")


@pytest.mark.parametrize(
    ("cell", "metric", "told"),
    [("?", None, r"'\?' in 1 row of 60"), ("inf", "rmse", "is infinite"), ("-1", "rmsle", "never negative")],
)
def test_a_cell_that_cannot_be_judged_is_told_wherever_it_stands(
    tmp_path: Path, cell: str, metric: str | None, told: str
) -> None:
    """Also among the rows that are set aside, which nothing would look at before the end."""
    for place in range(60):
        cells = [cell if n == place else f"{n * 7 % 60}.5" for n in range(60)]
        (tmp_path / "rows.csv").write_text("x,y\n" + "".join(f"{n % 5},{one}\n" for n, one in enumerate(cells)))
        with pytest.raises(TaskError, match=told):
            load_task(TaskRequest(source=tmp_path / "rows.csv", target="y", metric=metric), tmp_path / "work")
