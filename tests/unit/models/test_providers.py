"""Real requests, through every layer, to a server on this machine: LiteLLM and Gemini alike."""

import asyncio
import threading
import time
from email.utils import formatdate

import pytest

from machine_learning_engineering.shared_libraries.config import make_config
from machine_learning_engineering.shared_libraries.errors import MleError, ModelError, NoReply, RateLimited
from machine_learning_engineering.shared_libraries.models.layer import ask, text_of
from machine_learning_engineering.shared_libraries.models.registry import make_model
from machine_learning_engineering.shared_libraries.models.retry import Retry
from machine_learning_engineering.shared_libraries.models.whole import SHORTER
from tests.fixtures.openai_server import OpenAiServer, Reply, in_turn

from .conftest import reply_of, request_of

NAMES = ["openai/local", "hosted_vllm/qwen", "openrouter/maker/model", "gemini-2.5-flash"]
NOW = {"Retry-After": "0"}
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def server():
    with OpenAiServer(lambda request: "hello") as server:
        yield server


@pytest.fixture
def make(server, monkeypatch):
    """Makes a model of the server: by api_base for LiteLLM names, by Google's own variables for Gemini."""
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.origin)
    monkeypatch.setenv("GOOGLE_API_KEY", "k")
    return lambda name, **settings: make_model(name, make_config(api_base=server.url, **settings))


pytestmark = pytest.mark.parametrize("name", NAMES)


async def test_a_reply_is_one_whole_text(name, make, server):
    assert text_of(await reply_of(make(name), request_of())) == "hello"
    assert len(server.requests) == 1


async def test_a_stream_is_one_whole_reply_too(name, make):
    reply = await reply_of(make(name), request_of(), stream=True)
    assert not reply.partial
    assert text_of(reply) == "hello"


async def test_a_busy_server_is_asked_again_when_it_says(name, make, server):
    server.respond = in_turn(Reply(status=429, headers={"Retry-After": "0.3"}), "at last")
    start = time.monotonic()
    assert text_of(await reply_of(make(name), request_of())) == "at last"
    assert time.monotonic() - start >= 0.3
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_tries_are_bounded_and_do_not_multiply(name, status, make, server):
    server.respond = in_turn(Reply(status=status, headers=NOW))
    with pytest.raises(ModelError):
        await reply_of(make(name, llm_retries=2), request_of())
    assert len(server.requests) == 3


async def test_a_lasting_429_is_rate_limited_and_names_the_model(name, make, server):
    server.respond = in_turn(Reply(status=429, headers=NOW))
    with pytest.raises(RateLimited, match=f"{name} answered with status 429, 2 times: .*; wait a while"):
        await reply_of(make(name, llm_retries=1), request_of())


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=429, headers={"Retry-After": "86400"}),
        Reply(status=429, headers={"Retry-After": formatdate(time.time() + 86400, usegmt=True)}),
        Reply('{"retryDelay": "86400s"}', status=429),
        Reply("insufficient_quota", status=429),
    ],
    ids=["seconds", "date", "google", "quota"],
)
async def test_a_pause_beyond_bounds_is_not_waited_for(name, reply, make, server):
    server.respond = in_turn(reply)
    with pytest.raises(RateLimited):
        await reply_of(make(name), request_of())
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "step"), [(400, "does not suit"), (401, "API key"), (403, "API key"), (404, "model's name")]
)
async def test_a_refusal_is_final_and_says_what_to_do(name, status, step, make, server):
    server.respond = in_turn(Reply("no", status=status))
    with pytest.raises(MleError, match=step) as raised:
        await reply_of(make(name), request_of())
    assert len(server.requests) == 1
    assert isinstance(raised.value, ModelError)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (400, "The maximum context length is 8192 tokens."),
        (413, "no"),
        (400, "Refused by our content policy."),
    ],
)
async def test_a_prompt_that_gets_no_answer_costs_its_question_alone(name, status, why, make, server):
    server.respond = in_turn(Reply(why, status=status))
    with pytest.raises(NoReply):
        await reply_of(make(name), request_of())
    assert len(server.requests) == 1


async def test_a_closing_tag_inside_a_program_is_its_own(name, make, server):
    program = '```python\ntext = """\n</think>\n"""\nprint(text)\n```'
    server.respond = in_turn(program)
    assert text_of(await reply_of(make(name), request_of())) == program


async def test_reasoning_whose_opening_tag_was_part_of_the_prompt_stays_out(name, make, server):
    server.respond = in_turn("First I thought. </think>\nprint(1)")
    assert text_of(await reply_of(make(name), request_of())).strip() == "print(1)"


