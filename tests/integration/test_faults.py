"""Whatever an agent says and whatever a script does, a run ends with a valid submission, within its bound of calls.

The base is a run in which every kind of agent is asked. A passing fault spoils the first reply of an agent, a lasting
one all of them and those of the agent that debugs its script.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pytest

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import LlmCall
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from tests.fixtures import faults, tiny

SETTINGS = {
    "use_data_leakage_checker": True,
    "use_data_usage_checker": True,
    "exec_timeout": 60,
    "max_retry": 3,
    "max_debug_round": 2,
    "max_rollback_round": 2,
}
PROSE = ["task_summarization_agent", "ablation_summary_agent_1", "plan_refine_agent_1", "init_ensemble_plan_agent"]
PROSE += ["ensemble_plan_refine_agent", "model_eval_bug_summary_agent_1_1"]
JSON = ["model_retriever_agent_1", "init_plan_agent_1", "model_eval_check_leakage_agent_1_1"]
WHOLE = [
    "model_eval_agent_1_1",
    "model_eval_debug_agent_1_1",
    "model_eval_refine_leakage_agent_1_1",
    "merger_agent_1_1",
]
WHOLE += ["check_data_use_agent_1", "ablation_agent_1", "ensemble_plan_implement_initial_agent"]
WHOLE += ["ensemble_plan_implement_agent", "submission_agent"]
BLOCK = ["plan_implement_initial_agent_1", "plan_implement_agent_1"]
AGENTS = PROSE + JSON + WHOLE + BLOCK
FAULTS = [*faults.REPLIES, *faults.SCRIPTS, *faults.BLOCKS]
SLOW_TO_FAIL = ["model_eval_agent_1_2", "ablation_agent_1", "plan_implement_agent_1", "ensemble_plan_implement_agent"]


def applies(agent: str, fault: str) -> bool:
    if fault in faults.BLOCKS:
        return agent.startswith("init_plan")
    return fault in faults.REPLIES or agent in WHOLE + BLOCK


PASSING = [
    ("empty", "prose", "truncated", "wrong_json"),  # asked again each time
    ("two_blocks",),
    *((fault,) for fault in faults.SCRIPTS),
    tuple(faults.BLOCKS),
]
LASTING = [  # each agent once, in groups that do not keep each other from being asked; the full product is slow
    {
        "task_summarization_agent": "empty",
        "model_eval_bug_summary_agent_1_1": "empty",
        "ablation_summary_agent_1": "empty",
        "plan_refine_agent_1": "empty",
        "ensemble_plan_refine_agent": "empty",
    },
    {"model_retriever_agent_1": "wrong_json"},
    {
        "model_eval_check_leakage_agent_1_1": "wrong_json",
        "init_plan_agent_1": "block_repeated",
        "init_ensemble_plan_agent": "empty",
    },
    {
        "model_eval_agent_1_1": "nan",
        "ablation_agent_1": "no_module",
        "ensemble_plan_implement_initial_agent": "two_blocks",
    },
    {
        "model_eval_debug_agent_1_1": "truncated",
        "plan_implement_initial_agent_1": "truncated",
        "ensemble_plan_implement_agent": "prose",
    },
    {
        "model_eval_refine_leakage_agent_1_1": "prose",
        "merger_agent_1_1": "killed",
        "check_data_use_agent_1": "truncated",
        "plan_implement_agent_1": "empty",
        "submission_agent": "killed",
    },
]


def most_calls(config: RunConfig) -> int:
    """The calls that a run makes at most, however its agents answer.

    A script costs `max_rollback_round` + `max_debug_round` questions and as many for bug summaries as for debugging;
    with the leakage checker on, each version of it costs a check and a repair. Any question is asked `max_retry` times.
    """
    debugs, rewrites = config.max_debug_round, config.max_rollback_round
    script = rewrites + 2 * debugs + (2 * (rewrites + debugs) if config.leakage_checker else 0)
    candidates = config.num_model_candidates * script + (config.num_model_candidates - 1) * script
    usage = script if config.use_data_usage_checker else 0
    ablation = script + 1
    attempts = (1 + config.inner_loop_round) * (1 + script)
    solution = 1 + candidates + usage + config.outer_loop_round * (ablation + attempts) + ablation
    ensembles = (1 + config.ensemble_loop_round) * (1 + script)
    return config.max_retry * (1 + config.num_solutions * solution + ensembles + script)


def spoilt(agent: str, fault: str) -> str:
    """What `agent` says when this fault strikes."""
    if fault in faults.BLOCKS:
        return tiny.plan(faults.BLOCKS[fault], "Better.")
    return tiny.fenced(faults.SCRIPTS[fault]) if fault in faults.SCRIPTS else faults.REPLIES[fault]


def struck(strikes: Mapping[str, Sequence[str]], lasting: bool) -> dict[str, list[str]]:
    """The base replies, those of some agents spoilt by faults, one after the other."""
    replies = faults.eventful()
    for agent, kinds in strikes.items():
        bad = [spoilt(agent, fault) for fault in kinds if applies(agent, fault)]
        usual = next(listed for name, listed in replies.items() if fnmatchcase(agent, name))
        replies[agent] = [*bad, "..."] if lasting else [*bad, *usual]
        if lasting and "_debug_" not in agent:
            replies[agent.replace("_agent", "_debug_agent", 1)] = [*bad, "..."]
    return replies


async def survive(solve: Any, replies: dict[str, list[str]], **settings: Any) -> client.Result:
    """The result of a run, once its submission is known to be valid and its calls within the bound."""
    result = await solve(replies, **{**SETTINGS, **settings})
    with result.submission.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(i) for i in range(100, 120)]
    assert all(math.isfinite(float(row["y"])) for row in rows)
    assert len(calls(result)) <= most_calls(RunConfig(**{**SETTINGS, **settings}))
    return result


def calls(result: client.Result) -> list[str]:
    return [entry.agent for entry in read_journal(result.folder) if isinstance(entry, LlmCall)]


async def test_the_base_asks_every_kind_of_agent(solve) -> None:
    result = await survive(solve, faults.eventful())
    assert set(AGENTS) - set(calls(result)) == set()


@pytest.mark.parametrize("kinds", PASSING, ids="-".join)
async def test_passing_faults_of_all_agents_at_once(solve, kinds: tuple[str, ...]) -> None:
    """The first replies of all agents of one solution and of the ensemble are spoilt; the best script still wins."""
    endless = kinds == ("endless",)
    agents = SLOW_TO_FAIL if endless else [agent for agent in AGENTS if applies(agent, kinds[0])]
    replies = struck(dict.fromkeys(agents, kinds), lasting=False)
    result = await survive(solve, replies, max_retry=len(kinds) + 2, exec_timeout=4 if endless else 60)
    assert set(agents) <= set(calls(result))
    assert result.winner.slot.code_key in ("submission_code", "ensemble_code_1")


@pytest.mark.parametrize("strikes", LASTING, ids=lambda strikes: next(iter(strikes)))
async def test_lasting_faults_cost_only_what_they_strike(solve, strikes: dict[str, str]) -> None:
    replies = struck({agent: [fault] for agent, fault in strikes.items()}, lasting=True)
    result = await survive(solve, replies, max_retry=2, max_debug_round=1)
    assert set(strikes) <= set(calls(result))


def test_every_agent_has_a_lasting_fault() -> None:
    assert sorted(agent for strikes in LASTING for agent in strikes) == sorted(AGENTS)


@pytest.mark.slow
@pytest.mark.parametrize("lasting", [False, True], ids=["passing", "lasting"])
@pytest.mark.parametrize(("agent", "fault"), [(a, f) for a in AGENTS for f in FAULTS if applies(a, f)])
async def test_any_fault_of_any_agent(solve, agent: str, fault: str, lasting: bool) -> None:
    await survive(solve, struck({agent: [fault]}, lasting), exec_timeout=1)
