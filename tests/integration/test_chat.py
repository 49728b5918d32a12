"""The chat as ADK runs it: real tools, real runs in processes of their own, the offline twin for a model."""

import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.adk.apps import App
from google.adk.events import Event
from google.adk.runners import InMemoryRunner
from google.genai import types

from machine_learning_engineering import client
from machine_learning_engineering.agent import build_frontdoor
from machine_learning_engineering.front_door.dropped import DroppedFiles
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.runs.journal import is_open, read_journal
from machine_learning_engineering.shared_libraries.runs.registry import known_runs
from tests.fixtures import tiny

APP = "machine_learning_engineering"
TABLE = "id,area,price\n" + "\n".join(f"{n},{n % 17},{3 * (n % 17) + n % 5}" for n in range(60)) + "\n"


class Chat:
    """A conversation in a session of its own, with what a person sees of it."""

    def __init__(self, runner: InMemoryRunner, session: str) -> None:
        self._runner = runner
        self._session = session
        self.events: list[Event] = []

    async def events_of(self, text: str, files: dict[str, str | bytes] | None = None) -> AsyncIterator[Event]:
        """The events that a message brings, as they come."""
        blobs = [
            types.Blob(data=data.encode() if isinstance(data, str) else data, mime_type="text/csv", display_name=name)
            for name, data in (files or {}).items()
        ]
        parts = [*([types.Part(text=text)] if text else []), *(types.Part(inline_data=blob) for blob in blobs)]
        message = types.Content(role="user", parts=parts)
        async for event in self._runner.run_async(user_id="user", session_id=self._session, new_message=message):
            self.events.append(event)
            yield event

    async def say(self, text: str, files: dict[str, str | bytes] | None = None) -> str:
        """Everything that is answered to a message, in words."""
        return "\n".join([words(event) async for event in self.events_of(text, files)])

    async def state(self) -> dict[str, Any]:
        service = self._runner.session_service
        session = await service.get_session(app_name=APP, user_id="user", session_id=self._session)
        assert session is not None
        return dict(session.state)

    async def artifact(self, name: str) -> bytes:
        service = self._runner.artifact_service
        assert service is not None
        part = await service.load_artifact(app_name=APP, user_id="user", session_id=self._session, filename=name)
        assert part is not None
        assert part.inline_data is not None
        return part.inline_data.data or b""


def words(event: Event) -> str:
    parts = (event.content.parts if event.content else None) or []
    return "".join(part.text or "" for part in parts)


def write_replies(folder: Path, pause: float = 0.0) -> None:
    """A scripted model whose first candidate always fails; every script takes `pause` seconds longer."""
    wait = f"import csv\nimport time\n\ntime.sleep({pause})\n"
    replies = {
        name: [text.replace("import csv\n", wait, 1) for text in texts] for name, texts in tiny.replies(1, 3).items()
    }
    broken = replies["model_eval_agent_1_1"][0].replace("import csv\n", "import csv\nraise ValueError('no luck')\n", 1)
    replies |= {"model_eval_agent_1_1": [broken, "..."], "model_eval_debug_agent_1_1": [broken, "..."]}
    replies["model_eval_bug_summary_agent_1_1"] = ["It has no luck.", "..."]
    (folder / "replies.json").write_text(json.dumps(replies))


