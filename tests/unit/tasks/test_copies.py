"""Further tables that repeat the target under another name are not shown to scripts; all others are."""

from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.records import TaskRequest
from machine_learning_engineering.shared_libraries.tasks.load import load_task

ROWS = [(f"{n:03d}", n % 7, round(n * 1.7 % 11, 1)) for n in range(60)]


def notes(folder: Path, table: list[str], with_id: bool = True) -> list[str]:
    """What is noted of `more.csv` in a task folder; nothing where scripts may see it."""
    folder.mkdir()
    lines = [f"{id},{x},{y}" if with_id else f"{x},{y}" for id, x, y in ROWS]
    (folder / "train.csv").write_text("\n".join(["id,x,y" if with_id else "x,y", *lines]) + "\n")
    (folder / "test.csv").write_text("id,x\n900,1\n901,2\n" if with_id else "x\n1\n2\n")
    (folder / "more.csv").write_text("\n".join(table) + "\n")
    task = load_task(TaskRequest(source=folder, target="y", metric="rmse"), folder.parent / "work")
    told = [note for note in task.notes if "more.csv" in note]
    assert bool(told) != ((folder / "more.csv") in task.others)
    return told


def test_a_table_with_the_target_by_id_is_withheld(tmp_path: Path) -> None:
    table = ["key,amount", *(f"{id},{y:.2f}" for id, _, y in reversed(ROWS))]
    assert notes(tmp_path / "t", table) == [
        "Scripts do not see more.csv: its column 'amount' is 'y' of the training rows."
    ]


def test_a_table_with_the_target_row_by_row_is_withheld(tmp_path: Path) -> None:
    assert notes(tmp_path / "t", ["value", *(str(y) for _, _, y in ROWS)], with_id=False)


@pytest.mark.parametrize(
    "table",
    [
        ["id,size", *(f"{id},{x * 3}" for id, x, _ in ROWS)],  # of the same rows, about something else
        ["id,amount", *(f"{id},{y}" for id, _, y in ROWS[:30])],  # of half of the rows
        ["id,amount", *(f"x{id},{y}" for id, _, y in ROWS[:50])],  # of other rows
        ["a line of text, and no table"],
    ],
)
def test_other_tables_are_shown(table: list[str], tmp_path: Path) -> None:
    assert notes(tmp_path / "t", table) == []
