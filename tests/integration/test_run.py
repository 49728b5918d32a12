"""A run from its first question to its submission: real files, real scripts, a scripted model."""

import asyncio
import csv
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.entries import Decision, LlmCall, Scored, ScriptRun
from machine_learning_engineering.shared_libraries.errors import JournalError, MleError, ModelError
from machine_learning_engineering.shared_libraries.execution.local_sandbox import LocalSandbox
from machine_learning_engineering.shared_libraries.execution.observed import beating
from machine_learning_engineering.shared_libraries.records import Execution, Job
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from tests.fixtures import tiny


def state_of(folder: Path) -> dict:
    return json.loads((folder / "tiny" / "final_state.json").read_text())


async def test_a_run_ends_with_a_valid_submission(solve) -> None:
    result = await solve()
    with result.submission.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(i) for i in range(100, 120)]
    assert all(abs(float(row["y"])) < 100 for row in rows)
    assert result.winner.slot.code_key == "ensemble_code_1"
    assert result.winner.score.source in ("sealed", "sealed_unenforced")


async def test_the_solution_makes_the_same_submission_beside_the_inputs(solve, tmp_path: Path) -> None:
    result = await solve()
    alone = tmp_path / "alone"
    (alone / "input").mkdir(parents=True)
    for name in ("train.csv", "test.csv"):
        (alone / "input" / name).write_bytes((tmp_path / "task" / "tiny" / name).read_bytes())
    (alone / "solution.py").write_bytes(result.solution.read_bytes())
    command = [sys.executable, "solution.py"]
    await asyncio.to_thread(subprocess.run, command, cwd=alone, check=True, capture_output=True)
    assert (alone / "final" / "submission.csv").read_bytes() == result.submission.read_bytes()


async def test_a_script_ranks_by_its_sealed_score(solve) -> None:
    """A script that claims to be perfect does not win by its claim."""
    replies = tiny.replies()
    lie = tiny.solution(0.0, -3.0).replace("{{error ** 0.5:.6f}}", "0.0")
    lie = lie.replace(
        'print(f"Final Validation Performance: {error ** 0.5:.6f}")', 'print("Final Validation Performance: 0.0")'
    )
    assert 'Performance: 0.0"' in lie
    replies["model_eval_agent_1_1"] = [tiny.fenced(lie)]
    result = await solve(replies)
    liar = next(one for one in result.attempts if one.slot.code_key == "init_code_1_1")
    assert liar.score.reported == 0.0
    assert liar.value > 10
    state = state_of(result.folder)
    assert state["init_code_exec_result_1_1"]["score"] == liar.value
    assert state["best_score_1"] < liar.value
    assert state["performance_results_1"][0][1] != lie


async def test_running_again_repeats_nothing(solve) -> None:
    first = await solve()
    before = (first.folder / "tiny" / "final_state.json").read_bytes()
    entries = read_journal(first.folder)
    again = await solve()
    assert (again.folder / "tiny" / "final_state.json").read_bytes() == before
    new = read_journal(first.folder)[len(entries) :]
    assert [entry.kind for entry in new] == ["run_started", "run_ended"]


async def test_the_state_file_depends_on_replies_alone(solve) -> None:
    """Two branches run side by side; six runs in six folders, one sorted state."""
    texts = set()
    for n in range(6):
        result = await solve(out=f"run{n}", seed=1)
        text = (result.folder / "tiny" / "final_state.json").read_text()
        texts.add(text.replace(f"run{n}.replies.json", "replies.json"))
    assert len(texts) == 1


async def test_branches_overlap_and_the_loop_keeps_its_beat(solve, monkeypatch: pytest.MonkeyPatch) -> None:
    """While scripts run, a heartbeat every 10 ms keeps its beat, and scripts of both solutions run at once."""
    replies = tiny.replies()
    for t in (1, 2):
        slow = tiny.solution(0.0, 2.5 + 0.01 * t).replace("# --- model", "import time; time.sleep(0.5)\n# --- model")
        replies[f"model_eval_agent_{t}_1"] = [tiny.fenced(slow)]
    run, both = LocalSandbox.run, {folder: asyncio.Event() for folder in ("1", "2")}

    async def meet(sandbox: LocalSandbox, job: Job) -> Execution:
        """A script's run, which has room already; the first of each solution waits for that of the other one."""
        first = both.get(job.folder.parts[-3])
        if first is not None and not first.is_set():
            first.set()
            await asyncio.wait_for(asyncio.gather(*(event.wait() for event in both.values())), 60)
        return await run(sandbox, job)

    monkeypatch.setattr(LocalSandbox, "run", meet)
    _, gaps = await beating(solve(replies, parallel_scripts=2), seconds=0.01)
    assert len(gaps) > 100
    assert sorted(gaps)[-3] < 0.4  # a loop that waited for a script would miss 0.5 s; the machine may be busy


