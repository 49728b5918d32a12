"""How the replies to single prompts are read."""

import json

import pytest

from machine_learning_engineering.shared_libraries.check_leakage_prompt import Leakage, parse_leakage
from machine_learning_engineering.shared_libraries.errors import ReplyFormatError
from machine_learning_engineering.shared_libraries.replies import find_block
from machine_learning_engineering.sub_agents.initialization.prompt import all_data_used, parse_candidates
from machine_learning_engineering.sub_agents.refinement.prompt import parse_plan


def _models(*names: str) -> str:
    return json.dumps([{"model_name": name, "example_code": "fit()", "model_description": "d"} for name in names])


def test_the_first_models_are_taken() -> None:
    models = parse_candidates(_models("a", "b", "c"), wanted=2)
    assert [(one.model_name, one.example_code, one.model_description) for one in models] == [
        ("a", "fit()", "d"),
        ("b", "fit()", "d"),
    ]


def test_a_source_is_kept_and_unknown_fields_are_not() -> None:
    reply = '[{"model_name": "a", "example_code": "fit()", "source": "https://a.example", "stars": 5}]'
    assert parse_candidates(reply, 1)[0].source == "https://a.example"


def test_fences_around_example_code_are_taken_off() -> None:
    reply = json.dumps([{"model_name": "a", "example_code": "```python\nfit(1)\n```"}])
    assert parse_candidates(reply, 1)[0].example_code == "fit(1)\n"


@pytest.mark.parametrize("reply", [_models("a"), _models("a", "A"), _models("a", ""), "None that I know."])
def test_too_few_models_are_refused(reply: str) -> None:
    with pytest.raises(ReplyFormatError):
        parse_candidates(reply, 2)


CODE = "def fit():\n    rate = 0.1\n    return rate\n"


@pytest.mark.parametrize(
    "block", ["    rate = 0.1", "rate = 0.1", "\n    rate = 0.1 \n", "```python\n    rate = 0.1\n```"]
)
def test_the_block_of_a_plan_is_verbatim_in_the_code(block: str) -> None:
    plan = parse_plan(json.dumps([{"code_block": block, "plan": "Tune it."}]), CODE)
    assert (plan.code_block, plan.plan) == ("    rate = 0.1", "Tune it.")
    assert find_block(CODE, plan.code_block)


@pytest.mark.parametrize(
    ("block", "plan"), [("", "Tune it."), ("rate = 0.2", "Tune it."), ("rate = 0.1", " "), (None, "Tune it.")]
)
def test_a_plan_without_its_block_or_text_is_refused(block: str | None, plan: str) -> None:
    with pytest.raises(ReplyFormatError):
        parse_plan(json.dumps([{"code_block": block, "plan": plan}]), CODE)


@pytest.mark.parametrize(
    ("status", "leaks"), [("Yes Data Leakage", True), ("No Data Leakage", False), ("no data  leakage.", False)]
)
def test_the_verdict_on_leakage(status: str, leaks: bool) -> None:
    reply = json.dumps([{"leakage_status": status, "code_block": "x = 1"}])
    assert parse_leakage(reply) == Leakage(leaks, "x = 1")


@pytest.mark.parametrize(
    "reply",
    [
        "No Data Leakage",
        '[{"leakage_status": "Yes Data Leakage | No Data Leakage", "code_block": ""}]',
        '[{"leakage_status": "maybe", "code_block": ""}]',
    ],
)
def test_a_reply_without_a_verdict_is_refused(reply: str) -> None:
    with pytest.raises(ReplyFormatError):
        parse_leakage(reply)


@pytest.mark.parametrize(
    ("reply", "used"),
    [
        ("All the provided information is used.", True),
        ("```\nAll the provided\ninformation is used\n```", True),
        ("```python\n# Now all the provided information is used.\nx = 1\n```", False),
        ("No.", False),
    ],
)
def test_whether_all_data_are_used(reply: str, used: bool) -> None:
    assert all_data_used(reply) is used


def test_models_are_found_behind_other_json_and_one_list_deeper() -> None:
    models = [{"model_name": name, "example_code": "fit()"} for name in ("a", "b")]
    for reply in (f'I searched with {{"metric": "auc"}}.\n{json.dumps(models)}', json.dumps({"models": models})):
        assert [model.model_name for model in parse_candidates(reply, 2)] == ["a", "b"]


def test_a_model_without_code_costs_no_other_one() -> None:
    models = [
        {"model_name": "a", "example_code": "fit()"},
        {"model_name": "b"},
        {"model_name": "c", "example_code": "x"},
    ]
    assert [model.model_name for model in parse_candidates(json.dumps(models), 2)] == ["a", "c"]
