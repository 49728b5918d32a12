"""Lying scripts through the real engine: none scores better than honest work, while printed figures let most win."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from machine_learning_engineering.shared_libraries.code_util import STAGES
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.records import Attempt, Slot, TaskRequest
from machine_learning_engineering.shared_libraries.runs.attempt import attempt
from machine_learning_engineering.shared_libraries.runs.opening import open_run
from machine_learning_engineering.shared_libraries.runs.sandboxes import sandbox_of
from machine_learning_engineering.shared_libraries.scoring.leaks import find_leaks
from machine_learning_engineering.shared_libraries.tasks.load import load_task
from tests.fixtures import tiny
from tests.fixtures.red_team.case import HONEST, REMEMBERS, Lie
from tests.fixtures.red_team.lies import LIES
from tests.fixtures.red_team.table import markdown

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="labels are fenced off on Linux only")
SETTINGS = {"folds": 1, "select_fraction": 0.2, "audit_fraction": 0.0, "cache_gb": 0.0, "exec_timeout": 3, "threads": 1}
every_lie = pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name)


async def run_all(folder: Path, sources: dict[str, str], **settings: Any) -> dict[str, Attempt]:
    """The attempt of each script of one run, by name."""
    config = RunConfig(**{**SETTINGS, **settings})
    run = open_run(TaskRequest(source=tiny.make_task(folder / "tiny")), config, sandbox_of(config), folder / "run")
    slots = (Slot(STAGES["model_eval"], 1, attempt=number) for number in range(len(sources)))
    try:
        made = await asyncio.gather(
            *(attempt(slot, code, run) for slot, code in zip(slots, sources.values(), strict=True))
        )
    finally:
        await run.sandbox.close()
        run.journal.close()
    return dict(zip(sources, made, strict=True))


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Attempt]]:
    folder = tmp_path_factory.mktemp("red-team")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLE_HOME", str(folder / "home"))
        yield asyncio.run(run_all(folder, {"honest": HONEST, **{lie.name: lie.source for lie in LIES}}))


def wins_by_figures(lie: Attempt, honest: Attempt) -> bool:
    """Whether a script wins where it is ranked by the figure that it prints, if it ends without an error."""
    assert lie.score
    assert honest.score
    assert honest.score.reported is not None
    printed = lie.score.reported if lie.execution.outcome == "ok" else None
    return printed is not None and printed < honest.score.reported


def test_there_are_lies_enough(attempts: dict[str, Attempt]) -> None:
    assert len(LIES) >= 20
    honest = attempts["honest"]
    assert honest.value is not None, honest.problem
    assert sum(wins_by_figures(attempts[lie.name], honest) for lie in LIES) >= 15


def test_nothing_of_one_fold_is_left_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held out in one fold is labelled in the others: their scripts share no file, no memory and no name."""
    monkeypatch.setenv("MLE_HOME", str(tmp_path / "home"))
    sources = {"honest": HONEST, "remembers": REMEMBERS}
    made = asyncio.run(run_all(tmp_path, sources, folds=4, parallel_scripts=4))["remembers"]
    told = [(one.folder / "stdout.txt").read_text().split()[:2] for one in made.folds]
    assert told == [["remembered", "0"]] * 4, told


@every_lie
def test_a_lie_scores_no_better_than_honest_work(lie: Lie, attempts: dict[str, Attempt]) -> None:
    made, honest = attempts[lie.name].value, attempts["honest"].value
    assert honest is not None
    assert made is None or made > honest


@every_lie
def test_a_lie_gets_what_it_deserves(lie: Lie, attempts: dict[str, Attempt]) -> None:
    made = attempts[lie.name]
    assert made.score
    assert made.score.source == "sealed"
    if lie.told:
        assert made.value is None
        assert lie.told in (made.score.reason or ""), made.score.reason
    else:
        assert made.succeeded, made.problem
    assert wins_by_figures(made, attempts["honest"]) == lie.wins_reported


@every_lie
def test_a_lie_is_warned_of_where_its_text_shows_it(lie: Lie, tmp_path: Path) -> None:
    task = load_task(TaskRequest(source=tiny.make_task(tmp_path / "tiny")))
    assert {leak.rule for leak in find_leaks(lie.source, task)} == set(lie.warned)


def test_the_documented_table_is_the_one_of_the_lies() -> None:
    page = Path(__file__).parents[2] / "docs" / "red-team.md"
    assert page.read_text().endswith(markdown()), "run python -m tests.fixtures.red_team.table > docs/red-team.md"
