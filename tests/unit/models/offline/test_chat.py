"""The offline chat: which sentences call which tool with which settings, and what they refer to."""

from typing import Any

import pytest
from google.adk.models.llm_request import LlmRequest
from google.genai import types

from machine_learning_engineering.shared_libraries.models.offline.chat import OfflineChat
from machine_learning_engineering.shared_libraries.models.offline.settings_said import settings_said


def user(text: str) -> types.Content:
    return types.Content(role="user", parts=[types.Part(text=text)])


def called(tool: str, response: dict[str, Any], **arguments: Any) -> list[types.Content]:
    """The history that a tool call leaves."""
    call = types.Part(function_call=types.FunctionCall(name=tool, args=arguments))
    answer = types.Part(function_response=types.FunctionResponse(name=tool, response=response))
    return [types.Content(role="model", parts=[call]), types.Content(role="user", parts=[answer])]


async def reply(*contents: types.Content) -> types.Part:
    model = OfflineChat(model="offline", about="ABOUT")
    parts = [
        part
        async for response in model.generate_content_async(LlmRequest(contents=list(contents)))
        for part in (response.content.parts if response.content else None) or []
    ]
    assert len(parts) == 1
    return parts[0]


async def call(*contents: types.Content) -> tuple[str, dict[str, Any]]:
    found = (await reply(*contents)).function_call
    assert found is not None
    return str(found.name), dict(found.args or {})


@pytest.mark.parametrize(
    ("said", "settings"),
    [
        ("20 minutes, 3 rounds, accuracy", {"minutes": 20, "rounds": 3, "metric": "accuracy"}),
        ("twenty minutes and three rounds", {"minutes": 20, "rounds": 3}),
        ("for half an hour", {"minutes": 30}),
        ("an hour and a half", {"minutes": 90}),
        ("a quarter of an hour", {"minutes": 15}),
        ("two hours and a half", {"minutes": 150}),
        ("twenty-five minutes", {"minutes": 25}),
        ("two and a half minutes, forty two rounds", {"minutes": 2.5, "rounds": 42}),
        ("half a minute", {"minutes": 0.5}),
        ("1 hour 30 minutes", {"minutes": 90}),
        ("90 seconds", {"minutes": 1.5}),
        ("seed 3", {"seed": 3}),
        ("with gpt-4o", {"model": "openai/gpt-4o"}),
        ("using gemini-2.5-flash, one solution", {"model": "gemini-2.5-flash", "solutions": 1}),
        ("with 3 candidates", {"candidates": 3}),
        ("no rounds, timeout of 60 seconds", {"rounds": 0, "script_seconds": 60}),
        ("target is 'sale price', metric rmse", {"target": "sale price", "metric": "rmse"}),
        ("predict price. test new.csv", {"target": "price", "test": "new.csv"}),
        ("in the background", {"follow": False}),
        ("nothing of that kind", {}),
    ],
)
def test_settings_are_understood_in_words(said: str, settings: dict[str, Any]) -> None:
    assert settings_said(said)[0] == settings


@pytest.mark.parametrize(
    ("sentence", "tool", "arguments"),
    [
        ("list tasks", "list_tasks", {}),
        ("Which tasks are there?", "list_tasks", {}),
        ("list my runs", "list_runs", {}),
        ("describe lesion-screening", "describe_task", {"name": "lesion-screening"}),
        ("tell me about the lesion screening task", "describe_task", {"name": "lesion-screening"}),
        ("run prices.csv, target price", "start_run", {"name": "prices.csv", "target": "price"}),
        ("please solve /data/task for 5 min", "start_run", {"name": "/data/task", "minutes": 5}),
        ("status", "run_status", {}),
        ("How far is it?", "run_status", {}),
        ("status of prices-1", "run_status", {"run": "prices-1"}),
        ("stop it", "stop_run", {}),
        ("stop run prices-1", "stop_run", {"run": "prices-1"}),
        ("take up prices-1", "follow_run", {"run": "prices-1"}),
        ("run prices-20261121-134144-1bc0", "follow_run", {"run": "prices-20261121-134144-1bc0"}),
        ("show the leaderboard", "run_leaderboard", {}),
        ("show me the results", "run_result", {}),
        ("predict new.csv with prices-1", "predict_rows", {"rows": "new.csv", "run": "prices-1"}),
        ("now predict /data/new.csv", "predict_rows", {"rows": "/data/new.csv"}),
        ("why was Candidate 1.2 dropped?", "why_dropped", {"script": "Candidate 1.2"}),
        ("why was column town not used?", "why_dropped", {"script": "column town"}),
        ("which columns matter most?", "what_matters", {}),
        ("what is important in prices-1", "what_matters", {"run": "prices-1"}),
        ("why did merge 1.1 lose in prices-1", "why_dropped", {"script": "merge 1.1", "run": "prices-1"}),
    ],
)
async def test_a_sentence_calls_its_tool(sentence: str, tool: str, arguments: dict[str, Any]) -> None:
    assert await call(user(sentence)) == (tool, arguments)


@pytest.mark.parametrize("sentence", ["hello", "what can you do?", "thanks", "the weather is fine", ""])
async def test_what_asks_for_nothing_is_told_what_can_be_asked(sentence: str) -> None:
    assert (await reply(user(sentence))).text == "ABOUT"


async def test_a_dropped_file_is_described_and_run_if_that_is_said() -> None:
    note = "[a.csv: kept as /home/a b/a.csv]"
    assert await call(user(note)) == ("describe_task", {"name": "/home/a b/a.csv"})
    assert await call(user(f"run this for 5 minutes {note}")) == (
        "start_run",
        {"name": "/home/a b/a.csv", "minutes": 5},
    )
    assert await call(user(f"predict these rows with prices-1 {note}")) == (
        "predict_rows",
        {"rows": "/home/a b/a.csv", "run": "prices-1"},
    )
    assert await call(user(f"predict price {note}")) == (
        "describe_task",
        {"name": "/home/a b/a.csv", "target": "price"},
    )


async def test_the_sentence_about_a_file_of_no_use_is_passed_on() -> None:
    told = await reply(user("[a.pdf: not used. I read tables.]"))
    assert told.text == "a.pdf: not used. I read tables."


@pytest.mark.parametrize("answer", ["target is price", "price", "predict 'price'"])
async def test_a_target_answers_the_question_of_the_call_before(answer: str) -> None:
    question = {"question": "Which?", "columns": ["area", "price"]}
    past = called("start_run", question, name="a.csv", minutes=5)
    assert await call(user("run a.csv"), *past, user(answer)) == (
        "start_run",
        {"name": "a.csv", "minutes": 5, "target": "price"},
    )


async def test_it_is_the_task_that_was_spoken_of_last() -> None:
    past = called("describe_task", {"name": "a"}, name="a.csv", target="price")
    assert await call(user("describe a.csv"), *past, user("run it for ten minutes")) == (
        "start_run",
        {"name": "a.csv", "target": "price", "minutes": 10},
    )
