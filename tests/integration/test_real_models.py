"""Whole runs over real HTTP: a server on this machine plays the model, through every layer that a real one meets.

It answers by the step on the prompt's task card: words, plans and verdicts are the offline model's own, scripts are
those of the tiny task, so that a run takes seconds. What it answers depends on the prompt alone.
"""

import asyncio
import csv
import json
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import LlmCall, RunEnded
from machine_learning_engineering.shared_libraries.models import offline
from machine_learning_engineering.shared_libraries.models.offline.steps import STEPS
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from machine_learning_engineering.shared_libraries.tasks.card import Step, TaskCard, parse_card
from tests.fixtures import faults, tiny
from tests.fixtures.openai_server import OpenAiServer, Reply

LEAKING = "# fitted on all rows\n"  # what the server's leakage checker objects to
WINNER = tiny.solution(1.0, 3.0)
ROLES: dict[str, set[Step]] = {
    "plan": {"retrieve", "plan", "refine_plan", "ensemble_plan", "refine_ensemble_plan"},
    "code": {"candidate", "merge", "data_use", "ablation", "implement", "ensemble", "submission"},
    "debug": {"debug"},
    "check": {"leakage_check", "leakage_repair"},
    "summary": {"summarize", "ablation_summary", "bug_summary"},
}
ONE = {"num_solutions": 1, "num_model_candidates": 1, "outer_loop_round": 0}
SCRIPTS: dict[Step, Callable[[TaskCard], str]] = {
    "candidate": lambda card: first(card),
    "merge": lambda card: tiny.solution(0.1, 2.3 + 0.01 * card.solution + 0.1 * card.attempt),
    "ablation": lambda card: tiny.ABLATION,
    "implement": lambda card: tiny.solution(0.2, 2.5 + 0.01 * card.solution + 0.1 * card.attempt),
    "ensemble": lambda card: faults.broken_on_full_data(WINNER),
    "submission": lambda card: WINNER,
    "debug": lambda card: tiny.solution(0.0, 2.1),
    "leakage_repair": lambda card: faults.BROKEN,
}


def first(card: TaskCard) -> str:
    """A candidate; the very first one leaks, its repair breaks, and debugging saves it."""
    script = tiny.solution(0.0, 2.0 + 0.01 * card.solution + 0.1 * card.attempt)
    return script + LEAKING if (card.solution, card.attempt) == (1, 1) else script


def answer(prompt: str) -> str:
    """What the model says to a prompt."""
    card = parse_card(prompt)
    if card.step in SCRIPTS:
        return tiny.fenced(SCRIPTS[card.step](card))
    if card.step == "leakage_check" and LEAKING in prompt:
        return faults.leaks()
    return offline.reply(prompt)


def prompt_of(request: dict[str, Any]) -> str:
    """The prompt of a request in OpenAI's or Gemini's form."""
    if "systemInstruction" in request:
        return "\n\n".join(part["text"] for part in request["systemInstruction"]["parts"])
    contents = [message["content"] for message in request["messages"]]
    return "\n\n".join(c if isinstance(c, str) else "".join(part.get("text", "") for part in c) for c in contents)


def step_of(request: dict[str, Any]) -> str:
    found = re.search(r'"step": "(\w+)"', prompt_of(request))
    assert found, "a request without a task card"
    return found[1]


def obliging(request: dict[str, Any]) -> Reply:
    return Reply(answer(prompt_of(request)))


# One kind of trouble for each of these steps, before its first answer
TROUBLE = {
    "retrieve": Reply(status=429, headers={"Retry-After": "0"}),
    "candidate": Reply(status=503, headers={"Retry-After": "0"}),
    "plan": Reply('```json\n[{"code_block": "slo', finish="length"),
    "implement": Reply("```python\nimport csv\nwith op", finish="length"),
    "ablation": Reply("", finish="length", reasoning="What shall I take away?"),
    "ensemble_plan": Reply("", reasoning="Hm."),
}
DRAFT = "```python\nprint('a draft')\n```"


