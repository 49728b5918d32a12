"""The leakage checker: a script is written, checked, repaired if it leaks, and only then run."""

import json
from typing import Any

import pytest

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.entries import JournalEntry, LlmCall, ScriptRun
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from tests.fixtures import faults, tiny

CLEAN, LEAKS = faults.leaks("No"), faults.leaks("Yes")
ONE = {"num_solutions": 1, "num_model_candidates": 1, "outer_loop_round": 0}
GOOD = tiny.solution(0.5, 2.5)


async def check(solve: Any, replies: dict[str, list[str]], **settings: Any) -> client.Result:
    """A run with the checker on, which finds everything clean that `replies` do not speak of."""
    base = tiny.replies(2, 2) | replies | {"*_check_leakage_agent*": [CLEAN, "..."]}
    return await solve(base, **{**ONE, **settings}, use_data_leakage_checker=True, leak_audit=False, importance=False)


def scripts(result: client.Result, code_key: str = "init_code_1_1") -> list[str]:
    """The scripts that ran at an address on the search view, in order."""
    return [one.script for one in result.attempts if one.slot.code_key == code_key]


def state_of(result: client.Result) -> dict[str, Any]:
    return json.loads((result.folder / "tiny" / "final_state.json").read_text())


def steps(result: client.Result, slot: str = "init_code_1_1") -> list[str]:
    """Who spoke and what ran, in order, for one address."""
    entries = read_journal(result.folder)
    return [step for entry in entries if (step := _step(entry, slot))]


def _step(entry: JournalEntry, slot: str) -> str:
    if isinstance(entry, LlmCall) and entry.agent.startswith("model_eval"):
        return entry.agent.removeprefix("model_eval_").removesuffix("agent_1_1").strip("_") or "write"
    return "run" if isinstance(entry, ScriptRun) and entry.slot == slot and entry.view != "final" else ""


def shown(result: client.Result, agent: str) -> list[str]:
    """The prompts of an agent."""
    asked = [entry for entry in read_journal(result.folder) if isinstance(entry, LlmCall) and entry.agent == agent]
    return [json.loads((result.folder / "blobs" / entry.request).read_text())["instruction"] for entry in asked]


async def test_clean_code_is_checked_and_then_runs_once(solve) -> None:
    result = await check(solve, {})
    assert steps(result) == ["write", "check_leakage", "run"]
    assert state_of(result)["model_eval_leakage_status_1_1"] == "No Data Leakage"


async def test_leaking_code_never_runs_but_its_repair_does(solve) -> None:
    """Whole script in, whole script out."""
    replies = {
        "model_eval_check_leakage_agent_1_1": [LEAKS, CLEAN],
        "model_eval_refine_leakage_agent_1_1": [tiny.fenced(GOOD)],
    }
    result = await check(solve, replies)
    assert steps(result) == ["write", "check_leakage", "refine_leakage", "check_leakage", "run"]
    assert state_of(result)["model_eval_leakage_status_1_1"] == "No Data Leakage"
    assert scripts(result) == [GOOD]
    assert state_of(result)["init_code_1_1"] == GOOD
    assert tiny.solution(0.0, 2.11) in shown(result, "model_eval_refine_leakage_agent_1_1")[0]


async def test_every_kind_of_script_is_checked(solve) -> None:
    settings = {"num_solutions": 2, "num_model_candidates": 2, "outer_loop_round": 1}
    replies = {"check_data_use_agent_1": [tiny.fenced(tiny.solution(0.1, 2.6))], "check_data_use_agent_2": ["", "..."]}
    result = await check(solve, replies, **settings, use_data_usage_checker=True, max_retry=2)
    checked = {e.agent for e in read_journal(result.folder) if isinstance(e, LlmCall) and "_check_leakage_" in e.agent}
    stages = ("model_eval", "merger", "ablation", "plan_implement_initial", "plan_implement")
    assert {name.split("_check_leakage")[0] for name in checked} == {
        *stages,
        "check_data_use",
        "ensemble_plan_implement_initial",
        "ensemble_plan_implement",
    }


async def test_what_a_debug_agent_writes_is_checked_too(solve) -> None:
    replies = {"model_eval_agent_1_1": [tiny.fenced(faults.BROKEN)], "model_eval_bug_summary_agent_1_1": ["Bad data."]}
    replies["model_eval_debug_agent_1_1"] = [tiny.fenced(tiny.solution(9.0, 2.0))]
    replies["model_eval_check_leakage_agent_1_1"] = [CLEAN, LEAKS, CLEAN]
    replies["model_eval_refine_leakage_agent_1_1"] = [tiny.fenced(GOOD)]
    result = await check(solve, replies)
    assert steps(result) == [
        *(
            "write",
            "check_leakage",
            "run",
            "bug_summary",
            "debug",
            "check_leakage",
            "refine_leakage",
            "check_leakage",
            "run",
        )
    ]
    assert scripts(result)[1] == GOOD


