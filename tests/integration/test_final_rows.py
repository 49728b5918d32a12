"""What is too slow for all rows is trained on as many as fit, and every place says so."""

import json
from pathlib import Path
from typing import Any

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import Decision, Published, ScriptRun
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from machine_learning_engineering.shared_libraries.runs.predict import handed_in
from tests.fixtures import tiny

ROWS = 400


async def solve(tmp_path: Path, seconds_a_row: float, **settings: Any) -> client.Result:
    """A run whose only script sleeps so long for each training row; 100 rows are searched on."""
    task = tiny.make_task(tmp_path / "task" / "tiny", rows=ROWS)
    replies = tiny.replies(solutions=1, candidates=1)
    sleeps = f"import time\ntime.sleep({seconds_a_row} * len(train))\n# --- model"
    best = tiny.solution(1.0, 3.0).replace("# --- model", sleeps)
    replies["model_eval_agent_1_1"] = [tiny.fenced(best)]
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


async def test_a_script_that_is_too_slow_is_trained_on_what_fits(tmp_path: Path) -> None:
    result = await solve(tmp_path, 0.008, exec_timeout=2)
    entries = read_journal(result.folder)
    decided = {entry.what: entry for entry in entries if isinstance(entry, Decision)}
    slot = result.winner.slot.code_key
    fits = decided[f"final rows {slot} 0"]
    half, *ran = final_rows(result)
    assert half == 50  # the second size: twice the rows might have been too many
    assert 50 <= ran[-1] < ROWS
    assert "2 s are allowed" in fits.why
    assert [entry for entry in entries if isinstance(entry, Published)][-1].slot == slot
    assert len(result.submission.read_text().splitlines()) == 21
    warning = decided["check:final rows"].chosen
    assert warning.startswith(f"The submission is of a script trained on {ran[-1]:,} of 400 rows")
    assert warning.partition(":")[0] in (result.folder / "report.html").read_text()
    assert json.loads((result.folder / "tiny" / "final_state.json").read_text())["final_rows"] == ran[-1]
    assert handed_in(result.folder).rows == ran[-1]


async def test_a_script_that_is_clearly_fast_enough_runs_once_on_all_rows(tmp_path: Path) -> None:
    result = await solve(tmp_path, 0.0, exec_timeout=60)
    assert final_rows(result) == [ROWS]
    assert not [e for e in read_journal(result.folder) if isinstance(e, Decision) and "final rows" in e.what]