class Unsteady:
    """A model that answers every question in the end, with its reasoning beside or before the answer."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()

    def __call__(self, request: dict[str, Any]) -> Reply:
        step = step_of(request)
        with self.lock:
            self.asked[step] += 1
            if self.asked[step] == 1 and step in TROUBLE:
                return TROUBLE[step]
        text = answer(prompt_of(request))
        if step in ROLES["code"]:
            windows = text.replace("\n", "\r\n")
            return Reply(f"<think>First {{try}}:\n{DRAFT}\n</think>\n{windows}")
        return Reply(text, reasoning=f"Perhaps\n{DRAFT}")


Over = Callable[..., Any]


@pytest.fixture
def over(tmp_path: Path) -> Over:
    """`await over(server, **settings)` runs the tiny task with the server's model and returns the client's Result."""
    return partial(run_over, tmp_path)


async def run_over(folder: Path, server: OpenAiServer, **settings: Any) -> client.Result:
    task = tiny.make_task(folder / "task" / "tiny")
    given = {
        "agent_model": "openai/local",
        "api_base": server.url,
        "exec_timeout": 20,
        "use_baseline": False,
        **settings,
    }
    return await client.solve(client.find_request(task), RunConfig(**given), folder / "run")


def assert_handed_in(result: client.Result) -> None:
    with result.submission.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(i) for i in range(100, 120)]
    ended = read_journal(result.folder)[-1]
    assert isinstance(ended, RunEnded)
    assert ended.status == "finished"


def state_of(result: client.Result) -> dict[str, Any]:
    return json.loads((result.folder / "tiny" / "final_state.json").read_text())


def test_the_roles_here_have_all_steps() -> None:
    assert set.union(*ROLES.values()) == set(STEPS) == set(get_args(Step))


async def test_every_step_is_asked_over_http(over) -> None:
    """With default settings: a leak, a script that breaks, and a winner that fails on all rows among them."""
    with OpenAiServer(obliging) as server:
        result = await over(server, use_data_usage_checker=True)
    assert {step_of(request) for request in server.requests} == set(STEPS)
    assert_handed_in(result)
    assert result.solution.read_text() == WINNER
    assert state_of(result)["init_code_1_1"] == tiny.solution(0.0, 2.1)


async def test_each_role_is_played_by_its_own_model_whatever_troubles_it(over) -> None:
    """Rate limits, server errors, cut and empty replies, reasoning and Windows line ends do not change the outcome."""
    unsteady = Unsteady()
    with OpenAiServer(unsteady) as server:
        models = {role: f"openai/{role}" for role in ROLES}
        result = await over(server, models=models, use_data_usage_checker=True)
    played = defaultdict(set)
    for request in server.requests:
        played[request["model"]].add(step_of(request))
    assert played == ROLES
    assert_handed_in(result)
    assert "\r" not in result.solution.read_text()
    assert result.solution.read_text() == WINNER
    calls = [entry for entry in read_journal(result.folder) if isinstance(entry, LlmCall)]
    assert len(server.requests) == len(calls) + len(TROUBLE)


USELESS = {
    "empty": Reply(""),
    "cut": Reply("```python\nimport", finish="length"),
    "too_long": Reply("context length exceeded", status=400),
}


@pytest.mark.parametrize("kind", USELESS)
async def test_a_candidate_without_a_usable_reply_costs_only_itself(over, kind: str) -> None:
    def respond(request: dict[str, Any]) -> Reply:
        spoilt = step_of(request) == "candidate" and '"attempt": 1' in prompt_of(request)
        return USELESS[kind] if spoilt else obliging(request)

    with OpenAiServer(respond) as server:
        settings = {**ONE, "num_model_candidates": 2, "use_data_leakage_checker": False}
        result = await over(server, **settings, llm_retries=0, max_retry=2)
    assert_handed_in(result)
    assert result.winner.slot.code_key == "init_code_1_2"
    assert "init_code_1_1" not in {one.slot.code_key for one in result.attempts}


PAGES = (("Revisiting tabular models", "https://arxiv.org/abs/2106.11959"), ("A forum", "https://example.org/forum"))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], client.Result]:
    """The requests and the result of a run with Gemini, which has found two pages whenever it may search."""

    def respond(request: dict[str, Any]) -> Reply:
        reply = obliging(request)
        return replace(reply, found=PAGES) if "tools" in request else reply

    settings = {**ONE, "outer_loop_round": 1, "use_data_leakage_checker": False}
    with OpenAiServer(respond) as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("GOOGLE_GEMINI_BASE_URL", server.origin)
        environment.setenv("GOOGLE_API_KEY", "k")
        run = run_over(tmp_path_factory.mktemp("searched"), server, agent_model="gemini-2.5-flash", **settings)
        return server.requests, asyncio.run(run)


def test_only_the_retriever_gets_gemini_s_web_search(searched) -> None:
    requests, result = searched
    tools = {step_of(request): request.get("tools") for request in requests}
    assert tools.pop("retrieve") == [{"googleSearch": {}}]
    assert {"summarize", "candidate", "ablation", "plan", "implement"} <= set(tools)
    assert not any(tools.values())
    assert_handed_in(result)


def test_the_pages_a_search_found_are_recorded_with_the_models(searched) -> None:
    _, result = searched
    urls = [url for _, url in PAGES]
    assert state_of(result)["init_1_model_sources"] == urls
    told = (result.folder / "tiny" / "1" / "model_candidates" / "model_1.txt").read_text()
    assert all(url in told for url in urls)


@pytest.mark.slow
async def test_a_whole_run_with_real_training_over_http(over) -> None:
    """Every answer is the offline model's: about a minute of real models."""
    lock = threading.Lock()

    def respond(request: dict[str, Any]) -> Reply:
        with lock:
            return Reply(offline.reply(prompt_of(request)))

    with OpenAiServer(respond) as server:
        result = await over(server, exec_timeout=120, use_data_usage_checker=True)
    unfailing = set(STEPS) - {"bug_summary", "debug", "leakage_repair", "submission"}
    assert {step_of(request) for request in server.requests} == unfailing
    assert_handed_in(result)