async def test_a_failed_branch_costs_only_itself(solve) -> None:
    replies = tiny.replies()
    for j in (1, 2):
        replies[f"model_eval_agent_1_{j}"] = [tiny.fenced("print('Final Validation Performance: 1')\n1/0"), "..."]
        replies[f"model_eval_bug_summary_agent_1_{j}"] = ["Division by zero.", "..."]
        replies[f"model_eval_debug_agent_1_{j}"] = replies[f"model_eval_agent_1_{j}"]
    result = await solve(replies, max_debug_round=2)
    assert result.submission.exists()
    why = next(e for e in read_journal(result.folder) if isinstance(e, Decision) and e.what == "ensemble")
    assert why.chosen is False
    state = state_of(result.folder)
    assert state["init_code_exec_result_1_1"] == {}
    assert "train_code_1_1" not in state


async def test_a_run_without_any_working_script_says_so(solve) -> None:
    replies = tiny.replies(solutions=1, candidates=1)
    replies["model_eval_agent_1_1"] = [tiny.fenced("print('Final Validation Performance: 1')"), "..."]
    replies["model_eval_bug_summary_agent_1_1"] = ["No submission.", "..."]
    replies["model_eval_debug_agent_1_1"] = replies["model_eval_agent_1_1"]
    with pytest.raises(MleError, match=r"none of model 1 made a valid submission\. .*submission\.csv"):
        await solve(replies, num_solutions=1, num_model_candidates=1, max_debug_round=1)


async def test_a_run_whose_scripts_all_met_one_limit_names_its_setting(solve) -> None:
    slow = tiny.solution(0.0, 2.0).replace("# --- model", "import time\ntime.sleep(60)\n# --- model")
    replies = tiny.replies(solutions=1, candidates=1) | {"model_eval_agent_1_1": [tiny.fenced(slow), "..."]}
    replies["model_eval_bug_summary_agent_1_1"] = ["It is too slow.", "..."]
    replies["model_eval_debug_agent_1_1"] = replies["model_eval_agent_1_1"]
    settings = {"num_solutions": 1, "num_model_candidates": 1, "max_debug_round": 1, "max_rollback_round": 1}
    with pytest.raises(
        MleError, match=r"ended after 1 seconds; make it faster\. Give scripts more time with --timeout\."
    ):
        await solve(replies, **settings, exec_timeout=1)


async def test_the_baseline_is_handed_in_where_no_model_wrote_a_script_that_works(solve) -> None:
    replies = tiny.replies(solutions=1, candidates=1) | {"model_eval_agent_1_1": ["I cannot.", "..."]}
    settings = {"num_solutions": 1, "num_model_candidates": 1, "max_retry": 2, "use_baseline": True}
    result = await solve(replies, **settings)
    assert result.winner.slot.stage.name == "baseline"
    assert result.submission.exists()
    with pytest.raises(MleError) as raised:
        await solve(replies, **{**settings, "use_baseline": False}, out="none")
    assert "None" not in str(raised.value)


async def test_a_fix_that_is_no_program_is_not_built_on(solve) -> None:
    """The next round of debugging starts from the last version that ran."""
    replies = tiny.replies(solutions=1, candidates=1)
    broken = "print('Final Validation Performance: 1')\nraise ValueError('first')"
    replies["model_eval_agent_1_1"] = [tiny.fenced(broken)]
    replies["model_eval_debug_agent_1_1"] = [tiny.fenced(broken + "\nif"), tiny.fenced(tiny.solution(0, 2.0))]
    replies["model_eval_bug_summary_agent_1_1"] = ["bug", "..."]
    result = await solve(replies, num_solutions=1, num_model_candidates=1, max_retry=1)
    entries = read_journal(result.folder)
    asked = [e for e in entries if isinstance(e, LlmCall) and e.agent == "model_eval_debug_agent_1_1"]
    assert len(asked) == 2
    last = (result.folder / "blobs" / asked[-1].request).read_text()
    assert "raise ValueError('first')" in last
    assert "\nif" not in last.replace("\\n", "\n")


