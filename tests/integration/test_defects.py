"""The known defects of the original system, D1 to D21, each kept out by one test."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.code_util import STAGES, get_run_code_condition
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.debug_prompt import render_bug_summary
from machine_learning_engineering.shared_libraries.entries import LlmCall
from machine_learning_engineering.shared_libraries.errors import MleError, ReplyFormatError
from machine_learning_engineering.shared_libraries.records import Attempt, Execution, Metric, Score, Slot
from machine_learning_engineering.shared_libraries.replies import replace_block, text_of
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from machine_learning_engineering.shared_libraries.scoring.choose import adopt
from machine_learning_engineering.shared_libraries.tasks.card import ScriptRef
from tests.fixtures import tiny
from tests.unit.prompts.cases import make_card

CLEAN = tiny.fenced('[{"leakage_status": "No Data Leakage", "code_block": "bias"}]', "json")
LEAKS = tiny.fenced('[{"leakage_status": "Yes Data Leakage", "code_block": "bias"}]', "json")
SMALL = {"num_solutions": 1, "num_model_candidates": 1, "outer_loop_round": 0}


def calls(result: client.Result) -> list[str]:
    return [entry.agent for entry in read_journal(result.folder) if isinstance(entry, LlmCall)]


def state(result: client.Result) -> dict:
    return json.loads((result.folder / "tiny" / "final_state.json").read_text())


def attempt(value: float | None, outcome: str = "ok") -> Attempt:
    ran = Execution(
        outcome=outcome, returncode=0, stdout="", stderr="", execution_time=0, backend="test", folder=Path("x")
    )
    reason = None if outcome == "ok" and value is not None else "failed"
    return Attempt(Slot(STAGES["merger"], 1, 0, 1), 0, "", ran, Score(value=value, source="sealed", reason=reason))


async def test_d01_the_data_usage_checker_runs(solve) -> None:
    """With the usage checker on, the selected script is shown to it once, although it has a result already."""
    replies = tiny.replies(1, 1) | {"check_data_use_agent_1": [tiny.fenced(tiny.solution(1.0, 3.0))]}
    result = await solve(replies, **SMALL, use_data_usage_checker=True)
    assert calls(result).count("check_data_use_agent_1") == 1
    assert state(result)["train_code_0_1"] == tiny.solution(1.0, 3.0)


async def test_d02_a_leak_is_repaired_and_the_repaired_script_runs(solve) -> None:
    """Finding a leak costs one repair, not the run."""
    replies = tiny.replies(1, 1) | {"*_check_leakage_agent_*": [CLEAN, "..."]}
    replies["model_eval_check_leakage_agent_1_1"] = [LEAKS, CLEAN]
    replies["model_eval_refine_leakage_agent_1_1"] = [tiny.fenced(tiny.solution(0.5, 2.5))]
    result = await solve(replies, **SMALL, use_data_leakage_checker=True)
    assert state(result)["init_code_1_1"] == tiny.solution(0.5, 2.5)
    assert [one.script for one in result.attempts if one.slot.code_key == "init_code_1_1"] == [tiny.solution(0.5, 2.5)]


async def test_d03_a_verdict_that_cannot_be_read_is_asked_again(solve) -> None:
    """A verdict that cannot be read is asked for once more."""
    replies = tiny.replies(1, 1) | {"*_check_leakage_agent_*": [CLEAN, "..."]}
    replies["model_eval_check_leakage_agent_1_1"] = ["Hard to say.", CLEAN]
    result = await solve(replies, **SMALL, use_data_leakage_checker=True)
    assert calls(result).count("model_eval_check_leakage_agent_1_1") == 2
    assert result.winner.script == tiny.solution(0.0, 2.11)


async def test_d04_clean_code_runs_once_and_is_not_debugged(solve) -> None:
    """Code that is judged clean runs, once, and nothing else is asked about it."""
    replies = tiny.replies(1, 1) | {"*_check_leakage_agent_*": [CLEAN, "..."]}
    result = await solve(replies, **SMALL, use_data_leakage_checker=True)
    assert len([one for one in result.attempts if one.slot.code_key == "init_code_1_1"]) == 1
    assert not [agent for agent in calls(result) if "debug" in agent]


async def test_d05_a_rewritten_script_is_checked_anew(solve) -> None:
    """A verdict is about one text; the next version of the script is checked again."""
    replies = tiny.replies(1, 1) | {"*_check_leakage_agent_*": [CLEAN, "..."]}
    broken = tiny.fenced("print('Final Validation Performance: 1')\nraise SystemExit(4)")
    replies["model_eval_agent_1_1"] = [broken, tiny.fenced(tiny.solution(0.0, 2.0))]
    replies["model_eval_bug_summary_agent_1_1"] = ["It stops.", "..."]
    replies["model_eval_debug_agent_1_1"] = [broken, "..."]
    result = await solve(replies, **SMALL, use_data_leakage_checker=True, max_debug_round=1, max_rollback_round=2)
    rewritten = [one for one in result.attempts if one.slot.code_key == "init_code_1_1"]
    assert calls(result).count("model_eval_check_leakage_agent_1_1") == len(rewritten)


async def test_d06_ablations_and_first_plans_are_checked_too(solve) -> None:
    """No kind of script is left out by the name of the key that says whether to check it."""
    replies = tiny.replies(1, 1) | {"*_check_leakage_agent_*": [CLEAN, "..."]}
    replies["init_plan_agent_1"] = [tiny.plan("bias = 0.0", "Tune the bias.")]
    settings = {**SMALL, "outer_loop_round": 1}
    agents = calls(await solve(replies, **settings, use_data_leakage_checker=True))
    assert "ablation_check_leakage_agent_1" in agents
    assert "plan_implement_initial_check_leakage_agent_1" in agents


def test_d07_a_whole_program_is_not_nested_into_a_block() -> None:
    """A reply that is a whole program replaces the whole program."""
    whole = tiny.solution(1.0, 3.0)
    assert replace_block(tiny.solution(), "bias = 0.0", whole).strip() == whole.strip()


async def test_d08_the_refined_plan_can_win(solve) -> None:
    """All 1 + inner_loop_round attempts of a step are compared, the last one too."""
    replies = tiny.replies(1, 1)
    replies["init_plan_agent_1"] = [tiny.plan("slope = 2.11", "Tune the slope.")]
    replies["plan_implement_initial_agent_1"] = [tiny.fenced("slope = 2.2")]
    replies["plan_implement_agent_1"] = [tiny.fenced("slope = 2.9")]
    result = await solve(replies, **{**SMALL, "outer_loop_round": 1})
    assert state(result)["train_code_1_1"] == state(result)["train_code_improve_1_0_1"]


async def test_d09_one_script_beyond_repair_does_not_end_the_run(solve) -> None:
    """A script that never works leaves an empty result that nobody trips over."""
    replies = tiny.replies(1, 2)
    bad = tiny.fenced("print('Final Validation Performance: 1')\n1/0")
    replies |= {"model_eval_agent_1_2": [bad, "..."], "model_eval_debug_agent_1_2": [bad, "..."]}
    replies["model_eval_bug_summary_agent_1_2"] = ["It divides by zero.", "..."]
    result = await solve(replies, **{**SMALL, "num_model_candidates": 2}, max_debug_round=1)
    assert result.submission.exists()
    assert state(result)["init_code_exec_result_1_2"] == {}


async def test_d10_no_working_candidate_is_a_sentence(solve) -> None:
    """Where no candidate works, the run ends with a sentence that says why."""
    replies = tiny.replies(1, 1) | {"model_eval_agent_1_1": ["I cannot.", "..."]}
    with pytest.raises(MleError, match="none of model 1 made a valid submission"):
        await solve(replies, **SMALL)


@pytest.mark.parametrize("block", ["", "nowhere = 1", "import csv\nimport os\nimport csv"])
def test_d11_a_block_must_be_there_exactly_once(block: str) -> None:
    """A block that is empty, absent or ambiguous is refused, and the code stays as it is."""
    with pytest.raises(ReplyFormatError):
        replace_block(tiny.solution() + "\n", block, "x = 1")
    with pytest.raises(ReplyFormatError):
        replace_block("a = 1\nb = 2\na = 1\n", "a = 1", "a = 2")


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_d12_a_score_that_is_not_finite_is_never_better(value: float, maximize: bool) -> None:
    """NaN and infinities lose to every number, whichever direction is better."""
    metric = Metric(name="m", title="m", maximize=maximize, predicts="value")
    assert not metric.better(value, than=0.0)
    assert metric.better(0.0, than=value)


def test_d13_a_failure_loses_to_any_real_score() -> None:
    """The fail scores 0 and 1e9 never win against a negative R2 or a squared error above 1e9."""
    r2 = Metric(name="r2", title="r2", maximize=True, predicts="value")
    mse = Metric(name="mse", title="mse", maximize=False, predicts="value")
    assert not adopt(r2, attempt(-3.0), attempt(None, "error"))
    assert not adopt(mse, attempt(5e9), attempt(None, "error"))
    assert adopt(mse, attempt(None, "error"), attempt(5e9))


@pytest.mark.parametrize("end", ["import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "raise SystemExit(2)"])
async def test_d14_a_script_that_was_killed_or_exits_2_is_rolled_back(solve, end: str) -> None:
    """Death by signal and exit codes other than 1 are failures like any other."""
    replies = tiny.replies(1, 2)
    bad = tiny.fenced(f"print('Final Validation Performance: 1')\n{end}")
    replies |= {"model_eval_agent_1_2": [bad, "..."], "model_eval_debug_agent_1_2": [bad, "..."]}
    replies["model_eval_bug_summary_agent_1_2"] = ["It ends early.", "..."]
    result = await solve(replies, **{**SMALL, "num_model_candidates": 2}, max_debug_round=1)
    assert state(result)["init_code_exec_result_1_2"] == {}


def test_d15_exit_is_a_call_not_a_substring() -> None:
    """Words such as exit() in a comment, and calls of sys.exit, are no reason not to run a script."""
    mark = "print('Final Validation Performance: 1')\n"
    assert get_run_code_condition("model_eval_agent_1_1", mark + "import sys\nif False: sys.exit()  # exit()")
    assert not get_run_code_condition("model_eval_agent_1_1", mark + "exit(0)")
    assert not get_run_code_condition("model_eval_agent_1_1", mark + "quit()")


def test_d16_the_bug_summary_names_the_file_once() -> None:
    """The file name that ends in .py is not given the ending again."""
    prompt = render_bug_summary(make_card("bug_summary", scripts=(ScriptRef(name="a.py"),)), "boom", "a.py")
    assert "a.py" in prompt
    assert "a.py.py" not in prompt


async def test_d17_earlier_blocks_are_shown_as_code(solve) -> None:
    """Blocks in a prompt have line ends, not the escapes of a Python list."""
    replies = tiny.replies(1, 1)
    block = 'def predict(row):\n    return slope * float(row["x"]) + bias'
    replies["init_plan_agent_1"] = [tiny.plan(block, "Better."), tiny.plan("slope = 2.11", "Tune."), "..."]
    replies["plan_implement_initial_agent_1"] = [tiny.fenced(block), tiny.fenced("slope = 2.2"), "..."]
    replies["plan_implement_agent_1"] = [tiny.fenced(block), tiny.fenced("slope = 2.3"), "..."]
    result = await solve(replies, **{**SMALL, "outer_loop_round": 2})
    asked = [e for e in read_journal(result.folder) if isinstance(e, LlmCall) and e.agent == "init_plan_agent_1"]
    instruction = json.loads((result.folder / "blobs" / asked[1].request).read_text())["instruction"]
    assert f"\n{block}\n" in instruction
    assert repr([block]) not in instruction


async def test_d18_a_second_run_in_the_same_process_starts_afresh(solve) -> None:
    """Nothing of an earlier run in the same process is taken for a result of this one."""
    first = await solve(out="one")
    second = await solve(out="two")
    assert sorted(calls(first)) == sorted(calls(second))
    assert {**state(first), "agent_model": ""} == {**state(second), "agent_model": ""}
    assert second.submission.read_bytes() == first.submission.read_bytes()
    assert len(second.attempts) == len(first.attempts)


async def test_d19_zero_rounds_mean_none(solve) -> None:
    """Zero rounds skip the stage instead of looping for ever."""
    settings = {**SMALL, "num_solutions": 2, "ensemble_loop_round": 0, "inner_loop_round": 0}
    agents = await asyncio.wait_for(solve(tiny.replies(2, 1), **settings), 60)
    asked = calls(agents)
    assert not [agent for agent in asked if agent.startswith(("init_plan", "plan_", "ensemble_plan_refine"))]
    assert asked.count("ensemble_plan_implement_initial_agent") == 1


async def test_d20_a_model_may_have_any_name(solve) -> None:
    """Names are written as UTF-8 everywhere."""
    replies = tiny.replies(1, 1)
    replies["model_retriever_agent_1"] = [tiny.models(1).replace("model 1", "Gradienten-Verstärkung 模型 🚀")]
    result = await solve(replies, **SMALL)
    text = (result.folder / "tiny" / "1" / "model_candidates" / "model_1.txt").read_text(encoding="utf-8")
    assert "Gradienten-Verstärkung 模型 🚀" in text


def test_d21_parts_without_text_and_reasoning_are_left_out() -> None:
    """What a model thought, and parts without text, never become code."""
    parts = [SimpleNamespace(text=None, thought=None), SimpleNamespace(text="hmm", thought=True)]
    parts.append(SimpleNamespace(text="print(1)", thought=False))
    assert text_of(SimpleNamespace(parts=parts)) == "print(1)"


def test_defaults_are_the_original_ones() -> None:
    config = RunConfig()
    assert (config.num_solutions, config.num_model_candidates, config.max_retry, config.exec_timeout) == (2, 2, 10, 600)
