"""Further tables that repeat the target under another name are not shown to scripts; all others are."""

import math
from pathlib import Path
from typing import Any

import pytest

from machine_learning_engineering.shared_libraries.records import TaskRequest
from machine_learning_engineering.shared_libraries.tasks.load import load_task

ROWS = [(f"{n:03d}", n % 7, round(n * 1.7 % 11, 1)) for n in range(60)]
LABELS = [(id, x, "cat" if y < 5 else "dog") for id, x, y in ROWS]
TOLD = "Scripts do not see more.csv: its {column!r} tell 'y' of training rows."


def notes(folder: Path, table: list[str], rows: list[tuple[str, int, Any]] = ROWS, with_id: bool = True) -> list[str]:
    """What is noted of `more.csv` in a task folder; nothing where scripts may see it."""
    folder.mkdir()
    lines = [f"{id},{x},{y}" if with_id else f"{x},{id},{y}" for id, x, y in rows]
    (folder / "train.csv").write_text("\n".join(["id,x,y" if with_id else "x,z,y", *lines]) + "\n")
    (folder / "test.csv").write_text("id,x\n900,1\n901,2\n" if with_id else "x,z\n1,5\n2,6\n")
    (folder / "more.csv").write_text("\n".join(table) + "\n")
    metric = "rmse" if rows is ROWS else "accuracy"
    task = load_task(TaskRequest(source=folder, target="y", metric=metric), folder.parent / "work")
    told = [note for note in task.notes if "more.csv" in note]
    assert bool(told) != ((folder / "more.csv") in task.others)
    return told


TELLING = {
    "by id": ["key,amount", *(f"{id},{y:.2f}" for id, _, y in reversed(ROWS))],
    "of half of the rows": ["id,amount", *(f"{id},{y}" for id, _, y in ROWS[:30])],
    "of another form": ["id;amount;é", *(f"{id};{y};1" for id, _, y in reversed(ROWS))],
    "below a remark": ["# of 2020", "id,amount", *(f"{id},{y}" for id, _, y in ROWS)],
    "without a header": [f"{id} {y}" for id, _, y in ROWS],
    "as its logarithm": ["id,amount", *(f"{id},{math.log(y + 1)}" for id, _, y in ROWS)],
}


@pytest.mark.parametrize("name", TELLING)
def test_a_table_that_tells_the_target_is_withheld(name: str, tmp_path: Path) -> None:
    assert notes(tmp_path / "t", TELLING[name])


def test_the_column_is_named(tmp_path: Path) -> None:
    assert notes(tmp_path / "t", TELLING["by id"]) == [TOLD.format(column="amount")]


CLASSES = {
    "as numbers": ["id,code", *(f"{id},{int(y == 'cat')}" for id, _, y in LABELS)],
    "in capitals": ["id,code", *(f"{id},{y.upper()}" for id, _, y in LABELS)],
    "as a list of one class": ["id", *(id for id, _, y in LABELS if y == "cat")],
}


@pytest.mark.parametrize("name", CLASSES)
def test_classes_under_other_names_are_withheld(name: str, tmp_path: Path) -> None:
    assert notes(tmp_path / "t", CLASSES[name], LABELS)


def test_a_table_with_the_target_row_by_row_is_withheld(tmp_path: Path) -> None:
    assert notes(tmp_path / "t", ["value", *(str(y) for _, _, y in ROWS)], with_id=False)


def test_a_table_with_the_target_beside_the_features_is_withheld(tmp_path: Path) -> None:
    table = ["z,x,value", *(f"{id},{x},{y}" for id, x, y in reversed([*ROWS[5:], ("7", 1, 2.0)]))]
    assert notes(tmp_path / "t", table, with_id=False) == [TOLD.format(column="value")]


@pytest.mark.parametrize(
    "table",
    [
        ["id,size", *(f"{id},{x * 3}" for id, x, _ in ROWS)],  # of the same rows, about something else
        ["id,amount", *(f"x{id},{y}" for id, _, y in ROWS[:50])],  # of other rows
        ["id,amount", *(f"{id},{y}" for id, _, y in ROWS[:5])],  # of too few to tell
        ["id", *(id for id, _, _ in ROWS[:30])],  # some rows, of any class
        ["id,rare", *(f"{id},{int(id == '007')}" for id, _, _ in ROWS)],  # nearly constant
        ["a line of text, and no table"],
    ],
)
@pytest.mark.parametrize("rows", [ROWS, LABELS])
def test_other_tables_are_shown(table: list[str], rows: list[tuple[str, int, Any]], tmp_path: Path) -> None:
    assert notes(tmp_path / "t", table, rows) == []


def test_a_feature_of_all_rows_that_goes_with_the_target_is_shown(tmp_path: Path) -> None:
    """What is known of test rows, too, may be as good as it likes, unless it is the target itself."""
    kinds = [(id, x, "abcd"[n % 4]) for n, (id, x, _) in enumerate(ROWS)]
    both = ["id,kingdom", *(f"{id},{int(y in 'ab')}" for id, _, y in kinds)]
    assert notes(tmp_path / "train", both, kinds)
    assert notes(tmp_path / "both", [*both, "900,1", "901,0"], kinds) == []