async def test_debugging_is_bounded_and_sees_fresh_errors(solve) -> None:
    """`max_debug_round` bounds the debug attempts of one script, over its rewrites, and each sees the newest error."""
    replies = tiny.replies(solutions=1, candidates=1)
    bad = [tiny.fenced(f"print('Final Validation Performance: 1')\nraise ValueError('error {n}')") for n in range(9)]
    replies["model_eval_agent_1_1"] = [bad[0], bad[0]]
    replies["model_eval_debug_agent_1_1"] = [*bad[1:3], tiny.fenced(tiny.solution(0, 2.0))]
    replies["model_eval_bug_summary_agent_1_1"] = ["bug", "..."]
    result = await solve(replies, num_solutions=1, num_model_candidates=1, max_debug_round=3)
    entries = read_journal(result.folder)
    calls = Counter(e.agent for e in entries if isinstance(e, LlmCall))
    assert calls["model_eval_debug_agent_1_1"] == 3
    bugs = [e for e in entries if isinstance(e, LlmCall) and e.agent == "model_eval_bug_summary_agent_1_1"]
    for n, call in enumerate(bugs):
        assert f"error {n}" in (result.folder / "blobs" / call.request).read_text()


async def test_zero_rounds_mean_zero(solve) -> None:
    result = await solve(num_solutions=1, outer_loop_round=0, inner_loop_round=0, ensemble_loop_round=0)
    agents = {e.agent for e in read_journal(result.folder) if isinstance(e, LlmCall)}
    assert not {a for a in agents if "plan" in a}
    assert result.submission.exists()


async def test_a_changed_setting_is_refused(solve) -> None:
    await solve()
    with pytest.raises(JournalError, match="seed was 42, is 7"):
        await solve(seed=7)


async def test_every_script_run_is_in_the_journal_with_its_files(solve) -> None:
    result = await solve()
    entries = read_journal(result.folder)
    runs = [e for e in entries if isinstance(e, ScriptRun)]
    assert len({(e.slot, e.view, e.ordinal) for e in runs}) == len(runs)
    for run in runs:
        assert (result.folder / run.execution.folder / "stdout.txt").exists()
    assert {e.slot for e in entries if isinstance(e, Scored)} == {e.slot for e in runs if "ablation" not in e.slot}


async def test_a_wall_clock_budget_ends_the_search_in_time(solve) -> None:
    """With 6 s and scripts of 1 s a run ends early, with a submission, and its journal says what was left out."""
    replies = tiny.replies()
    slow = tiny.solution(0.0, 2.5).replace("# --- model", "import time; time.sleep(1)\n# --- model")
    for t in (1, 2):
        for j in (1, 2):
            replies[f"model_eval_agent_{t}_{j}"] = [tiny.fenced(slow + f"# {t} {j}\n")]
            replies[f"merger_agent_{t}_{j}"] = [tiny.fenced(slow + f"# merge {t} {j}\n")]
    started = time.monotonic()
    result = await solve(replies, minutes=0.1, outer_loop_round=50)
    assert time.monotonic() - started < 80  # each of the 50 rounds has two scripts of 1 s
    assert result.submission.exists()
    left_out = [e for e in read_journal(result.folder) if isinstance(e, Decision) and e.chosen is False]
    assert any(e.what.startswith("budget:") for e in left_out)


async def test_when_time_is_up_nothing_is_mended_once_a_script_works(solve) -> None:
    """Without any script that works, debugging goes on, so that there is something to hand in."""
    replies = tiny.replies(solutions=1, candidates=2)
    bad = tiny.fenced("print('Final Validation Performance: 1')\nraise ValueError")
    late = tiny.solution(0, 2.0).replace("# --- model", "import time; time.sleep(0.3)\n# --- model")
    replies["model_eval_agent_1_1"] = [bad]
    replies["model_eval_agent_1_2"] = [bad]
    replies["model_eval_debug_agent_1_1"] = [bad, tiny.fenced(late), "..."]
    replies["model_eval_debug_agent_1_2"] = [bad, "..."]
    replies["model_eval_bug_summary_agent_1_1"] = replies["model_eval_bug_summary_agent_1_2"] = ["bug", "..."]
    settings = {"num_solutions": 1, "num_model_candidates": 2, "max_debug_round": 200}
    result = await solve(replies, **settings, minutes=0.001)
    asked = [e.agent for e in read_journal(result.folder) if isinstance(e, LlmCall)]
    assert asked.count("model_eval_debug_agent_1_1") == 2
    assert asked.count("model_eval_debug_agent_1_2") < 200
    assert result.winner.slot.code_key == "init_code_1_1"


async def test_a_model_that_cannot_be_reached_ends_the_run_and_loses_no_branch(solve) -> None:
    """The run says so, and taking it up when the model is back gives what an unbroken run gives."""
    broken = tiny.replies() | {"merger_agent_2_1": [{"error": "the line is down"}]}
    with pytest.raises(ModelError, match="the line is down"):
        await solve(broken)
    result = await solve()
    assert result.winner.slot.code_key == "ensemble_code_1"
    assert state_of(result.folder)["merger_code_2_1"]
