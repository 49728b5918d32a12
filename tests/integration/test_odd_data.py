"""Tables as people have them, with one odd thing each: the offline model's scripts hold, and the run ends well."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.models.offline import design
from machine_learning_engineering.shared_libraries.records import Task
from machine_learning_engineering.shared_libraries.scoring.submission import accept, expect
from machine_learning_engineering.shared_libraries.tasks.card import make_card
from machine_learning_engineering.shared_libraries.tasks.load import load_task
from machine_learning_engineering.shared_libraries.tasks.table import read_table

Odd = tuple[pd.DataFrame, dict[str, str]]  # a table with the target y, and what its owner says about it
SETTINGS = RunConfig(
    num_solutions=1,
    num_model_candidates=1,
    outer_loop_round=0,
    ensemble_loop_round=0,
    max_debug_round=0,
    max_rollback_round=1,
    folds=1,
    use_blend=False,
    cache_gb=0,
    exec_timeout=30,
)
ROWS = 60


def plain(rows: int = ROWS) -> pd.DataFrame:
    """Ids, two numbers, and a target that follows the first."""
    draw = np.random.default_rng(3)
    frame = pd.DataFrame({"id": range(rows), "a": draw.normal(size=rows), "b": draw.normal(size=rows)})
    return frame.assign(y=2 * frame["a"] + draw.normal(0, 0.3, rows))


def few_rows() -> Odd:
    frame = plain(8)
    return frame.assign(y=np.where(frame["a"] > frame["a"].median(), "up", "down")), {}


def ids_that_read_as_missing() -> Odd:
    frame = plain()
    return frame.assign(id=["NA", "None", "", *(f"i{n}" for n in range(3, ROWS))][::-1]), {}


def infinite_and_huge_cells() -> Odd:
    frame = plain()
    frame.loc[[3, 40], "a"], frame.loc[[4, 41], "b"] = (np.inf, -np.inf), (1e300, -1e300)
    return frame, {}


def huge_target() -> Odd:
    return plain().assign(y=plain()["y"] * 1e200), {"metric": "mae"}


def no_column_that_varies() -> Odd:
    return plain().assign(a=1, b="same"), {}


def shares_of_no_column() -> Odd:
    return plain().assign(a=1, b="same", y=np.where(plain()["y"] > 1, "up", "down")), {"metric": "log_loss"}


def texts_of_words_of_their_own() -> Odd:
    draw = np.random.default_rng(4)
    words = [[f"w{n}" for n in row] for row in draw.integers(10**9, size=(ROWS, 6))]
    return plain().drop(columns=["a", "b"]).assign(note=[" ".join(row) for row in words]), {}


def few_groups() -> Odd:
    return plain().assign(g=np.arange(ROWS) % 4), {"group": "g"}


def class_of_two_rows() -> Odd:
    return plain().assign(y=np.where(np.isin(range(ROWS), [3, 30]), "yes", "no")), {"metric": "log_loss"}


def class_of_late_rows() -> Odd:
    dates = pd.date_range("2020-01-01", periods=ROWS).strftime("%Y-%m-%d")
    frame = plain().assign(t=dates, y=np.where(np.arange(ROWS) < 40, "no", "yes"))
    return frame, {"time": "t", "metric": "log_loss"}


def counts_that_are_nearly_all_zero() -> Odd:
    return plain().assign(y=np.where(np.isin(range(ROWS), [3, 30]), 4, 0)), {}


WHOLE_RUNS: list[Callable[[], Odd]] = [
    few_rows,
    ids_that_read_as_missing,
    no_column_that_varies,
    few_groups,
    class_of_two_rows,
]
TABLES = [
    *WHOLE_RUNS,
    infinite_and_huge_cells,
    huge_target,
    shares_of_no_column,
    texts_of_words_of_their_own,
    class_of_late_rows,
    counts_that_are_nearly_all_zero,
]


@pytest.fixture(params=TABLES, ids=lambda make: make.__name__)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    frame, said = request.param()
    frame.to_csv(tmp_path / "data.csv", index=False)
    return tmp_path / "data.csv", {"target": "y", **said}


def check(submission: Path, task: Task) -> None:
    accept(submission, expect(task, read_table(task.test)))


@pytest.mark.parametrize("source", WHOLE_RUNS, indirect=True, ids=lambda make: make.__name__)
async def test_a_run_ends_with_a_valid_submission(source: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    path, said = source
    result = await client.solve(client.find_request(path, **said), SETTINGS, tmp_path / "run")
    check(result.submission, result.task)
    assert {made.execution.outcome for made in result.attempts} == {"ok"}


def test_a_script_of_all_families_makes_a_valid_submission(
    source: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, said = source
    task = load_task(client.find_request(path, **said), tmp_path / "work")
    card = make_card(task, SETTINGS, "candidate")
    (tmp_path / "input").mkdir()
    shutil.copy(task.train, tmp_path / "input" / "train.csv")
    shutil.copy(task.test, tmp_path / "input" / "test.csv")
    monkeypatch.chdir(tmp_path)
    script: dict[str, Any] = {"__name__": "script"}
    exec(design.script(card, design.ranking(card)).render(), script)  # our own text
    script["main"]()
    check(tmp_path / "final" / "submission.csv", task)
