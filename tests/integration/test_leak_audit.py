"""The leak audit of a run: what static rules, shuffled labels and a comparison of the files tell, and where."""

import json
from pathlib import Path

from machine_learning_engineering.shared_libraries.entries import LlmCall, ScriptRun
from machine_learning_engineering.shared_libraries.monitoring.ending import result_of
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from tests.fixtures import faults, tiny

ONE = {"num_solutions": 1, "num_model_candidates": 1, "outer_loop_round": 0}
LEARNT = """
count = len(train)
mean_x, mean_y = (sum(float(row[name]) for row in train) / count for name in "xy")
above = sum((float(row["x"]) - mean_x) * (float(row["y"]) - mean_y) for row in train)
slope = above / sum((float(row["x"]) - mean_x) ** 2 for row in train)
bias = mean_y - slope * mean_x
"""
LEARNS = tiny.solution().replace("bias = 0.0\nslope = 1.0\n", LEARNT)
KNOWS = tiny.solution(1.0, 3.0)  # the numbers that made the data, written out
LEAKING = "labels = {row['id']: row['y'] for row in train}\nknown = [labels.get(row['id']) for row in test]\n"


def replies(script: str) -> dict[str, list[str]]:
    return {name: [tiny.fenced(script)] if "model_eval" in name else given for name, given in tiny.replies().items()}


def state_of(folder: Path) -> dict[str, object]:
    return json.loads((folder / "tiny" / "final_state.json").read_text())


async def test_a_winner_that_learns_raises_no_warning(solve) -> None:
    result = await solve(replies(LEARNS), leak_audit=True, **ONE)
    runs = [e.view for e in read_journal(result.folder) if isinstance(e, ScriptRun) and e.view == "shuffled"]
    assert runs == ["shuffled"]
    assert "shuffled_labels_warning" not in state_of(result.folder)
    assert not [line for line in result_of(result.folder, result.task).sentences() if "warning" in line]


async def test_a_winner_that_knows_the_labels_otherwise_is_told_everywhere(solve) -> None:
    result = await solve(replies(KNOWS), leak_audit=True, **ONE)
    warning = str(state_of(result.folder)["shuffled_labels_warning"])
    assert "labels are at the wrong rows" in warning
    assert f"warning: {warning}" in list(result_of(result.folder, result.task).sentences())
    assert "It does not learn from them" in result.report.read_text()
    count = len(read_journal(result.folder))
    await solve(replies(KNOWS), leak_audit=True, **ONE)  # taken up: nothing is judged anew
    assert not [e for e in read_journal(result.folder)[count:] if isinstance(e, ScriptRun)]
    assert state_of(result.folder)["shuffled_labels_warning"] == warning


async def test_without_the_audit_nothing_runs_on_shuffled_labels(solve) -> None:
    result = await solve(replies(KNOWS), **ONE)
    assert "shuffled" not in {e.view for e in read_journal(result.folder) if isinstance(e, ScriptRun)}


async def test_a_leak_in_a_script_reaches_state_checker_and_report(solve) -> None:
    script = LEARNS.replace("# --- validate", f"{LEAKING}# --- validate")
    said = replies(script) | {"*_check_leakage_agent*": [faults.leaks("No"), "..."]}
    result = await solve(said, use_data_leakage_checker=True, leak_audit=False, **ONE)
    assert "looks up targets of training rows by the id" in str(
        state_of(result.folder)["init_code_exec_result_1_1_advice"]
    )
    asked = next(e for e in read_journal(result.folder) if isinstance(e, LlmCall) and "check_leakage" in e.agent)
    prompt = json.loads((result.folder / "blobs" / asked.request).read_text())["instruction"]
    assert "## What static rules found" in prompt
    assert "May leak." in result.report.read_text()
