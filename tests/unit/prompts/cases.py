"""One case for each rendered prompt and for each variant of it: its card, its code blocks, and its text."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from machine_learning_engineering.shared_libraries.check_leakage_prompt import (
    render_leakage_check,
    render_leakage_repair,
)
from machine_learning_engineering.shared_libraries.debug_prompt import render_bug_summary, render_debug
from machine_learning_engineering.shared_libraries.records import ColumnProfile, DataProfile, Metric
from machine_learning_engineering.shared_libraries.tasks.card import ModelCard, PlanResult, ScriptRef, Step, TaskCard
from machine_learning_engineering.sub_agents.ablation.prompt import render_ablation, render_ablation_summary
from machine_learning_engineering.sub_agents.ensemble.prompt import (
    render_ensemble,
    render_ensemble_plan,
    render_refine_ensemble_plan,
)
from machine_learning_engineering.sub_agents.initialization.prompt import (
    render_candidate,
    render_data_use,
    render_merge,
    render_retrieve,
    render_summarize,
)
from machine_learning_engineering.sub_agents.refinement.prompt import render_implement, render_plan, render_refine_plan
from machine_learning_engineering.sub_agents.submission.prompt import render_submission

DESCRIPTION = "Predict the price of a house from its size.\nScores are judged by RMSE."
CODE = "import pandas as pd\n\nprice = 1\nprint(price)"
OTHER = "import lightgbm\n\nrounds = 2"
BLOCK = "price = 1"
ERROR = "Traceback (most recent call last):\n  File \"init_code_1.py\", line 3, in <module>\nKeyError: 'size'"
SUMMARY = "The log target matters most: 0.5 without it, 0.3 with it."
LEAK = "line 3: `scaler.fit(both)` learns from rows of test.csv; fit it on training rows."
MODEL = ModelCard(
    model_name="LightGBM",
    example_code="import lightgbm\nlightgbm.LGBMRegressor().fit(x, y)",
    model_description="Boosted trees suit tables.",
)
PLANS = (PlanResult(plan="Tune the rate.", score=0.4321), PlanResult(plan="Drop the size.", score=None))

_PRICE = ColumnProfile(name="price", kind="numeric", missing=0, unique=90, minimum=1, maximum=9, mean=4, std=2)
_SIZE = ColumnProfile(name="size", kind="numeric", missing=0.1, unique=80, examples=("10.5", "12"))
_PROFILE = DataProfile(train_rows=1000, test_rows=200, columns=(_SIZE,), target=_PRICE)
RMSE = Metric(name="rmse", title="root mean squared error", maximize=False, predicts="value")


def make_card(step: Step, **fields: Any) -> TaskCard:
    """The card of a small regression task."""
    facts: dict[str, Any] = {
        "step": step,
        "problem": "regression",
        "task_type": "Tabular Regression",
        "metric": RMSE,
        "target": "price",
        "id": "id",
        "submission_columns": ("id", "price"),
        "profile": _PROFILE,
        "fit_rows": 800,
        "script_seconds": 600,
        "threads": 2,
        "seed": 42,
        "packages": {"lightgbm": "4.6.0", "pandas": "2.3.0"},
    }
    return TaskCard(**facts | fields)


def refs(*names: str) -> tuple[ScriptRef, ...]:
    return tuple(ScriptRef(name=name, score=0.5) for name in names)


@dataclass(frozen=True)
class Case:
    """A prompt as a function of its card, and the code it must show, in order."""

    card: TaskCard
    codes: tuple[str, ...]
    render: Callable[[TaskCard], str]
    writes: str = ""  # 'solution' or 'ablation' where the reply is a program

    @property
    def prompt(self) -> str:
        return self.render(self.card)


_ONE, _TWO = refs("train0.py"), refs("solution 1", "solution 2")
_ABLATION = (ScriptRef(name="ablation_0.py"),)

CASES: dict[str, Case] = {
    "summarize": Case(make_card("summarize"), (), lambda card: render_summarize(card, DESCRIPTION)),
    "retrieve": Case(make_card("retrieve", wanted=3, solution=1), (), lambda card: render_retrieve(card, SUMMARY)),
    "retrieve_second": Case(
        make_card("retrieve", wanted=3, solution=2), (), lambda card: render_retrieve(card, SUMMARY)
    ),
    "candidate": Case(
        make_card("candidate", model=MODEL), (), lambda card: render_candidate(card, DESCRIPTION), "solution"
    ),
    "merge": Case(
        make_card("merge", scripts=refs("base.py", "reference.py")),
        (CODE, OTHER),
        lambda card: render_merge(card, CODE, OTHER),
        "solution",
    ),
    "data_use": Case(
        make_card("data_use", scripts=_ONE), (CODE,), lambda card: render_data_use(card, DESCRIPTION, CODE), "solution"
    ),
    "ablation": Case(
        make_card("ablation", scripts=_ONE), (CODE,), lambda card: render_ablation(card, CODE), "ablation"
    ),
    "ablation_later": Case(
        make_card("ablation", scripts=_ONE, notes=(SUMMARY, "The rate matters.")),
        (CODE,),
        lambda card: render_ablation(card, CODE),
        "ablation",
    ),
    "ablation_summary": Case(
        make_card("ablation_summary", scripts=_ABLATION),
        (CODE,),
        lambda card: render_ablation_summary(card, CODE, "Ablation Performance [baseline]: 0.3"),
    ),
    "plan": Case(make_card("plan", scripts=_ONE), (CODE,), lambda card: render_plan(card, CODE, SUMMARY)),
    "plan_later": Case(
        make_card("plan", scripts=_ONE, notes=("rate = 0.1\nrounds = 2",)),
        (CODE,),
        lambda card: render_plan(card, CODE, SUMMARY),
    ),
    "refine_plan": Case(
        make_card("refine_plan", scripts=_ONE, plans=PLANS), (BLOCK,), lambda card: render_refine_plan(card, BLOCK)
    ),
    "implement": Case(
        make_card("implement", scripts=(*_ONE, ScriptRef(name="block")), plan="Tune the rate."),
        (CODE, BLOCK),
        lambda card: render_implement(card, CODE, BLOCK),
        "solution",
    ),
    "ensemble_plan": Case(
        make_card("ensemble_plan", scripts=_TWO), (CODE, OTHER), lambda card: render_ensemble_plan(card, [CODE, OTHER])
    ),
    "ensemble": Case(
        make_card("ensemble", scripts=_TWO, plan="Average."),
        (CODE, OTHER),
        lambda card: render_ensemble(card, [CODE, OTHER]),
        "solution",
    ),
    "refine_ensemble_plan": Case(
        make_card("refine_ensemble_plan", scripts=_TWO, plans=PLANS),
        (CODE, OTHER),
        lambda card: render_refine_ensemble_plan(card, [CODE, OTHER]),
    ),
    "submission": Case(
        make_card("submission", scripts=refs("final_solution.py")),
        (CODE,),
        lambda card: render_submission(card, DESCRIPTION, CODE),
        "solution",
    ),
    "bug_summary": Case(
        make_card("bug_summary", scripts=(ScriptRef(name="init_code_1.py"),), output=ERROR),
        (),
        lambda card: render_bug_summary(card, ERROR, "init_code_1.py"),
    ),
    "debug": Case(
        make_card("debug", scripts=(ScriptRef(name="init_code_1.py"),), output=ERROR),
        (CODE,),
        lambda card: render_debug(card, DESCRIPTION, CODE, "KeyError: 'size' in line 3"),
        "solution",
    ),
    "debug_missing_module": Case(
        make_card("debug", scripts=(ScriptRef(name="init_code_1.py"),), missing_module="xgboost"),
        (CODE,),
        lambda card: render_debug(card, "", CODE, "ModuleNotFoundError: No module named 'xgboost'"),
        "solution",
    ),
    "debug_ablation": Case(
        make_card("debug", scripts=(ScriptRef(name="ablation_0.py"),), output=ERROR),
        (CODE,),
        lambda card: render_debug(card, DESCRIPTION, CODE, "KeyError: 'size' in line 3"),
        "ablation",
    ),
    "leakage_check": Case(
        make_card("leakage_check", scripts=_ONE), (CODE,), lambda card: render_leakage_check(card, CODE)
    ),
    "leakage_check_found": Case(
        make_card("leakage_check", scripts=_ONE), (CODE,), lambda card: render_leakage_check(card, CODE, LEAK)
    ),
    "leakage_repair": Case(
        make_card("leakage_repair", scripts=_ONE), (CODE,), lambda card: render_leakage_repair(card, CODE), "solution"
    ),
}