async def test_a_silent_server_ends_in_time(name, make, server):
    server.respond = in_turn(Reply(hangs=True))
    with pytest.raises(ModelError, match=r"no answer within 0\.3 s; raise llm_seconds"):
        await reply_of(make(name, llm_seconds=0.3, llm_retries=0), request_of())


async def test_an_unreachable_server_is_told_of(name, monkeypatch):
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", NOWHERE)
    monkeypatch.setenv("GOOGLE_API_KEY", "k")
    with pytest.raises(ModelError, match="check the connection"):
        await reply_of(make_model(name, make_config(api_base=NOWHERE, llm_retries=0)), request_of())


async def test_a_cancelled_request_ends_at_once(name, make, server):
    server.respond = in_turn(Reply(hangs=True))
    asked = asyncio.create_task(reply_of(make(name), request_of()))
    while not (server.requests or asked.done()):  # noqa: ASYNC110 - the provider's library may have to be imported first
        await asyncio.sleep(0.01)
    asked.cancel()
    done, _ = await asyncio.wait({asked}, timeout=5)
    assert done
    assert asked.cancelled()
    assert len(server.requests) == 1


async def test_reasoning_stays_out_of_the_text(name, make, server):
    server.respond = in_turn(Reply("print(1)", reasoning="They want a print."))
    reply = await reply_of(make(name), request_of())
    assert [part.text for part in reply.content.parts] == ["print(1)"]


async def test_reasoning_between_tags_stays_out_of_the_text(name, make, server):
    server.respond = in_turn("<think>They want\na print.</think>\n\nprint(1)")
    assert text_of(await reply_of(make(name), request_of())).strip() == "print(1)"


async def test_a_cut_reply_is_asked_again_shorter(name, make, server):
    server.respond = in_turn(Reply("def f(", finish="length"), "def f(): ...")
    reply = await reply_of(make(name), request_of())
    assert text_of(reply) == "def f(): ..."
    assert SHORTER in str(server.requests[1])
    assert SHORTER not in str(server.requests[0])


async def test_both_halves_of_a_cut_reply_are_paid(name, make, server):
    server.respond = in_turn(Reply("def f(", finish="length"), "def f(): ...")
    assert (await reply_of(make(name), request_of())).usage_metadata.total_token_count == 30


async def test_a_reply_cut_twice_is_an_error(name, make, server):
    server.respond = in_turn(Reply("def f(", finish="length"))
    with pytest.raises(NoReply, match="max_output_tokens"):
        await reply_of(make(name), request_of())
    assert len(server.requests) == 2


async def test_a_reply_cut_before_its_first_word_is_asked_again(name, make, server):
    server.respond = in_turn(Reply("", finish="length", reasoning="So ..."), "short")
    assert text_of(await reply_of(make(name), request_of())) == "short"


async def test_an_empty_reply_is_asked_again(name, make, server):
    server.respond = in_turn("", "  ", "something")
    quick = Retry(provider=make(name).provider.provider, first_pause=0.01)
    assert text_of(await reply_of(quick, request_of())) == "something"


async def test_requests_are_left_as_they_were(name, make, server):
    server.respond = in_turn(Reply("def f(", finish="length"), Reply(status=429, headers=NOW), "whole")
    request = request_of()
    before = request.model_copy(deep=True)
    await reply_of(make(name), request)
    assert request == before


async def test_requests_run_side_by_side(name, make, server):
    """The server answers none of them before it has all."""
    model = make(name, llm_retries=0)
    all_there = threading.Barrier(5, timeout=60)
    server.respond = lambda request: (all_there.wait(), "done")[1]
    replies = await asyncio.gather(*(ask(model, request_of()) for _ in range(5)))
    assert [text_of(reply) for reply in replies] == ["done"] * 5


async def test_a_limit_is_sent_only_when_set(name, make, server):
    await reply_of(make(name), request_of())
    await reply_of(make(name, max_output_tokens=777), request_of())
    assert ["777" in str(request) for request in server.requests] == [False, True]


async def test_the_limit_of_a_cut_reply_is_doubled(name, make, server):
    server.respond = in_turn(Reply("def f(", finish="length"), "def f(): ...")
    await reply_of(make(name, max_output_tokens=777), request_of())
    assert "1554" in str(server.requests[1])


async def test_nothing_is_printed(name, make, server, capfd):
    server.respond = in_turn(Reply(status=500))
    with pytest.raises(ModelError):
        await reply_of(make(name, llm_retries=0), request_of())
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