async def test_each_version_gets_its_own_verdict(solve) -> None:
    """The verdict on a first version says nothing about the next one."""
    replies = {"model_eval_agent_1_1": [tiny.fenced(faults.BROKEN), tiny.fenced(tiny.solution(9.0, 2.0))]}
    replies["model_eval_check_leakage_agent_1_1"] = [CLEAN, LEAKS, CLEAN]
    replies["model_eval_refine_leakage_agent_1_1"] = [tiny.fenced(GOOD)]
    result = await check(solve, replies, max_debug_round=0, max_rollback_round=2)
    again = ["write", "check_leakage", "refine_leakage", "check_leakage", "run"]
    assert steps(result) == ["write", "check_leakage", "run", *again]
    first, second, third = shown(result, "model_eval_check_leakage_agent_1_1")
    assert "bad data" in first
    assert tiny.solution(9.0, 2.0) in second
    assert GOOD in third
    assert state_of(result)["model_eval_leakage_status_1_1"] == "No Data Leakage"


async def test_a_script_that_leaks_again_and_again_runs_after_two_repairs(solve) -> None:
    replies = {"model_eval_check_leakage_agent_1_1": [LEAKS, "..."]}
    replies["model_eval_refine_leakage_agent_1_1"] = [tiny.fenced(tiny.solution(9.0, 2.0)), tiny.fenced(GOOD)]
    result = await check(solve, replies)
    assert steps(result) == ["write", *["check_leakage", "refine_leakage"] * 2, "run"]
    assert scripts(result) == [GOOD]


async def test_a_verdict_that_cannot_be_read_leaves_no_older_one(solve) -> None:
    replies = {"model_eval_agent_1_1": [tiny.fenced(faults.BROKEN), tiny.fenced(GOOD)]}
    replies["model_eval_check_leakage_agent_1_1"] = [CLEAN, "Hard to say.", "..."]
    result = await check(solve, replies, max_debug_round=0, max_rollback_round=2, max_retry=2)
    assert state_of(result)["model_eval_leakage_status_1_1"] == ""


@pytest.mark.parametrize("verdict", ["It is hard to say.", "", '[{"leakage_status": "Perhaps", "code_block": ""}]'])
async def test_a_verdict_that_cannot_be_read_is_asked_again(solve, verdict: str) -> None:
    result = await check(solve, {"model_eval_check_leakage_agent_1_1": [verdict, CLEAN]})
    assert steps(result) == ["write", "check_leakage", "check_leakage", "run"]


async def test_without_a_verdict_the_script_runs_as_it_is(solve) -> None:
    result = await check(solve, {"model_eval_check_leakage_agent_1_1": ["Hard to say.", "..."]}, max_retry=3)
    assert steps(result) == ["write", *["check_leakage"] * 3, "run"]
    assert scripts(result) == [tiny.solution(0.0, 2.11)]


@pytest.mark.parametrize("repair", ["I cannot.", tiny.fenced("print('no marker')")])
async def test_without_a_repair_the_script_runs_as_it_was_written(solve, repair: str) -> None:
    replies = {"model_eval_check_leakage_agent_1_1": [LEAKS], "model_eval_refine_leakage_agent_1_1": [repair, "..."]}
    result = await check(solve, replies, max_retry=2)
    assert scripts(result) == [tiny.solution(0.0, 2.11)]
    state = state_of(result)
    assert state["init_code_1_1"] == tiny.solution(0.0, 2.11)
    assert state["init_code_exec_result_1_1"]["returncode"] == 0


async def test_code_that_does_not_parse_runs_unchecked_for_its_error_message(solve) -> None:
    replies = {"model_eval_agent_1_1": [tiny.fenced("print('Final Validation Performance: 1'\n")]}
    replies |= {"model_eval_bug_summary_agent_1_1": ["A bracket."], "model_eval_debug_agent_1_1": [tiny.fenced(GOOD)]}
    result = await check(solve, replies)
    assert steps(result) == ["write", "run", "bug_summary", "debug", "check_leakage", "run"]
    assert "SyntaxError" in shown(result, "model_eval_bug_summary_agent_1_1")[0]


async def test_a_script_that_does_not_qualify_is_not_checked(solve) -> None:
    replies = {"model_eval_agent_1_1": [tiny.fenced("import csv"), tiny.fenced(GOOD)]}
    assert steps(await check(solve, replies)) == ["write", "write", "check_leakage", "run"]


async def test_the_repair_of_a_final_script_is_not_checked(solve) -> None:
    """It runs on all data, where nothing is held out."""
    winner = faults.broken_on_full_data(tiny.solution(1.0, 3.0))
    replies = {"model_eval_agent_1_1": [tiny.fenced(winner)], "submission_agent": [tiny.fenced(GOOD)]}
    result = await check(solve, replies)
    assert result.solution.read_text() == GOOD
    assert not [e for e in read_journal(result.folder) if isinstance(e, LlmCall) and "submission_check" in e.agent]
