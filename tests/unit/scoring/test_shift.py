"""Warnings about test rows that are unlike training rows: what is named, and what is not suspicious."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import SandboxError
from machine_learning_engineering.shared_libraries.execution.sandbox import make_sandbox
from machine_learning_engineering.shared_libraries.records import TaskRequest
from machine_learning_engineering.shared_libraries.scoring import shift
from machine_learning_engineering.shared_libraries.scoring.shift import shift_warning
from machine_learning_engineering.shared_libraries.tasks.load import load_task

RNG = random.Random(3)
Column = Callable[[int], Any]  # the cell of a row; training rows have the numbers 0 to 399, test rows 400 to 599


def warning(folder: Path, extra: Column, name: str = "extra", **said: Any) -> str:
    """What is said of a task whose rows have numbers `id`, noise `x`, `town` and one column more."""
    columns: dict[str, Column] = {
        "id": lambda row: row,
        "x": lambda row: round(RNG.gauss(0, 1), 4),
        "town": lambda row: f"t{row % 7}",
        name: extra,
    }
    folder.mkdir(exist_ok=True)
    for file, numbers in (("train", range(400)), ("test", range(400, 600))):
        names = [*columns, *(["y"] if file == "train" else [])]
        rows = [
            [str(make(row)) for make in columns.values()] + ["1", "2", "3"][row % 3 : row % 3 + 1] for row in numbers
        ]
        lines = [",".join(row[: len(names)]) for row in rows]
        (folder / f"{file}.csv").write_text("\n".join([",".join(names), *lines]) + "\n")
    task = load_task(TaskRequest(source=folder, target="y", metric="rmse", **said))
    config = RunConfig()

    async def look() -> str:
        sandbox = make_sandbox(config.sandbox)
        try:
            return (await shift_warning(task, config, sandbox, folder / "check"))[0]
        finally:
            await sandbox.close()

    return asyncio.run(look())


def test_rows_of_one_kind_and_growing_ids_raise_no_warning(tmp_path: Path) -> None:
    assert warning(tmp_path / "t", lambda row: RNG.random()) == ""


def test_a_date_that_goes_on_in_the_test_file_asks_for_time(tmp_path: Path) -> None:
    said = warning(tmp_path / "t", lambda row: f"2020-{1 + row // 50:02}-{1 + row % 28:02}", "day")
    assert "most in 'day'" in said
    assert "set --time 'day'" in said


def test_users_that_are_all_new_in_the_test_file_ask_for_group(tmp_path: Path) -> None:
    said = warning(tmp_path / "t", lambda row: f"u{row // 10}", "user")
    assert "--group 'user'" in said


def test_users_that_occur_in_both_files_raise_no_warning(tmp_path: Path) -> None:
    assert warning(tmp_path / "t", lambda row: f"u{row % 40}", "user") == ""


@pytest.mark.parametrize("said", [{"group": "user"}])
def test_what_is_declared_is_not_warned_of(said: dict[str, str], tmp_path: Path) -> None:
    assert warning(tmp_path / "t", lambda row: f"u{row // 10}", "user", **said) == ""


def test_a_number_that_grows_names_its_column(tmp_path: Path) -> None:
    said = warning(tmp_path / "t", lambda row: row * 1.5 + RNG.random(), "meter")
    assert "'meter'" in said
    assert "--time" in said
    assert "--id" in said


def test_a_classifier_that_fails_gives_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise ValueError('odd rows')\n")
    monkeypatch.setattr(shift, "_CLASSIFIER", broken)
    with pytest.raises(SandboxError, match="a classifier of the rows ended with error ValueError: odd rows"):
        warning(tmp_path / "t", lambda row: RNG.random())
