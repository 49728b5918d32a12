"""What is too slow for all rows is trained on as many as fit, and every place says so."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import Decision, Published, ScriptRun
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox
from machine_learning_engineering.shared_libraries.records import Execution, Job
from machine_learning_engineering.shared_libraries.runs import sandboxes
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from machine_learning_engineering.shared_libraries.runs.predict import handed_in
from machine_learning_engineering.shared_libraries.runs.sandboxes import sandbox_of
from tests.fixtures import tiny

ROWS = 400


class RowClock:
    """A sandbox in which every script takes so many seconds for each training row, by what it tells."""

    def __init__(self, inner: Sandbox, seconds_a_row: float) -> None:
        self._inner, self._seconds_a_row = inner, seconds_a_row

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def run(self, job: Job) -> Execution:
        assert job.view
        seconds = self._seconds_a_row * (len((job.view.path / "train.csv").read_text().splitlines()) - 1)
        limit = job.limits.wall_seconds
        execution = await self._inner.run(replace(job, limits=job.limits.model_copy(update={"wall_seconds": 60})))
        assert execution.outcome == "ok"
        outcome = "timeout" if seconds >= limit else "ok"
        return execution.model_copy(update={"execution_time": min(seconds, limit), "outcome": outcome})


async def solve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds_a_row: float, **settings: Any
) -> client.Result:
    """A run whose only script takes so long for each training row; 100 rows are searched on."""
    monkeypatch.setattr(sandboxes, "sandbox_of", lambda config: RowClock(sandbox_of(config), seconds_a_row))
    task = tiny.make_task(tmp_path / "task" / "tiny", rows=ROWS)
    replies = tiny.replies(solutions=1, candidates=1)
    replies["model_eval_agent_1_1"] = [tiny.fenced(tiny.solution(1.0, 3.0))]
    path = tmp_path / "replies.json"
    path.write_text(json.dumps(replies))
    steps = dict.fromkeys(("inner_loop_round", "outer_loop_round", "ensemble_loop_round", "max_debug_round"), 0)
    given = {"folds": 1, "max_search_rows": 100, "use_blend": False, "cache_gb": 0, **steps, **settings}
    config = RunConfig(agent_model=f"scripted/{path}", num_solutions=1, num_model_candidates=1, **given)
    return await client.solve(client.find_request(task), config, tmp_path / "run")


def final_rows(result: client.Result) -> list[int]:
    """How many training rows the final runs of the winner had, in order."""
    slot = result.winner.slot.code_key
    runs = [e for e in read_journal(result.folder) if isinstance(e, ScriptRun) and e.slot == slot]
    return [int(e.view.partition("-")[2] or ROWS) for e in runs if e.view.startswith("final")]


async def test_a_script_that_is_too_slow_is_trained_on_what_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = await solve(tmp_path, monkeypatch, 0.008, exec_timeout=2)
    entries = read_journal(result.folder)
    decided = {entry.what: entry for entry in entries if isinstance(entry, Decision)}
    slot = result.winner.slot.code_key
    fits = decided[f"final rows {slot} 0"]
    half, ran = final_rows(result)
    assert half == 50  # the second size: twice the rows might have been too many
    assert ran == pytest.approx(200, abs=1)  # 1.6 s, which is safe
    assert "2 s are allowed" in fits.why
    assert [entry for entry in entries if isinstance(entry, Published)][-1].slot == slot
    assert len(result.submission.read_text().splitlines()) == 21
    warning = decided["check:final rows"].chosen
    assert warning.startswith(f"The submission is of a script trained on {ran:,} of 400 rows")
    assert warning.partition(":")[0] in (result.folder / "report.html").read_text()
    assert json.loads((result.folder / "tiny" / "final_state.json").read_text())["final_rows"] == ran
    assert handed_in(result.folder).rows == ran


async def test_a_script_that_is_clearly_fast_enough_runs_once_on_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = await solve(tmp_path, monkeypatch, 0.001, exec_timeout=2)
    assert final_rows(result) == [ROWS]
    assert not [e for e in read_journal(result.folder) if isinstance(e, Decision) and "final rows" in e.what]