@pytest.fixture
def world(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the tiny task, and a scripted model that every run started from here uses."""
    tiny.make_task(in_tmp / "tiny")
    write_replies(in_tmp)
    settings = {"AGENT_MODEL": f"scripted/{in_tmp / 'replies.json'}", "USE_DATA_LEAKAGE_CHECKER": "false"}
    settings |= {"MAX_DEBUG_ROUND": "0", "MAX_ROLLBACK_ROUND": "1", "NUM_SOLUTIONS": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(f"MLE_{name}", value)
    return in_tmp


@pytest.fixture
def slow_world(world: Path) -> Path:
    """The same with scripts that leave time to say something meanwhile."""
    write_replies(world, pause=0.7)
    return world


@pytest.fixture
def runner() -> InMemoryRunner:
    return InMemoryRunner(app=App(name=APP, root_agent=build_frontdoor(RunConfig()), plugins=[DroppedFiles()]))


@pytest.fixture
async def chat(runner: InMemoryRunner) -> Chat:
    return await a_chat(runner)


async def a_chat(runner: InMemoryRunner) -> Chat:
    session = await runner.session_service.create_session(app_name=APP, user_id="user")
    return Chat(runner, session.id)


def wait_until_ended(folder: Path) -> None:
    end = time.monotonic() + 60
    while is_open(folder):
        assert time.monotonic() < end
        time.sleep(0.1)


async def test_a_dropped_table_without_a_clear_target_is_asked_about(in_tmp: Path, chat: Chat) -> None:
    asked = await chat.say("", {"flats.csv": TABLE})
    assert "Which column is to be predicted?" in asked
    assert "`id`, `area`, `price`" in asked
    told = await chat.say("target is price")
    assert "predict 'price'" in told
    assert "48 training rows" in told


async def test_train_and_test_dropped_together_are_one_task(in_tmp: Path, chat: Chat) -> None:
    head, *rows = TABLE.splitlines()
    test = "\n".join(row.rpartition(",")[0] for row in [head, *rows[40:]])
    told = await chat.say("", {"new rows.csv": test, "flats.csv": "\n".join([head, *rows[:40]])})
    assert "predict 'price'" in told
    assert "40 training rows, 20 test rows" in told


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("paper.pdf", b"%PDF", "paper.pdf: not used. I read tables as CSV or TSV files"),
        ("empty.csv", b"", "empty.csv: not used. empty.csv is empty."),
        ("latin.csv", "town\nK\xf6ln\n".encode("latin-1"), "is not UTF-8"),
        ("../../escape.xlsx", b"PK", "escape.xlsx: not used."),
    ],
)
async def test_a_file_of_no_use_gets_a_sentence(
    in_tmp: Path, chat: Chat, name: str, data: bytes, sentence: str
) -> None:
    assert sentence in await chat.say("run this", {name: data})


@pytest.mark.slow
async def test_a_run_is_told_from_its_start_to_its_files(world: Path, chat: Chat) -> None:
    told = await chat.say("run tiny for half an hour, 1 solution, three candidates, no rounds, seed 3")
    started = next(entry for entry in read_journal(known_runs()[-1]) if entry.kind == "run_started")
    assert (started.config["minutes"], started.config["seed"], started.config["num_model_candidates"]) == (30, 3, 3)
    assert "Settings: at most 30 min, 1 solution of 3 candidates each, 0 rounds, model scripted/" in told
    for needed in ("is going on", "Candidate 1.2", "the best so far", "**Published**", "is **done**", "held-out rows"):
        assert needed in told
    assert "Candidate 1.1 failed" in told
    state = await chat.state()
    assert state["task_name"] == "tiny"
    assert "slope" in state["init_code_1_2"]
    assert state["init_code_exec_result_1_3"]["score"] == state["performance_results_1"][0][0]
    assert "submission_code" in state
    assert await chat.artifact("submission.csv") == (known_runs()[-1] / "final" / "submission.csv").read_bytes()
    assert (await chat.artifact("leaderboard.png")).startswith(b"\x89PNG")
    assert b"<html" in await chat.artifact("report.html")

    rows = (world / "tiny" / "test.csv").read_text()
    folder = known_runs()[-1]
    predicted = await chat.say("predict these", {"new.csv": rows})
    assert str(folder / "predictions") in predicted
    assert await chat.artifact(next((folder / "predictions").iterdir()).name) == await chat.artifact("submission.csv")
    assert "lacks 'x'" in await chat.say("predict these", {"new.csv": "id\n1\n2\n"})

    assert "finished" in await chat.say("status")
    assert "1. " in await chat.say("leaderboard")
    assert "ValueError: no luck" in await chat.say("why was candidate 1.1 dropped?")
    assert "beaten by" in await chat.say("why was candidate 1.2 dropped?")
    assert "has no script" in await chat.say("why was candidate 7.7 dropped?")
    assert "was given to every script" in await chat.say("why was column x not used?")
    assert "it is what is predicted" in await chat.say("why was y dropped?")
    assert "have no column 'xx'. Did you mean 'x'?" in await chat.say("why was column xx dropped?")
    assert "Ablation 1.0: 1.5 worse without model, 0.1 worse without data" in await chat.say("which columns matter?")


@pytest.mark.slow
async def test_a_chat_that_closes_ends_nothing_and_another_takes_the_run_up(
    slow_world: Path, chat: Chat, runner: InMemoryRunner
) -> None:
    async with contextlib.aclosing(chat.events_of("run tiny")) as events:  # type: ignore[type-var]
        async for event in events:
            if "is going on" in words(event):
                break
    folder = known_runs()[-1]
    assert is_open(folder)
    other = await a_chat(runner)
    told = await other.say(f"take up {folder.name}")
    assert "is **done**" in told
    assert await other.artifact("submission.csv")


@pytest.mark.slow
async def test_a_run_is_stopped_and_goes_on_later(slow_world: Path, chat: Chat) -> None:
    assert "`follow` shows" in await chat.say("run tiny in the background")
    folder = known_runs()[-1]
    assert "stopping" in await chat.say("stop")
    wait_until_ended(folder)
    assert "stopped" in await chat.say("status")
    assert "is not going on" in await chat.say("stop")
    told = await chat.say("take it up")
    assert "is **done**" in told
    assert len([entry for entry in read_journal(folder) if entry.kind == "run_started"]) == 2


@pytest.mark.slow
async def test_a_second_message_takes_the_floor_from_the_following(slow_world: Path, chat: Chat) -> None:
    answered = ""
    async for event in chat.events_of("run tiny"):
        if "is going on" in words(event) and not answered:
            answered = await chat.say("status")
    assert "going on" in answered
    assert "is **done**" not in "\n".join(map(words, chat.events))
    await chat.say("stop")
    wait_until_ended(known_runs()[-1])


@pytest.mark.slow
async def test_a_second_run_in_a_session_takes_the_place_of_the_first(world: Path, chat: Chat) -> None:
    await chat.say("run tiny, 2 candidates, no rounds")
    first = await chat.state()
    (world / "replies.json").write_text(json.dumps(tiny.replies(1, 1)))
    await chat.say("run it, 1 candidate, no rounds")
    second = await chat.state()
    assert first["init_code_1_2"]
    assert second["init_code_1_2"] is None
    assert second["init_code_1_1"]


async def test_a_run_begun_elsewhere_is_found_by_its_name(
    world: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = world / "out" / "my-run"
    config = RunConfig.from_env(num_model_candidates=2, outer_loop_round=0)
    await client.solve(client.find_request(world / "tiny"), config, out)
    monkeypatch.chdir(world / "tiny")
    assert "my-run: finished" in await chat.say("list runs")
    for name in ("my-run", "my-r", str(out)):
        assert f"{out}/final/submission.csv" in await chat.say(f"result of {name}")
    assert "Nearest: my-run" in await chat.say("result of her-run")
    told = await chat.say("take up my-run")
    assert "Run `my-run` is finished" in told
    assert "Candidate 1.1 failed: ValueError: no luck" in told
    assert await chat.artifact("submission.csv") == (out / "final" / "submission.csv").read_bytes()
    assert "slope" in (await chat.state())["init_code_1_2"]


@pytest.mark.parametrize(
    ("sentence", "answer"),
    [
        ("run nothing-like-that", "there is no file, folder or bundled task"),
        ("run tiny with gpt-4o", "openai/gpt-4o"),
        ("run tiny, metric beauty", "there is no metric 'beauty'"),
        ("run tiny, metric os:system", "no chat may call"),
        ("run tiny, 99 solutions", "less than or equal to 16"),
        ("run it", "which task?"),
        ("status", "there are no runs yet"),
        ("result of nothing", "there are no runs yet"),
    ],
)
async def test_what_cannot_be_done_is_told_in_a_sentence(world: Path, chat: Chat, sentence: str, answer: str) -> None:
    assert answer in await chat.say(sentence)
    assert not known_runs()
