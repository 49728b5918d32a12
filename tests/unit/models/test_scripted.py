"""The scripted model: the k-th call of an agent gets the k-th reply of its list."""

import asyncio
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.config import make_config
from machine_learning_engineering.shared_libraries.errors import ConfigError, ModelError
from machine_learning_engineering.shared_libraries.models.layer import ORDINAL_LABEL, text_of
from machine_learning_engineering.shared_libraries.models.registry import make_model
from machine_learning_engineering.shared_libraries.models.scripted import ScriptedLlm

from .conftest import reply_of, request_of


async def say(model, agent, prompt="hi", **labels):
    return text_of(await reply_of(model, request_of(prompt, agent, **labels)))


async def test_each_agent_walks_its_own_list():
    model = ScriptedLlm({"a": ["a0", "a1"], "b": ["b0"]})
    assert [await say(model, agent) for agent in "aba"] == ["a0", "b0", "a1"]


async def test_a_used_up_list_names_the_agent_and_its_calls():
    model = ScriptedLlm({"plan_agent_1": ["only"]})
    await say(model, "plan_agent_1")
    with pytest.raises(ModelError, match=r"1 replies for agent 'plan_agent_1', and this is call 2"):
        await say(model, "plan_agent_1")


async def test_an_agent_without_a_list_is_an_error():
    with pytest.raises(ModelError, match="'stranger'"):
        await say(ScriptedLlm({"a": ["x"]}), "stranger")


async def test_three_dots_at_the_end_repeat_the_reply_before():
    model = ScriptedLlm({"a": ["first", "rest", "..."]})
    assert [await say(model, "a") for _ in range(4)] == ["first", "rest", "rest", "rest"]


async def test_a_name_beats_a_pattern_and_a_pattern_beats_the_default():
    model = ScriptedLlm({"*_debug_agent_*": ["pattern"], "merger_debug_agent_1": ["name"]}, default="default")
    said = [await say(model, agent) for agent in ("merger_debug_agent_1", "init_debug_agent_2", "other")]
    assert said == ["name", "pattern", "default"]


async def test_agents_of_one_pattern_count_apart():
    model = ScriptedLlm({"x_*": ["0", "1"]})
    assert [await say(model, agent) for agent in ("x_1", "x_2", "x_1")] == ["0", "0", "1"]


async def test_a_function_answers_the_prompt():
    assert await say(ScriptedLlm({"a": [str.upper]}), "a", "loud") == "LOUD"


async def test_a_mapping_can_call_a_tool_think_and_fail():
    model = ScriptedLlm({"a": [{"call": "go", "args": {"n": 1}}, {"thought": "hm", "text": "yes"}, {"error": "gone"}]})
    called = await reply_of(model, request_of("hi", "a"))
    assert called.get_function_calls()[0].args == {"n": 1}
    assert await say(model, "a") == "yes"
    with pytest.raises(ModelError, match="gone"):
        await say(model, "a")


async def test_a_labelled_ordinal_chooses_the_reply():
    model = ScriptedLlm({"a": ["0", "1", "2", "3"]})
    assert await say(model, "a", **{ORDINAL_LABEL: "2"}) == "2"
    assert await say(model, "a") == "3"


async def test_calls_are_kept_with_their_prompts():
    model = ScriptedLlm({}, default="ok")
    await say(model, "a", "what?")
    assert model.calls == [("a", "what?")]


async def test_latency_passes_without_holding_others_up():
    model = ScriptedLlm({}, default="ok", latency=0.1)
    start = time.monotonic()
    told_of = {}  # how many had asked when an agent got its reply

    async def ask(agent):
        await say(model, agent)
        told_of[agent] = len(model.calls)

    await asyncio.gather(*(ask(f"agent_{i}") for i in range(20)))
    assert time.monotonic() - start >= 0.1
    assert set(told_of.values()) == {20}


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_concurrent_calls_get_each_reply_once_and_in_order(agents):
    model = ScriptedLlm({agent: [f"{agent}{i}" for i in range(30)] for agent in "abc"})

    async def all_at_once():
        return await asyncio.gather(*(say(model, agent) for agent in agents))

    said = asyncio.run(all_at_once())
    assert said == [f"{agent}{agents[:i].count(agent)}" for i, agent in enumerate(agents)]


@pytest.mark.parametrize("name", ["r.json", "r.yaml"])
async def test_a_file_holds_lists_and_lone_texts(name, tmp_path):
    (tmp_path / name).write_text(json.dumps({"a": ["0", {"text": "1"}], "*": "lone"}))
    model = make_model(f"scripted/{tmp_path / name}", make_config())
    assert [await say(model, agent) for agent in "aab"] == ["0", "1", "lone"]


@pytest.mark.parametrize("content", ["[1, 2]", "a: {b: c}", "a: [", "", "a: [3]", "\x00"])
def test_a_file_that_is_no_mapping_of_replies_is_refused(content, tmp_path):
    (tmp_path / "r.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"r\.yaml is no file of replies"):
        make_model(f"scripted/{tmp_path}/r.yaml", make_config())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the replies in .*gone"):
        make_model(f"scripted/{tmp_path}/gone.json", make_config())
