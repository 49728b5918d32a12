"""The specified result dict for every outcome of a script, as a run writes it into the state."""

import json
from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.code_util import result_dict
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import MleError
from machine_learning_engineering.shared_libraries.execution.sandbox import make_sandbox
from tests.fixtures import tiny

SPECIFIED = {"returncode": int, "stdout": str, "stderr": str, "execution_time": float, "score": float}
OURS = {"outcome", "reported_score", "score_source", "cached", "reason"}
MARK = "print('Final Validation Performance: 0.25')\n"
SMALL = {"num_solutions": 1, "num_model_candidates": 2, "outer_loop_round": 0, "max_debug_round": 0}

# outcome, what the script does, the exit code that its parent saw, what its stderr or reason tells
OUTCOMES = [
    ("ok", "", 0, ""),
    ("error", "raise ValueError('bad data')", 1, "ValueError: bad data"),
    ("error", "import no_such_module", 1, "No module named 'no_such_module'"),
    ("error", "raise SystemExit(7)", 7, "exit code 7"),
    ("timeout", "while True: pass", -9, "ended after 4 seconds"),
    ("memory", "x = bytearray(10**9)\nimport time\nx[::4096] = bytes(len(x[::4096]))\ntime.sleep(50)", -9, "memory"),
    ("killed", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", -11, "signal"),
    ("output_limit", "import os, signal\nsignal.signal(25, signal.SIG_DFL)\nos.kill(os.getpid(), 25)", -25, "file"),
]


async def result_of(solve, code: str, **settings: object) -> dict:
    """The result dict of a first candidate with this code; the second candidate works."""
    replies = tiny.replies(1, 2) | {"model_eval_agent_1_1": [tiny.fenced(code), "..."]}
    result = await solve(replies, **{**SMALL, "max_rollback_round": 1, "exec_timeout": 60, **settings})
    made = next(one for one in result.attempts if one.slot.code_key == "init_code_1_1")
    return result_dict(made, result.task.metric)


@pytest.mark.parametrize(
    ("outcome", "code", "returncode", "told"), OUTCOMES, ids=[f"{o}-{c[:20]}" for o, c, _, _ in OUTCOMES]
)
async def test_the_result_dict_of_each_outcome(solve, outcome: str, code: str, returncode: int, told: str) -> None:
    body = tiny.solution(0.0, 2.4) if outcome == "ok" else MARK + code
    found = await result_of(solve, body, memory_gb=0.3, exec_timeout=4 if outcome == "timeout" else 60)
    assert {key: type(found[key]) for key in SPECIFIED} == SPECIFIED
    assert set(found) == set(SPECIFIED) | OURS
    assert (found["outcome"], found["returncode"]) == (outcome, returncode)
    assert told in found["stderr"] + (found["reason"] or "")
    assert found["execution_time"] > 0
    sealed = make_sandbox(RunConfig().sandbox).enforces_seal
    assert found["score_source"] == ("sealed" if sealed else "sealed_unenforced")
    assert (found["score"] == 1e9) is (outcome != "ok")


async def test_an_ok_script_without_a_submission_has_the_fail_score(solve) -> None:
    found = await result_of(solve, MARK)
    assert (found["outcome"], found["returncode"], found["score"]) == ("ok", 0, 1e9)
    assert found["reported_score"] == 0.25
    assert "./final/submission.csv" in found["reason"]


async def test_what_is_not_run_is_empty_with_a_reason(solve) -> None:
    replies = tiny.replies(1, 2) | {"model_eval_agent_1_1": [tiny.fenced("import csv\nprint(1)"), "..."]}
    result = await solve(replies, **SMALL, max_retry=2)
    state = json.loads((result.folder / "tiny" / "final_state.json").read_text())
    assert state["init_code_exec_result_1_1"] == {}
    assert state["init_code_exec_result_1_1_reason"]


async def test_a_run_whose_scripts_were_blocked_says_what_blocked_them(solve) -> None:
    blocked = tiny.solution(0.0, 2.4).replace("# --- model", "import subprocess\n# --- model")
    replies = tiny.replies(1, 1) | {"model_eval_agent_1_1": [tiny.fenced(blocked)]}
    with pytest.raises(MleError, match=r"subprocess.* starts or ends other programs"):
        await solve(replies, **{**SMALL, "num_model_candidates": 1}, max_retry=1, validation="block")


async def test_the_report_says_what_was_around_the_scripts(solve) -> None:
    result = await solve(tiny.replies(1, 2), **SMALL)
    page = (result.folder / "report.html").read_text()
    assert f"Scripts ran in the {RunConfig().sandbox} sandbox, with the network " in page


async def test_a_reason_does_not_outlive_the_version_that_it_speaks_of(solve) -> None:
    good = tiny.solution(0.0, 2.4)
    replies = tiny.replies(1, 2) | {"model_eval_agent_1_1": [tiny.fenced("print(1)"), tiny.fenced(good)]}
    result = await solve(replies, **SMALL)
    state = json.loads((result.folder / "tiny" / "final_state.json").read_text())
    assert state["init_code_exec_result_1_1"]["outcome"] == "ok"
    assert state["init_code_exec_result_1_1_reason"] is None


async def test_the_state_holds_no_path_of_this_machine(solve, tmp_path: Path) -> None:
    code = MARK + "import os, sys, tempfile\nprint(os.getcwd(), tempfile.gettempdir(), sys.prefix, object())\n1/0"
    replies = tiny.replies(1, 2) | {"model_eval_agent_1_1": [tiny.fenced(code), "..."]}
    result = await solve(replies, **{**SMALL, "max_rollback_round": 1})
    first = next(one for one in result.attempts if one.slot.code_key == "init_code_1_1")
    assert first.execution.stdout.splitlines()[1].startswith(". <tmp> <env> <object object at 0x")
    assert 'File "init_code_1.py"' in first.execution.stderr or 'File "./init_code_1.py"' in first.execution.stderr
    state = json.loads((result.folder / "tiny" / "final_state.json").read_text())
    state.pop("data_dir")  # where the user's data lie
    state.pop("agent_model")  # the test's own file of replies
    assert str(tmp_path) not in json.dumps(state)
