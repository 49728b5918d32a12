"""What a 2 x 2 run of the original left behind, this system leaves too: state keys, files and agents.

The few deliberate differences are in docs/differences.md; each is named here with its reason.
"""

import json
from pathlib import Path

import pytest

from machine_learning_engineering import client
from machine_learning_engineering.agent import build_frontdoor
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import LlmCall, StateDelta
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from tests.fixtures import faults, original_names, tiny

NO_LONGER_WRITING = {
    # their only trace was a counter that another agent now sets when a round begins
    "init_plan_loop_agent_1",
    "init_plan_loop_agent_2",
    "plan_refine_and_implement_agent_1",
    "plan_refine_and_implement_agent_2",
    "ensemble_plan_refine_and_implement_agent",
}
# the ablation phase measures the refined solutions once more, at step 1
NEW_KEYS = {f"ablation_{what}_1_{t}" for what in ("code", "code_exec_result", "summary") for t in (1, 2)}
NEW_KEYS |= {f"ablation_scores_{step}_{t}" for step in (0, 1) for t in (1, 2)}
NEW_KEYS |= {f"init_{t}_model_sources" for t in (1, 2)}


def asked(result: client.Result) -> set[str]:
    return {entry.agent for entry in read_journal(result.folder) if isinstance(entry, LlmCall)}


def replies_with_a_failure_everywhere() -> dict[str, list[str]]:
    """Each agent that writes a script first writes a broken one, so that its bug summary and debug agents are asked."""
    replies = tiny.replies()
    bad = tiny.fenced(faults.BROKEN)
    for agent in sorted(original_names.LEAF_AGENTS & set(replies)):
        debug = agent.replace("_agent", "_debug_agent", 1)
        if debug in original_names.ASKED_ON_FAILURE:
            block = agent.startswith("plan_implement")
            replies[debug] = [tiny.fenced(tiny.solution(0.8, 2.8 + int(agent[-1]) / 100))] if block else replies[agent]
            replies[agent] = [tiny.fenced("bias = 1 / 0") if block else bad]
    for t in (1, 2):
        replies[f"ablation_agent_{t}"] = [tiny.fenced("1 / 0"), "..."]
    best = faults.broken_on_full_data(tiny.solution(1.0, 3.0))
    replies["ensemble_plan_implement_initial_debug_agent"] = [tiny.fenced(tiny.solution(0.5, 2.5))]
    replies["ensemble_plan_implement_debug_agent"] = [tiny.fenced(best)]
    replies["submission_agent"] = [tiny.fenced("open('final/submission.csv')")]
    replies["submission_debug_agent"] = [tiny.fenced(tiny.solution(1.0, 3.0))]
    replies["*_bug_summary_agent*"] = ["It fails.", "..."]
    return replies


async def test_the_recorded_state_keys_are_there_with_their_types(solve) -> None:
    result = await solve()
    state = json.loads((result.folder / "tiny" / "final_state.json").read_text())
    kinds = {key: type(value).__name__ for key, value in state.items()}
    assert {key: kinds.get(key) for key in original_names.STATE_KEYS} == original_names.STATE_KEYS
    assert set(state) - set(original_names.STATE_KEYS) - set(RunConfig.model_fields) == NEW_KEYS


async def test_the_recorded_files_are_there(solve) -> None:
    result = await solve()
    missing = [name for name in original_names.FILES if not (result.folder / "tiny" / name).is_file()]
    assert missing == []


async def test_the_recorded_agents_wrote_the_state(solve) -> None:
    result = await solve()
    wrote = {entry.agent for entry in read_journal(result.folder) if isinstance(entry, StateDelta)}
    assert original_names.STEP_AGENTS - wrote == NO_LONGER_WRITING


async def test_an_undisturbed_run_asks_the_recorded_agents_and_no_other(solve) -> None:
    """Not asked: those for a failure, and the front door, which starts runs and is no part of one."""
    result = await solve()
    on_failure = original_names.ASKED_ON_FAILURE | {"mle_frontdoor_agent"}
    assert asked(result) == original_names.LEAF_AGENTS - on_failure


async def test_a_run_in_which_every_script_fails_once_asks_all_recorded_agents(solve) -> None:
    result = await solve(replies_with_a_failure_everywhere())
    assert asked(result) == original_names.LEAF_AGENTS - {"mle_frontdoor_agent"}
    assert result.winner.slot.code_key == "submission_code"


def test_the_front_door_has_the_recorded_name() -> None:
    assert build_frontdoor(RunConfig()).name in original_names.LEAF_AGENTS


@pytest.mark.parametrize("name", sorted(NO_LONGER_WRITING))
def test_each_difference_is_in_the_documents(name: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "differences.md").read_text()
    assert name.removesuffix("_1").removesuffix("_2") in text
