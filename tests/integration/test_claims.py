"""Promises of the documents that no other test holds the code to: each test fails when its promise is broken."""

import asyncio
import json
import threading
import time
from typing import Any

import psutil
import pytest

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import Decision, LlmCall, ScriptRun
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from machine_learning_engineering.shared_libraries.tasks.card import TaskCard, parse_card
from tests.fixtures import faults, tiny

ONE = {"num_solutions": 1, "num_model_candidates": 1, "outer_loop_round": 0}


def state_of(result: client.Result) -> dict[str, Any]:
    return json.loads((result.folder / "tiny" / "final_state.json").read_text())


def calls(result: client.Result) -> list[LlmCall]:
    return [entry for entry in read_journal(result.folder) if isinstance(entry, LlmCall)]


def requests(result: client.Result, agent: str) -> list[dict[str, Any]]:
    """What an agent was sent, call by call."""
    asked = [call for call in calls(result) if call.agent == agent]
    return [json.loads((result.folder / "blobs" / call.request).read_text()) for call in asked]


def prompts(result: client.Result, agent: str) -> list[str]:
    return [request["instruction"] for request in requests(result, agent)]


def cards(result: client.Result, agent: str) -> list[TaskCard]:
    return [parse_card(prompt) for prompt in prompts(result, agent)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> client.Result:
    """One run in which much happens to the only candidate: no model named at first, a verdict, a missing module."""
    folder = tmp_path_factory.mktemp("told")
    task = tiny.make_task(folder / "task" / "tiny")
    (task / "notes").mkdir()
    (task / "Answers").mkdir()
    for name in ("test_answer.csv", "answers.txt", "Answers/1.csv", "codebook.txt", "notes/units.txt"):
        (task / name).write_text("x is a length\n")
    (folder / "replies.json").write_text(json.dumps(EVENTS))
    config = RunConfig(
        agent_model=f"scripted/{folder / 'replies.json'}",
        num_solutions=1,
        num_model_candidates=1,
        outer_loop_round=2,
        max_output_tokens=777,
        use_data_leakage_checker=True,
    )
    return asyncio.run(client.solve(client.find_request(task), config, folder / "run"))


FOUND = {"model_name": "tabular net", "example_code": "fit(train)", "source": "https://example.org/tabular"}
STUDIES = ["Study one.", "Study two.", "Study three."]
PRINTED = tiny.ABLATION + 'print("Ablation Performance [split]: nan")\nprint("Ablation Performance [seed]: -")\n'
EVENTS = tiny.replies(1, 1) | {
    "model_retriever_agent_1": ["I know none.", tiny.fenced(json.dumps([FOUND]), "json")],
    "model_eval_agent_1_1": [tiny.fenced(faults.NO_MODULE)],
    "model_eval_bug_summary_agent_1_1": ["A module is missing."],
    "model_eval_debug_agent_1_1": [tiny.fenced(tiny.solution(0.1, 2.5))],
    "ablation_agent_1": [tiny.fenced(PRINTED), "..."],
    "ablation_summary_agent_1": STUDIES,
    "*_check_leakage_agent*": [faults.leaks("No"), "..."],
}

# --- initialization


async def test_candidates_of_one_solution_run_side_by_side(solve) -> None:
    replies = tiny.replies(1, 2)
    for j in (1, 2):
        slow = tiny.solution(0.0, 2.0 + j / 10).replace("# --- model", "import time; time.sleep(0.7)\n# --- model")
        replies[f"model_eval_agent_1_{j}"] = [tiny.fenced(slow)]
    result = await solve(replies, **{**ONE, "num_model_candidates": 2}, parallel_scripts=2)
    runs = [e for e in read_journal(result.folder) if isinstance(e, ScriptRun) and e.slot.startswith("init_code")]
    one, two = [(e.at - e.execution.execution_time, e.at) for e in runs if e.view != "final"]
    assert max(one[0], two[0]) < min(one[1], two[1])


def test_the_task_summary_begins_with_the_type_of_task(told) -> None:
    summary = "Task: Tabular Regression\nPredict a number from a number."
    assert state_of(told)["task_summary"] == summary
    assert summary in prompts(told, "model_retriever_agent_1")[0]


async def test_a_task_without_a_summary_has_its_description_and_type_for_one(solve) -> None:
    replies = tiny.replies(1, 1) | {"task_summarization_agent": ["", "..."]}
    result = await solve(replies, **ONE, max_retry=2)
    assert state_of(result)["task_summary"] == "Task: Tabular Regression\nPredict y from x. The metric is RMSE."


def test_a_model_that_was_found_is_kept_with_its_example_code_and_source(told) -> None:
    text = (told.folder / "tiny" / "1" / "model_candidates" / "model_1.txt").read_text()
    assert all(said in text for said in FOUND.values())
    assert state_of(told)["init_1_model_1"] == {**FOUND, "model_description": ""}


def test_files_and_folders_named_answer_are_withheld_and_others_are_not(told) -> None:
    for seen in (told.folder / "tiny" / "1" / "input", told.folder / "tiny" / "ensemble" / "input"):
        names = {str(path.relative_to(seen.resolve())) for path in seen.resolve().rglob("*") if path.is_file()}
        assert {"train.csv", "test.csv", "codebook.txt", "notes/units.txt"} <= names
        assert not [name for name in names if "answer" in name.lower()]


# --- how agents are asked


def test_the_reason_for_a_refusal_is_in_the_next_question(told) -> None:
    first, second = prompts(told, "model_retriever_agent_1")
    assert "could not be used" not in first
    assert "Your last reply could not be used: The reply holds no JSON" in second


def test_scripts_are_written_at_temperature_1_and_summaries_and_verdicts_at_0(told) -> None:
    temperatures = {call.agent: requests(told, call.agent)[0]["config"]["temperature"] for call in calls(told)}
    cold = {agent for agent in temperatures if "summar" in agent or "_check_leakage_" in agent}
    assert {agent for agent, one in temperatures.items() if one == 0.0} == cold
    assert {one for agent, one in temperatures.items() if agent not in cold} == {1.0}


def test_every_request_carries_the_limit_of_output_tokens(told) -> None:
    sent = [request["config"] for call in calls(told) for request in requests(told, call.agent)]
    assert {config.get("max_output_tokens") for config in sent} == {777}


def test_an_agent_is_told_its_own_question_alone(told) -> None:
    """Nothing of what ADK would add from the replies of other agents."""
    for call in calls(told):
        for request in requests(told, call.agent):
            assert [part["text"] for content in request["contents"] for part in content["parts"]] == ["Proceed."]


def test_a_module_that_is_missing_reaches_the_debug_agent(told) -> None:
    for agent in ("model_eval_bug_summary_agent_1_1", "model_eval_debug_agent_1_1"):
        assert [card.missing_module for card in cards(told, agent)] == ["a_module_that_nobody_has"]
    assert "`a_module_that_nobody_has` is not installed" in prompts(told, "model_eval_debug_agent_1_1")[0]


# --- ablation, ensemble, leakage


@pytest.mark.parametrize("step", [0, 1, 2])
def test_ablation_figures_are_kept_by_component(told, step: int) -> None:
    assert state_of(told)[f"ablation_scores_{step}_1"] == {"baseline": 1.0, "model": 2.5, "data": 1.1}


def test_the_ablation_phase_knows_the_earlier_studies(told) -> None:
    """As each step of the refinement does."""
    assert [card.notes for card in cards(told, "ablation_agent_1")] == [(), tuple(STUDIES[:1]), tuple(STUDIES[:2])]
    assert STUDIES[1] in prompts(told, "ablation_agent_1")[2]


async def test_solutions_with_the_same_script_are_no_ensemble(solve) -> None:
    replies = tiny.replies(2, 1)
    replies["model_eval_agent_2_1"] = replies["model_eval_agent_1_1"]
    result = await solve(replies, **{**ONE, "num_solutions": 2})
    [decided] = [e for e in read_journal(result.folder) if isinstance(e, Decision) and e.what == "ensemble"]
    assert decided.chosen is False
    assert not any("ensemble" in call.agent for call in calls(result))


async def test_an_ensemble_merges_each_distinct_solution_once_under_its_number(solve) -> None:
    replies = tiny.replies(3, 1)
    replies["model_eval_agent_2_1"] = replies["model_eval_agent_1_1"]
    result = await solve(replies, **{**ONE, "num_solutions": 3}, ensemble_loop_round=0)
    [card] = cards(result, "init_ensemble_plan_agent")
    assert [script.name for script in card.scripts] == ["solution 1", "solution 3"]


def test_a_verdict_is_kept_with_the_block_it_is_about(told) -> None:
    state = state_of(told)
    assert state["model_eval_leakage_status_1_1"] == "No Data Leakage"
    assert state["model_eval_leakage_block_1_1"] == "bias = 0.0"
    assert state["model_eval_extract_status_1_1"] is True


# --- what is stored


ODD, EVEN = "Predict\0 y \ud83d from x.", "Predict y ? from x."  # a NUL and half of an emoji


async def test_odd_characters_of_replies_are_not_stored(solve) -> None:
    """Some session services refuse a NUL or a lone surrogate; a lone carriage return is a line end."""
    replies = tiny.replies(1, 1) | {"task_summarization_agent": [ODD], "ablation_summary_agent_1": [ODD, "..."]}
    replies["model_eval_agent_1_1"] = [f"10%\r20%\r{ODD}\r{tiny.fenced(tiny.solution(0.0, 2.5))}"]
    state = state_of(await solve(replies, **ONE))
    assert state["task_summary"] == f"Task: Tabular Regression\n{EVEN}"
    assert state["ablation_summary_0_1"] == EVEN
    assert state["init_code_1_1"] == tiny.solution(0.0, 2.5)


@pytest.mark.parametrize(
    ("odd", "even"),
    [
        ("tabular\0 net", "tabular net"),
        ("tabular \ud83d net", "tabular ? net"),
    ],
    ids=["nul", "surrogate"],
)
async def test_odd_characters_that_json_spells_out_are_not_stored(solve, odd: str, even: str) -> None:
    named = tiny.fenced(json.dumps([{"model_name": odd, "example_code": "f()"}]), "json")
    replies = tiny.replies(1, 1) | {"model_retriever_agent_1": [named]}
    replies["init_plan_agent_1"] = [tiny.plan("slope = 2.11", odd)]
    replies["plan_implement_initial_agent_1"] = [tiny.fenced("slope = 2.5")]
    state = state_of(await solve(replies, **{**ONE, "outer_loop_round": 1}, inner_loop_round=0))
    assert state["init_1_model_1"]["model_name"] == even
    assert state["refine_plans_0_1"] == [even]


def grown(replies: dict[str, Any]) -> dict[str, Any]:
    """The same replies, their scripts of 8 KB."""
    comments = "".join(f"# {i:04d} {'x' * 93}\n" for i in range(73))
    return {
        agent: [one.replace("\n# --- model\n", f"\n{comments}\n# --- model\n") for one in listed]
        for agent, listed in replies.items()
    }


class Memory:
    """`with Memory() as memory:` samples this process; `memory.until(time)` are its resident megabytes, in order."""

    def __enter__(self) -> "Memory":
        self._samples: list[tuple[float, float]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def until(self, moment: float) -> list[float]:
        return [megabytes for at, megabytes in self._samples if at < moment]

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._done.wait(0.05):
            self._samples.append((time.time(), process.memory_info().rss / 2**20))


PAPER = {"inner_loop_round": 4, "outer_loop_round": 4, "ensemble_loop_round": 5}


def improving(candidates: int, merging: bool) -> dict[str, Any]:
    """Replies for two solutions in which each script is a little better than the last, merges only if `merging`."""
    replies = tiny.replies(2, candidates)
    for t in (1, 2):
        for j in range(1, candidates + 1):
            replies[f"model_eval_agent_{t}_{j}"] = [tiny.fenced(tiny.solution(0.0, 2.0 + 0.001 * t + 0.01 * j))]
            merged = (2.3 if merging else 1.5) + 0.001 * t + 0.02 * j
            replies[f"merger_agent_{t}_{j}"] = [tiny.fenced(tiny.solution(0.0, merged))]
        better = [tiny.fenced(f"bias = {0.04 * n:.2f}\n# --- validate") for n in range(1, 21)]
        replies[f"init_plan_agent_{t}"] = [tiny.plan("# --- validate", "Tune the bias."), "..."]
        replies[f"plan_implement_initial_agent_{t}"] = better[::5]
        replies[f"plan_implement_agent_{t}"] = [one for n, one in enumerate(better) if n % 5]
    replies["ensemble_plan_implement_agent"] = [tiny.fenced(tiny.solution(0.9, 2.9 + 0.01 * n)) for n in range(1, 6)]
    return replies


@pytest.mark.slow
@pytest.mark.parametrize(("candidates", "merges"), [(4, 3), (24, 1)])
async def test_a_run_of_the_paper_s_size_stays_small(solve, candidates: int, merges: int) -> None:
    """With scripts of 8 KB its state file stays under 1 MB, and once warm the process grows by less than 40 MB."""
    replies = grown(improving(candidates, merging=merges > 1))
    with Memory() as memory:
        result = await solve(replies, num_model_candidates=candidates, **PAPER)
    scripts = [one.script for one in result.attempts if one.slot.stage.kind == "solution"]
    assert len(scripts) == 2 * (candidates + merges + 4 * 5) + 6
    assert all(len(script) >= 8_000 for script in scripts)
    assert (result.folder / "tiny" / "final_state.json").stat().st_size < 1_000_000
    ended = read_journal(result.folder)[-1].at  # the report comes after it, with libraries of its own
    sizes = memory.until(ended)
    assert max(sizes) < sizes[len(sizes) // 2] + 40
