"""What the offline model answers to each step, and what it reads to find it."""

import ast
import json
import re
from typing import Any, get_args

import pytest

from machine_learning_engineering.shared_libraries.errors import ReplyFormatError
from machine_learning_engineering.shared_libraries.models.offline import design, reply
from machine_learning_engineering.shared_libraries.models.offline.moves import moves, old_text
from machine_learning_engineering.shared_libraries.models.offline.program import parse
from machine_learning_engineering.shared_libraries.models.offline.steps import STEPS
from machine_learning_engineering.shared_libraries.records import ColumnProfile
from machine_learning_engineering.shared_libraries.tasks.card import ModelCard, PlanResult, Step

from .conftest import AUC, LOG_LOSS, RMSE, card, code, prompt, script

SCRIPT_STEPS = ("candidate", "merge", "ablation", "ensemble", "submission", "debug", "leakage_repair")
FOREIGN = "import numpy as np\nx = 1\nprint(x)\n"
ABLATED = "Ablation Performance [baseline]: 2.0\nAblation Performance [{a}]: 2.9\nAblation Performance [{b}]: 2.1\n"


def parsed(text: str) -> Any:
    (found,) = re.findall(r"^```json\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    return json.loads(found)


def test_every_step_is_answered() -> None:
    assert set(STEPS) == set(get_args(Step))


@pytest.mark.parametrize("step", get_args(Step))
def test_nothing_but_the_card_and_the_fenced_code_is_read(step: Step) -> None:
    base = script("candidate")
    bare = prompt(card(step), base, base)
    wordy = bare.replace("```json task-card", "You are an engineer. Use a neural network!\n\n```json task-card")
    assert reply(wordy + "\n\nAnswer in French, with ```nothing```.\n") == reply(bare)


@pytest.mark.parametrize("step", SCRIPT_STEPS)
@pytest.mark.parametrize("shown", [(), (FOREIGN,), ("def broken(:",)], ids=["nothing", "foreign", "broken"])
def test_a_script_is_one_block_that_compiles_whatever_code_is_shown(step: Step, shown: tuple[str, ...]) -> None:
    ast.parse(script(step, *shown))


@pytest.mark.parametrize(
    "changed",
    [
        {"target": "cost"},
        {"seed": 8},
        {"threads": 2},
        {"id": None, "submission_columns": ("price",)},
        {"group": "town, county"},
        {"time": "built"},
        {"packages": {"scikit-learn": "1.6"}},
        {"model": ModelCard(model_name="Ridge regression", example_code="")},
        {"metric": RMSE.model_copy(update={"name": "rmsle"})},
        {"profile": card("candidate").profile.model_copy(update={"columns": card("candidate").profile.columns[:3]})},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_each_field_of_the_card_has_a_say(changed: dict[str, Any]) -> None:
    assert script("candidate", **changed) != script("candidate")


def test_column_names_enter_a_script_as_data() -> None:
    evil = ColumnProfile(kind="numeric", name='"]\nimport os  # ', missing=0, unique=99, minimum=0, maximum=1)
    profile = card("candidate").profile
    text = script("candidate", profile=profile.model_copy(update={"columns": (*profile.columns, evil)}))
    imported = {a.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for a in node.names}
    assert "os" not in imported


def test_without_lightgbm_no_script_needs_it() -> None:
    assert "lightgbm" not in script("candidate", packages={"scikit-learn": "1.6"}).lower()


def test_two_solutions_start_from_different_models() -> None:
    first, second = (parsed(reply(prompt(card("retrieve", solution=n, wanted=2)))) for n in (1, 2))
    names = {model["model_name"] for model in first} & {model["model_name"] for model in second}
    assert len(first) == len(second) == 2
    assert not names


@pytest.mark.parametrize("metric", [RMSE, AUC, LOG_LOSS], ids=lambda metric: metric.name)
def test_a_plan_names_a_block_that_stands_in_the_script_once(metric: Any) -> None:
    shown = script("merge", script("candidate", metric=metric), script("candidate", metric=metric), metric=metric)
    blocks: list[str] = []
    for _ in range(3):
        (chosen,) = parsed(reply(prompt(card("plan", metric, notes=tuple(blocks)), shown)))
        assert shown.count(chosen["code_block"]) == 1
        assert chosen["code_block"] not in blocks
        blocks.append(chosen["code_block"])
        improved = script("implement", shown, chosen["code_block"], metric=metric, plan=chosen["plan"])
        assert improved != chosen["code_block"]
        ast.parse(shown.replace(chosen["code_block"], improved))


def test_a_second_plan_for_a_block_is_another_one() -> None:
    shown = script("candidate")
    (first,) = parsed(reply(prompt(card("plan"), shown)))
    tried = PlanResult(plan=first["plan"], score=1.0)
    second = reply(prompt(card("refine_plan", plans=(tried,)), shown, first["code_block"]))
    assert second != first["plan"]
    other = script("implement", shown, first["code_block"], plan=second, attempt=1)
    assert other != script("implement", shown, first["code_block"], plan=first["plan"])


def test_a_target_with_a_long_tail_may_be_learnt_as_its_rank() -> None:
    """The plan brings along what the scale keeps in mind."""
    base = card("implement")
    tail = base.profile.target.model_copy(update={"skew": 4.0})
    asked = base.model_copy(update={"profile": base.profile.model_copy(update={"target": tail})})
    shown = script("candidate")
    program = parse(shown)
    assert program is not None
    (move,) = (move for move in moves(asked, program) if "rank" in move.title)
    changed = shown.replace(old_text(move, program), move.write(asked, program))
    exec(changed, {"__name__": "script"})  # our own text
    assert "RANKED[:] = " in changed
    assert "RANKED: list" in changed


def test_a_million_rows_are_left_to_families_that_can_bear_them() -> None:
    base = card("candidate", fit_rows=30_000)
    many = base.model_copy(update={"profile": base.profile.model_copy(update={"train_rows": 1_000_000})})
    assert set(design.ranking(base)) - set(design.ranking(many)) == {"kernel", "network", "neighbours"}


def told(**figures: float) -> str:
    """The ablation summary for these figures, the baseline first."""
    output = "\n".join(f"Ablation Performance [{name}]: {figure}" for name, figure in figures.items())
    return reply(prompt(card("ablation_summary", output=output)))


def test_features_that_the_ablation_found_harmful_are_left_out_next() -> None:
    shown = script("candidate")
    summary = told(baseline=2.0, ratios=1.8, dates=1.9, rotations=1.99, one_hot=2.9)
    (chosen,) = parsed(reply(prompt(card("plan", output=summary), shown)))
    line = script("implement", shown, chosen["code_block"], plan=chosen["plan"])
    assert set(re.findall(r"\w+", chosen["code_block"])) - set(re.findall(r"\w+", line)) == {"ratios", "dates"}


def test_features_without_which_the_score_hardly_moves_stay() -> None:
    summary = told(baseline=2.0, ratios=1.99, dates=2.5)
    assert "Leave out" not in reply(prompt(card("plan", output=summary), script("candidate")))


def test_class_probabilities_are_not_blended_by_greedy_weights_alone() -> None:
    plan = reply(prompt(card("ensemble_plan", LOG_LOSS)))
    for text in (script("candidate", metric=LOG_LOSS), script("ensemble", metric=LOG_LOSS, plan=plan)):
        assert "0.5 / len(votes)" in text


def test_a_merged_script_keeps_no_code_of_a_block_that_was_left_out() -> None:
    shown = script("candidate")
    fewer = re.sub(r"(?m)^(FEATURES = .*)ratios, ", r"\1", shown)
    assert "def ratios(" in fewer
    assert "def ratios(" not in script("ensemble", fewer, fewer)


@pytest.mark.parametrize(("a", "b"), [("ratios", "dates"), ("dates", "ratios")])
def test_an_ablation_summary_names_the_component_that_moved_the_metric_most(a: str, b: str) -> None:
    assert f"`{a}` matters most" in reply(prompt(card("ablation_summary", output=ABLATED.format(a=a, b=b))))


def test_an_ablation_summary_praises_no_component_where_each_does_harm() -> None:
    printed = ABLATED.replace("[baseline]: 2.0", "[baseline]: 3.0").format(a="ratios", b="dates")
    summary = reply(prompt(card("ablation_summary", output=printed)))
    assert "No component makes it better." in summary
    assert "matters most" not in summary


def test_a_missing_module_is_left_out_of_the_repaired_script() -> None:
    repaired = script("debug", script("candidate"), missing_module="lightgbm", output="ModuleNotFoundError")
    assert "lightgbm" not in repaired.lower()


def test_a_prompt_without_a_card_is_refused() -> None:
    with pytest.raises(ReplyFormatError):
        reply("Please write a script.")


def test_a_reply_is_the_same_every_time() -> None:
    assert code(reply(prompt(card("candidate")))) == script("candidate")


def test_the_library_offers_as_many_models_as_may_be_asked_for() -> None:
    """Each has a name of its own, and hardly two give the same script."""
    cards = parsed(reply(prompt(card("retrieve", solution=1, wanted=24))))
    assert len({one["model_name"] for one in cards}) == 24
    scripts = {
        code(reply(prompt(card("candidate", attempt=j, model=ModelCard(**one))))) for j, one in enumerate(cards, 1)
    }
    assert len(scripts) > 20
